// One thread that owns the engine; those of HTTP hand work over and wait for pieces of text.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "karat/engine.h"
#include "karat/generate.h"

namespace karat {

/// What became known of one text of a request.
struct ServedPiece {
  std::size_t text = 0;  // which
  std::string piece = {};
  std::vector<TokenScore> scores = {};
  std::optional<Generated> done = {};  // it is complete
  std::string error = {};              // the request is over
};

/// A request's texts on their way out. What nobody has taken yet grows together, so a slow reader
/// holds no more than its texts, and whoever pushes never waits.
class ServedRequest {
 public:
  using Clock = std::chrono::steady_clock;
  ServedRequest(std::atomic<std::int64_t>& open, Clock::time_point deadline)
      : open_(open), deadline_(deadline) {
    ++open_;
  }
  ~ServedRequest() { --open_; }
  ServedRequest(const ServedRequest&) = delete;
  ServedRequest& operator=(const ServedRequest&) = delete;

  /// The next piece; nothing within `wait`: none came.
  std::optional<ServedPiece> next(std::chrono::milliseconds wait);
  void push(ServedPiece piece);
  void cancel() { cancelled_ = true; }  // nobody reads any more
  bool wanted() const { return !cancelled_ && Clock::now() < deadline_; }

 private:
  std::atomic<std::int64_t>& open_;
  Clock::time_point deadline_;
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<ServedPiece> pieces_;
};

struct SchedulerOptions {
  std::int64_t parallel = 1, queue = 0;
  double seconds = 0;
};

/// Numbers of /metrics, since the start.
struct ServedCounts {
  std::atomic<std::int64_t> requests = 0, refused = 0, texts = 0, cancelled = 0;
  std::atomic<std::int64_t> prompt_tokens = 0, written_tokens = 0, steps = 0;
};

class Scheduler {
 public:
  /// Engine and tokenizer must outlive it; the engine is its thread's alone.
  Scheduler(Engine& engine, const Tokenizer& tokenizer, const SchedulerOptions& options);
  ~Scheduler();  // cancels what runs
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Throws ApiError 429 when too many wait, 503 when closed.
  std::shared_ptr<ServedRequest> submit(std::vector<Generation> wanted);
  void close() { closed_ = true; }             // takes nothing new
  std::int64_t open() const { return open_; }  // requests whose answer somebody still holds
  bool closed() const { return closed_; }
  ServedCounts& counts() { return counts_; }

 private:
  struct Job {
    std::shared_ptr<ServedRequest> request;
    std::vector<Generation> wanted;
  };
  void work();
  void add(Generator& generator, Job job);

  Engine& engine_;
  const Tokenizer& tokenizer_;
  SchedulerOptions options_;
  ServedCounts counts_;
  std::atomic<std::int64_t> open_ = 0;
  std::atomic<bool> closed_ = false, ended_ = false;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Job> jobs_;
  std::thread thread_;
};

}  // namespace karat
