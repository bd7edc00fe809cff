#include "load/text_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/lines.h"
#include "karat/error.h"
#include "load/json.h"

namespace karat {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr int kFirstLines = 64;

std::string_view without_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlank), text.size()));
}

/// {"…, {} or [{…: no prose begins so.
bool begins_as_records(std::string_view text) {
  text = without_blanks(text);
  if (text.empty()) return false;
  const std::string_view next = without_blanks(text.substr(1));
  if (text.front() == '{') return next.starts_with('"') || next.starts_with('}');
  return text.front() == '[' && next.starts_with('{');
}

bool is_object(std::string_view line) {
  line = trimmed(line);
  return line.starts_with('{') && line.ends_with('}') && nlohmann::json::accept(line);
}

bool mostly_objects(std::string_view text) {
  int lines = 0, objects = 0;
  for (Lines each(text); lines < kFirstLines && each.next(); ++lines)
    objects += is_object(each.line());
  return 2 * objects > lines;
}

/// Bytes of the object that `text` begins with; 0: it has no end.
std::size_t object_length(std::string_view text) {
  std::int64_t depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\';
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return at + 1;
    }
  }
  return 0;
}

}  // namespace

bool holds_records(std::string_view text) {
  if (begins_as_records(text) || mostly_objects(text)) return true;
  return without_blanks(text).starts_with('[') && nlohmann::json::accept(text);
}

JsonRecords::JsonRecords(std::string_view text, std::string name)
    : rest_(text), name_(std::move(name)) {
  skip_blanks();
  array_ = rest_.starts_with('[');
  if (array_) rest_.remove_prefix(1);
}

void JsonRecords::skip_blanks() {
  const std::size_t blanks = rest_.size() - without_blanks(rest_).size();
  at_line_ += std::count(rest_.begin(), rest_.begin() + static_cast<long>(blanks), '\n');
  rest_.remove_prefix(blanks);
  line_ = at_line_;
}

std::string JsonRecords::place() const {
  return fmt::format("{} line {}", name_, line_);
}

void JsonRecords::reject(const std::string& got) const {
  fail("read " + place(), got, "a JSON object, as the rest of the file",
       "a text that begins with a JSON object, or holds mostly such lines, is read as JSON lines");
}

/// Steps over the comma between two elements of an array, or its end.
bool JsonRecords::ended() {
  skip_blanks();
  if (!array_) return rest_.empty();
  const bool first = std::exchange(first_, false);
  if (rest_.starts_with(']')) {
    rest_.remove_prefix(1);
    skip_blanks();
    if (!rest_.empty()) reject("text after the end of an array");
    array_ = false;
    return true;
  }
  if (first) return false;
  if (!rest_.starts_with(',')) reject(rest_.empty() ? "an array without end" : "no comma");
  rest_.remove_prefix(1);
  skip_blanks();
  return false;
}

bool JsonRecords::next() {
  if (ended()) return false;
  if (!rest_.starts_with('{'))
    reject(rest_.empty()
               ? "an array without end"
               : fmt::format("“{}”", excerpt(rest_.substr(
                                         0, std::min<std::size_t>(rest_.find('\n'), 40)))));
  const std::size_t length = object_length(rest_);
  if (length == 0) reject("an object without end");
  record_ = rest_.substr(0, length);
  at_line_ += std::count(record_.begin(), record_.end(), '\n');
  rest_.remove_prefix(length);
  return true;
}

}  // namespace karat
