// Pools of threads, and which one the calls of a thread work with. Work is cut by index, never by
// thread, so results do not depend on how many threads there are.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "core/upcoming.h"
#include "karat/runtime.h"

namespace karat {

struct KernelSet;  // kernel/kernel.h

/// Cores this process may use: the affinity mask and the cgroup's CPU quota both count.
int core_count();

class Pool;
/// The caller of parallel_for is one of the threads. Throws unless threads >= 1.
std::shared_ptr<Pool> make_pool(int threads);
int size_of(const Pool& pool);

struct Runtime::State : std::enable_shared_from_this<Runtime::State> {
  State(std::shared_ptr<Pool> threads, const KernelSet* set, Activations numbers)
      : pool(std::move(threads)), kernels(set), activations(numbers) {}

  std::shared_ptr<Pool> pool;
  const KernelSet* kernels;  // nullptr: the fastest that this CPU can run
  Activations activations;
};
/// What the calling thread works with: that of the innermost Runtime::Scope; in a thread of a pool,
/// that of the thread whose work it does; otherwise all cores and the fastest kernels.
const Runtime::State& current_state();

/// Threads parallel_for uses, the caller included.
int thread_count();

/// The calling thread works with new threads while this lives, and otherwise as before.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);

 private:
  Runtime::Scope scope_;
};

/// Calls body(begin, end) on disjoint ranges that cover [0, count), each at most `grain` long, and
/// returns when all are done. An exception from body is rethrown here. Nested calls run in place.
/// Threads that then wait ask for the beginning of what each will read of `next`, so that memory
/// idles less. Nothing is read: `next` may be gone by then.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body,
                  const Upcoming& next = {});

}  // namespace karat
