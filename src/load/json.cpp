#include "load/json.h"

#include <fmt/format.h>

#include "karat/error.h"
#include "load/folder.h"

namespace karat {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kExcerptBytes = 160;

}  // namespace

std::string excerpt(std::string_view text) {
  std::string out(text.substr(0, kExcerptBytes));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > kExcerptBytes) out += "…";
  return out;
}

nlohmann::json parse_json(std::string_view text, const std::string& path) {
  refuse_pointer(text, path);
  // nlohmann takes a NUL byte for the end of the text, so whatever follows it would be ignored.
  if (text.find('\0') != std::string_view::npos) fail("read " + path, "a NUL byte", "JSON text");
  const auto bound_depth = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > kMaxDepth)
      fail("read " + path, fmt::format("JSON nested deeper than {}", kMaxDepth), "a flat document");
    return true;
  };
  try {
    return nlohmann::json::parse(text, bound_depth);
  } catch (const nlohmann::json::exception& error) {
    fail("read " + path, excerpt(error.what()), "well-formed JSON");
  }
}

}  // namespace karat
