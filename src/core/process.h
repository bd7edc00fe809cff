// What the system says of this process.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace karat {

/// Bytes of a line of /proc/self/status that counts kB: "VmHWM", "RssAnon" (proc(5)). Nothing where
/// there is no such line.
std::optional<std::int64_t> process_bytes(std::string_view line);

}  // namespace karat
