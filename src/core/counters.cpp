#include "core/counters.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "core/platform.h"

namespace karat {
namespace {

/// The sum of what was counted.
std::int64_t total(const std::vector<int>& files) {
  std::int64_t sum = 0;
  for (const int file : files) {
    std::int64_t count = 0;
    if (::read(file, &count, sizeof count) == sizeof count) sum += count;
  }
  return sum;
}

}  // namespace

Counters::Counters() {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", none)) {
    const int thread = std::stoi(entry.path().filename().string());
    for (auto [what, files] :
         {std::pair{Counted::instructions, &instructions_}, std::pair{Counted::cycles, &cycles_}}) {
      const int file = open_counter(what, thread);
      if (file < 0)
        refusal_ = "perf_event_open: " + std::generic_category().message(errno);
      else
        files->push_back(file);
    }
  }
  if (none) refusal_ = "/proc/self/task: " + none.message();
}

Counters::~Counters() {
  for (const auto* files : {&instructions_, &cycles_})
    for (const int file : *files) ::close(file);
}

Counts Counters::read() const {
  return {total(instructions_), total(cycles_)};
}

}  // namespace karat
