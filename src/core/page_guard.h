// Memory of a mapped file whose pages may vanish, since another process can cut the file.
#pragma once

#include <cstddef>

namespace karat {

struct GuardedRange;

/// Reading a page that is no longer there raises SIGBUS. While a guard lives, zeros take the place
/// of such a page and of all that follow it in the mapping, the reader goes on, and lost() says so:
/// whoever computed from the file asks before the result is used.
///
/// The first guard installs a handler of SIGBUS for the process. It acts on the memory of guards
/// alone; any other fault goes to the handler that was there before.
class PageGuard {
 public:
  PageGuard(void* mapping, std::size_t bytes);
  ~PageGuard();  // before the memory is unmapped
  PageGuard(const PageGuard&) = delete;
  PageGuard& operator=(const PageGuard&) = delete;
  bool lost() const;

 private:
  GuardedRange* range_;
};

}  // namespace karat
