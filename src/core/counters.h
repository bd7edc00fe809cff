// Instructions and cycles that this process takes, where the system lets it count them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace karat {

struct Counts {
  std::int64_t instructions = 0, cycles = 0;  // of all threads together, outside the system
};

/// Counts from its construction on, in the threads that there are then.
class Counters {
 public:
  Counters();
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  /// Why nothing is counted; empty where it is.
  const std::string& refusal() const { return refusal_; }
  Counts read() const;

 private:
  std::vector<int> instructions_, cycles_;  // open files, one of each thread
  std::string refusal_;
};

}  // namespace karat
