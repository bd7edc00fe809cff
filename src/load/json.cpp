#include "load/json.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/text.h"
#include "karat/error.h"
#include "load/folder.h"

namespace karat {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kExcerptBytes = 160;
constexpr std::size_t kWordBytes = 24;  // of what is in the way

/// What is wrong, in our words: the library's are of its own states.
std::string what_is_wrong(std::string_view text, std::size_t at, std::string_view reason) {
  if (trimmed(text).empty()) return "nothing but blanks";
  if (reason.find("surrogate") != reason.npos) return "half of a surrogate pair";
  if (reason.find("UTF-8") != reason.npos) return "bytes that are no UTF-8";
  if (at >= text.size()) return "the end of the text";
  if (reason.find("control character") != reason.npos) return "a control character in a string";
  const std::string_view rest = text.substr(at, kWordBytes);
  return "\"" + excerpt(rest.substr(0, rest.find_first_of(" \t\r\n,]}", 1))) + "\"";
}

}  // namespace

std::string excerpt(std::string_view text) {
  std::string out(text.substr(0, kExcerptBytes));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > kExcerptBytes) out += "…";
  return out;
}

std::string json_problem(std::string_view text, const nlohmann::json::exception& error) {
  const auto* parsing = dynamic_cast<const nlohmann::json::parse_error*>(&error);
  if (parsing == nullptr) return "a number beyond what a double holds";  // nothing else is thrown
  const std::size_t at = parsing->byte > 0 ? parsing->byte - 1 : 0;  // the library counts from 1
  const auto line = 1 + std::ranges::count(text.substr(0, at), '\n');
  return fmt::format("{} at byte {}, line {}", what_is_wrong(text, at, error.what()), at, line);
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
    fail("read " + path, json_problem(text, error), "well-formed JSON");
  }
}

}  // namespace karat
