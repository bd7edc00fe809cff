#include "task/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "evaluate/documents.h"
#include "load/characters.h"

namespace karat {
namespace {

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

/// Where the code point that ends at `end` begins.
std::size_t begin_of_last(std::string_view text, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && continues(text[begin])) --begin;
  return begin;
}

struct CodePoint {
  utf8proc_int32_t value = 0;
  std::size_t bytes = 1;
};

CodePoint code_point_at(std::string_view text, std::size_t at) {
  CodePoint point;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
  const utf8proc_ssize_t read =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &point.value);
  if (read > 0)
    point.bytes = static_cast<std::size_t>(read);
  else
    point.value = -1;  // a malformed byte stands for itself
  return point;
}

template <class Change>
std::string mapped(std::string_view text, Change change) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    utf8proc_uint8_t bytes[4];
    const utf8proc_int32_t value = point.value < 0 ? -1 : change(point.value, at == 0);
    if (value < 0)
      out += text.substr(at, point.bytes);
    else
      out.append(reinterpret_cast<const char*>(bytes),
                 static_cast<std::size_t>(utf8proc_encode_char(value, bytes)));
    at += point.bytes;
  }
  return out;
}

}  // namespace

std::int64_t code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !continues(byte); });
}

std::string_view without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    const std::size_t last = begin_of_last(text, text.size());
    if (python_space_at(text.substr(last)) == 0) break;
    text = text.substr(0, last);
  }
  return text;
}

std::string_view without_space(std::string_view text) {
  while (!text.empty()) {
    const std::size_t space = python_space_at(text);
    if (space == 0) break;
    text.remove_prefix(space);
  }
  return without_trailing_space(text);
}

std::string lower_first(std::string_view text) {
  return mapped(text,
                [](utf8proc_int32_t c, bool first) { return first ? utf8proc_tolower(c) : c; });
}

std::string_view without_last(std::string_view text) {
  return text.empty() ? text : text.substr(0, begin_of_last(text, text.size()));
}

std::string without_wikihow_marks(std::string_view text) {
  std::string marked = replaced(without_space(text), " [title]", ". "), out;
  for (std::string_view rest = marked; !rest.empty();) {
    const std::size_t open = rest.find('['), close = rest.find(']', open);
    // The pattern \[.*?\] does not match across a line's end.
    const bool pair = open != rest.npos && close != rest.npos &&
                      rest.substr(open, close - open).find('\n') == rest.npos;
    if (open == rest.npos || (!pair && close == rest.npos)) {
      out.append(rest);
      break;
    }
    out.append(rest.substr(0, pair ? open : open + 1));
    rest.remove_prefix(pair ? close + 1 : open + 1);
  }
  return replaced(out, "  ", " ");
}

}  // namespace karat
