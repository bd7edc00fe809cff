// How long work tells how far it is, without printing: the caller decides what to show.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace karat {

struct ProgressEvent {
  std::string_view stage;  // "gradient", "quantize"
  std::int64_t done = 0, total = 0;
  double seconds = 0;       // since the stage began
  double seconds_left = 0;  // estimate; 0 when nothing is done yet
  std::string detail;       // "loss 3.21"
};
/// Returning false asks the work to stop: it throws Interrupted at the next step.
using ProgressFn = std::function<bool(const ProgressEvent&)>;

struct Interrupted {                     // not an Error: nothing was wrong
  std::string left = "nothing written";  // what the work leaves behind
};

/// One stage's meter. step() reports and throws Interrupted when the listener says stop.
class Progress {
 public:
  Progress(std::string stage, std::int64_t total, ProgressFn listener)
      : stage_(std::move(stage)), total_(total), listener_(std::move(listener)) {}
  void step(std::int64_t amount = 1, std::string detail = {}) {
    done_ += amount;
    if (!listener_) return;
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - start_;
    const double left =
        done_ > 0 ? since.count() * static_cast<double>(total_ - done_) / static_cast<double>(done_)
                  : 0;
    if (!listener_({stage_, done_, total_, since.count(), left, std::move(detail)}))
      throw Interrupted{};
  }

 private:
  std::string stage_;
  std::int64_t total_, done_ = 0;
  ProgressFn listener_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace karat
