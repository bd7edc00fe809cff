// How much memory may still be taken, asked before taking much of it; how much was taken at most.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace karat {

/// Bytes that the machine, or this process's memory cgroup if that is less, can still give; a huge
/// number where neither tells.
double available_memory();

/// Throws Error naming `what` when `bytes` are more than available.
void check_memory(const std::string& what, double bytes, const std::string& hint);

/// Lets resident_peak() begin again from what is resident now; false where the system cannot.
bool reset_resident_peak();
/// Most bytes resident at once since then, mapped files included; nothing where it is not known.
std::optional<std::int64_t> resident_peak();

}  // namespace karat
