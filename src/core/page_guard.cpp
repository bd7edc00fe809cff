#include "core/page_guard.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>

#include "core/platform.h"

namespace karat {

/// An element of a list that only grows, so that a signal handler can go through it at any time.
/// What a guard leaves is taken by a later one, but only while no handler is at the list: one that
/// has seen `alive` must not find the bounds of another mapping, or a mix of both.
struct GuardedRange {
  std::uintptr_t begin = 0, end = 0;  // whole pages; change only while not alive
  std::atomic<bool> alive = false, lost = false, taken = true;
  GuardedRange* next = nullptr;
};

namespace {

std::atomic<GuardedRange*> ranges = nullptr;
std::atomic<int> handlers = 0;  // at the list
std::uintptr_t page_bytes = 0;
struct sigaction before;

/// Puts zeros from the page at `address` on to the end of the range that it belongs to. Only system
/// calls and lock-free atomics: this runs in a signal handler.
bool replace_pages(std::uintptr_t address) {
  bool replaced = false;
  ++handlers;
  for (GuardedRange* range = ranges; range != nullptr; range = range->next) {
    if (!range->alive || address < range->begin || address >= range->end) continue;
    const std::uintptr_t page = address / page_bytes * page_bytes;
    range->lost = true;
    replaced = replace_by_zeros(page, range->end - page);
    break;
  }
  --handlers;
  return replaced;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  // A fault has a positive code and an address; kill() has neither.
  const bool replaced =
      info->si_code > 0 && replace_pages(reinterpret_cast<std::uintptr_t>(info->si_addr));
  errno = saved;
  if (replaced) return;
  if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(signal, info, context);
  if (before.sa_handler == SIG_IGN && info->si_code <= 0) return;
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
    return before.sa_handler(signal);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, nullptr);
  ::raise(signal);  // delivered when this handler returns
}

void install() {
  page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, nullptr, &before);  // known before a signal can come here
  ::sigaction(SIGBUS, &action, nullptr);
}

/// One that no handler can see as it was: a handler counts itself before it looks, and the last
/// guard of a free range ended before the count is read here. Where a handler is at the list, a new
/// element is made instead of waiting: some 40 bytes, and no more elements than guards at once plus
/// those made at such a moment.
GuardedRange* free_range() {
  for (GuardedRange* range = ranges; range != nullptr; range = range->next) {
    bool taken = false;
    if (!range->taken.compare_exchange_strong(taken, true)) continue;
    if (handlers == 0) return range;
    range->taken = false;
  }
  auto* range = new GuardedRange;
  range->next = ranges;
  while (!ranges.compare_exchange_weak(range->next, range)) continue;
  return range;
}

}  // namespace

PageGuard::PageGuard(void* mapping, std::size_t bytes) {
  static std::once_flag installed;
  std::call_once(installed, install);
  range_ = free_range();
  range_->begin = reinterpret_cast<std::uintptr_t>(mapping);
  range_->end = range_->begin + (bytes + page_bytes - 1) / page_bytes * page_bytes;
  range_->lost = false;
  range_->alive = true;
}

PageGuard::~PageGuard() {
  range_->alive = false;
  range_->taken = false;
}

bool PageGuard::lost() const {
  return range_->lost;
}

}  // namespace karat
