#include "load/gguf/reader.h"

#include <fmt/format.h>

#include "karat/error.h"

namespace karat {

void GgufReader::reject(const std::string& got, const std::string& expected,
                        const std::string& hint) const {
  fail("read " + path_ + (place_.empty() ? "" : ", " + place_), got, expected, hint);
}

std::span<const std::byte> GgufReader::take(std::uint64_t count, const char* what) {
  if (count > left())
    reject(fmt::format("{} of {} bytes", what, count),
           fmt::format("at most the {} that the file still has", left()),
           "the file is damaged or its download was cut off");
  const auto taken =
      bytes_.subspan(static_cast<std::size_t>(position_), static_cast<std::size_t>(count));
  position_ += count;
  return taken;
}

std::string_view GgufReader::text(const char* what) {
  const auto bytes = take(number<std::uint64_t>(what), what);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t GgufReader::count(std::size_t least, const char* what) {
  const auto value = number<std::uint64_t>(what);
  if (value > left() / least)
    reject(fmt::format("{} {}", value, what),
           fmt::format("at most {} in the {} bytes that follow", left() / least, left()),
           "the file is damaged or its download was cut off");
  return value;
}

}  // namespace karat
