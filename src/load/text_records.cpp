#include "load/text_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/lines.h"
#include "karat/error.h"
#include "load/json.h"

namespace karat {
namespace {

// RFC 7464 (JSON text sequences) has U+001E in front of each record.
constexpr std::string_view kBlank = " \t\r\n\x1e";

std::string_view without_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlank), text.size()));
}

/// Bytes of the string that `text` begins with; 0: it has no end.
std::size_t string_length(std::string_view text) {
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    at += text[at] == '\\';
  }
  return 0;
}

/// Bytes of the object that `text` begins with; 0: it has no end.
std::size_t object_length(std::string_view text) {
  std::int64_t depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      const std::size_t length = string_length(text.substr(at));
      if (length == 0) return 0;
      at += length - 1;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return at + 1;
    }
  }
  return 0;
}

/// {"key": or {}; a file may end before the colon.
bool begins_as_object(std::string_view text) {
  if (!text.starts_with('{')) return false;
  text = without_blanks(text.substr(1));
  if (!text.starts_with('"')) return text.starts_with('}');
  const std::size_t key = string_length(text);
  const std::string_view next = key == 0 ? std::string_view() : without_blanks(text.substr(key));
  return next.empty() || next.starts_with(':');
}

bool all_strings(std::string_view text) {
  bool any = false;
  for (Lines lines(text); lines.next(); any = true) {
    const std::string_view line = trimmed(without_blanks(lines.line()));
    if (!line.starts_with('"') || !nlohmann::json::accept(line)) return false;
  }
  return any;
}

/// Whether all of `text` is JSON, or the beginning of a document that was cut off.
enum class Whole { no, cut, yes };
Whole whole_json(std::string_view text) {
  const auto keep_nothing = [](int, auto, const auto&) { return false; };
  try {
    [[maybe_unused]] const auto nothing = nlohmann::json::parse(text, keep_nothing);
    return Whole::yes;
  } catch (const nlohmann::json::parse_error& error) {
    return error.byte >= text.size() ? Whole::cut : Whole::no;
  }
}

/// Of a text that begins with a bracket.
Records records_in_array(std::string_view text) {
  const std::string_view first = without_blanks(text.substr(1));
  const std::size_t length = first.starts_with('"') ? string_length(first) : 0;
  const Records kind = length == 0 ? Records::objects : Records::strings;
  switch (whole_json(text)) {
    case Whole::yes:
      return kind;
    case Whole::cut:  // a first element and a comma: no prose in brackets
      return length != 0 && without_blanks(first.substr(length)).starts_with(',') ? kind
                                                                                  : Records::none;
    case Whole::no:
      break;
  }
  return Records::none;
}

}  // namespace

bool begins_as_records(std::string_view text) {
  text = without_blanks(text);
  return begins_as_object(text.starts_with('[') ? without_blanks(text.substr(1)) : text);
}

Records records_in(std::string_view text) {
  if (begins_as_records(text)) return Records::objects;
  if (all_strings(text)) return Records::strings;
  text = without_blanks(text);
  return text.starts_with('[') ? records_in_array(text) : Records::none;
}

JsonRecords::JsonRecords(std::string_view text, std::string name)
    : rest_(text), name_(std::move(name)) {
  skip_blanks();
  array_ = rest_.starts_with('[');
  if (array_) rest_.remove_prefix(1);
  strings_ = without_blanks(rest_).starts_with('"');
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
  fail("read " + place(), got,
       fmt::format("a JSON {}, as the file begins", strings_ ? "string" : "object"),
       "a text that begins so is read as JSON records, all of it");
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
  if (!rest_.starts_with(strings_ ? '"' : '{'))
    reject(rest_.empty()
               ? "an array without end"
               : fmt::format("“{}”", excerpt(rest_.substr(
                                         0, std::min<std::size_t>(rest_.find('\n'), 40)))));
  const std::size_t length = strings_ ? string_length(rest_) : object_length(rest_);
  if (length == 0) reject(strings_ ? "a string without end" : "an object without end");
  record_ = rest_.substr(0, length);
  at_line_ += std::count(record_.begin(), record_.end(), '\n');
  rest_.remove_prefix(length);
  return true;
}

}  // namespace karat
