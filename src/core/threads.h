// One persistent pool. Work is cut by index, never by thread, so results do not depend on how many
// threads there are.
#pragma once

#include <cstdint>
#include <functional>

#include "core/upcoming.h"

namespace karat {

/// Cores this process may use: the affinity mask and the cgroup's CPU quota both count.
int core_count();
/// Threads parallel_for uses, the caller included; core_count() until set. Throws unless n >= 1.
void set_thread_count(int n);
int thread_count();

/// Calls body(begin, end) on disjoint ranges that cover [0, count), each at most `grain` long, and
/// returns when all are done. An exception from body is rethrown here. Nested calls run in place.
/// Threads that then wait ask for the beginning of what each will read of `next`, so that memory
/// idles less. Nothing is read: `next` may be gone by then.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body,
                  const Upcoming& next = {});

}  // namespace karat
