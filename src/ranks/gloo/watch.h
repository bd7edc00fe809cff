// A thread that tells the other ranks that this one lives, and hears whether they do.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "karat/ranks.h"

namespace karat {

/// Rank 0 keeps the store, in which each rank counts up a number of its own and reads the others'.
/// Without it all are lost.
class RankWatch {
 public:
  RankWatch(c10::intrusive_ptr<c10d::Store> store, const RanksOptions& options);
  ~RankWatch();
  RankWatch(const RankWatch&) = delete;
  RankWatch& operator=(const RankWatch&) = delete;

  /// Throws Error once somebody is lost.
  void check() const;
  bool lost() const;
  /// A connection broke: waits until it is known who left, and throws Error.
  [[noreturn]] void explain(const std::string& what) const;
  /// This rank goes: with nothing to tell when its work is done, else with the reason. Waits, at
  /// most for the silence, until the others have heard of it where they depend on it.
  void leave(const std::string& why);

 private:
  using Clock = std::chrono::steady_clock;
  struct Other {
    std::int64_t count = -1;  // as last read
    Clock::time_point heard;
    bool done = false;
  };
  void listen();
  void look_at(int rank);
  void lose(int rank, const std::string& why);
  bool all_done() const;

  c10::intrusive_ptr<c10d::Store> store_;
  const int rank_, size_;
  const std::chrono::duration<double> silence_, beat_;
  std::vector<Other> others_;  // of the thread alone
  mutable std::mutex mutex_;   // over what follows
  std::string lost_;           // empty: nobody
  Clock::time_point answered_ = Clock::now();
  bool others_done_ = false;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace karat
