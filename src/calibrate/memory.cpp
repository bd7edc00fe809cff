#include "calibrate/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "core/platform.h"
#include "core/process.h"
#include "karat/error.h"

namespace karat {
namespace {

constexpr double kUnknown = 1e18;
constexpr double kGiB = 1024.0 * 1024 * 1024;

double machine_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  double kilobytes = 0;
  while (file >> key >> kilobytes) {
    if (key == "MemAvailable:") return kilobytes * 1024;
    file.ignore(64, '\n');
  }
  return kUnknown;
}

/// cgroup v2; files that are absent or say "max" leave it unlimited.
double cgroup_memory() {
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  double limit = 0, used = 0;
  return limit_file >> limit && used_file >> used ? std::max(0.0, limit - used) : kUnknown;
}

}  // namespace

double available_memory() {
  return std::min(machine_memory(), cgroup_memory());
}

void check_memory(const std::string& what, double bytes, const std::string& hint) {
  const double available = available_memory();
  if (bytes > available)
    fail(what, fmt::format("a need of {:.1f} GiB", bytes / kGiB),
         fmt::format("at most the {:.1f} GiB that are free", available / kGiB), hint);
}

// Linux: proc(5), clear_refs.
bool reset_resident_peak() {
  release_freed_memory();
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

std::optional<std::int64_t> resident_peak() {
  return process_bytes("VmHWM");
}

}  // namespace karat
