// How long a run has taken, its resumed parts together.
#pragma once

#include <sys/resource.h>

#include <chrono>

#include "karat/train.h"

namespace karat {

inline double process_cpu_seconds() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Wall and CPU time of this part of the run, added to what earlier parts took.
struct Clock {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  double cpu_start = process_cpu_seconds();
  double seconds_before = 0, cpu_before = 0;

  double seconds_here() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  void stamp(TrainResult& result) const {
    result.seconds = seconds_before + seconds_here();
    result.cpu_seconds = cpu_before + process_cpu_seconds() - cpu_start;
  }
};

}  // namespace karat
