// How much memory may still be taken, asked before taking much of it.
#pragma once

#include <string>

namespace karat {

/// Bytes that the machine, or this process's memory cgroup if that is less, can still give; a huge
/// number where neither tells.
double available_memory();

/// Throws Error naming `what` when `bytes` are more than available.
void check_memory(const std::string& what, double bytes, const std::string& hint);

}  // namespace karat
