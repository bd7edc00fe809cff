#include "load/text_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>

#include "core/lines.h"
#include "karat/error.h"
#include "load/json.h"
#include "load/text_kind.h"
#include "load/text_records.h"

namespace karat {
namespace {

constexpr std::int64_t kRow = 64;   // lines in a row: the bits of LineShare's memory
constexpr std::int64_t kFew = 6;    // lines of which one half could be by chance
constexpr std::size_t kShown = 40;  // bytes of a line in an error

bool is_json(std::string_view line, char begin, char end) {
  return line.size() > 2 && line.front() == begin && line.back() == end &&
         nlohmann::json::accept(line);
}

/// What stands behind "data:" in an event.
std::string_view event_data(std::string_view line) {
  constexpr std::string_view kData = "data:";
  return line.starts_with(kData) ? trimmed(line.substr(kData.size())) : std::string_view();
}

bool is_event_field(std::string_view line) {
  constexpr std::array<std::string_view, 5> kFields = {"data:", "event:", "id:", "retry:", ":"};
  return std::ranges::any_of(kFields, [&](auto field) { return line.starts_with(field); });
}

/// The records below lines of comment that a text begins with; nothing: it is no such text.
std::string_view below_comments(std::string_view text) {
  std::size_t at = 0;
  for (Lines lines(text); lines.next();) {
    const std::string_view line = trimmed(lines.line());
    if (!line.starts_with('#') && !line.starts_with("//")) {
      at = static_cast<std::size_t>(lines.line().data() - text.data());
      break;
    }
  }
  if (at == 0 || records_in(text.substr(at)) == Records::none) return {};
  JsonRecords records(text.substr(at), "");
  try {
    while (records.next())
      if (!nlohmann::json::accept(records.record())) return {};
  } catch (const Error&) {  // something else stands there too: a text
    return {};
  }
  return text.substr(at);
}

}  // namespace

void LineShare::add(bool is_one, std::string_view line, std::int64_t number) {
  ++lines_;
  count_ += is_one;
  last_ = number;
  recent_ = recent_ << 1 | static_cast<std::uint64_t>(is_one);
  if (!is_one && other_number_ == 0) {
    other_ = line;
    other_number_ = number;
  }
  const auto dense = static_cast<std::int64_t>(std::popcount(recent_));
  if (dense_until_ == 0 && lines_ >= kRow && 2 * dense >= kRow) {
    dense_until_ = number;
    dense_count_ = dense;
  }
}

bool LineShare::prevails() const {
  if (lines_ >= kRow) return dense_until_ != 0;
  return 2 * count_ > lines_ || (lines_ >= kFew && 2 * count_ == lines_);
}

std::string LineShare::against(const std::string& what) const {
  const bool many = dense_until_ != 0;
  return fmt::format("“{}” in line {}, and {} in {} of the {} lines up to line {}",
                     excerpt(other_.substr(0, kShown)), other_number_, what,
                     many ? dense_count_ : count_, many ? kRow : lines_,
                     many ? dense_until_ : last_);
}

LineSurvey::LineSurvey(std::string_view text) : text_(text) {
  for (Lines each(text); each.next(); ++lines_) {
    const std::string_view line = trimmed(each.line());
    const auto count = [&](LineShare& share, bool is_one) {
      share.add(is_one, line, each.number());
      return is_one;
    };
    count(objects_, is_json(line, '{', '}') && begins_as_records(line));
    if (count(strings_, is_json(line, '"', '"'))) escaped_ |= line.find('\\') != line.npos;
    if (count(arrays_, is_json(line, '[', ']')))
      numbers_ |= trimmed(line.substr(1)).find_first_of("-0123456789") == 0;
    const std::string_view data = event_data(line);
    count(events_, is_json(data, '{', '}') && begins_as_records(data));
    only_events_ = only_events_ && is_event_field(line);
  }
}

void LineSurvey::refuse_json(const std::filesystem::path& file) const {
  const std::string read = "read " + file.string(), word = shell_word(file);
  const auto hint = [&](std::string_view how) {
    return fmt::format(fmt::runtime(how), word);
  };
  constexpr const char* kOne = "records alone, or text alone";
  constexpr const char* kText = "UTF-8 text or JSON lines";
  if (events_.count() > 0 && (only_events_ || events_.prevails()))
    fail(read, fmt::format("server-sent events: {} lines of data: {{…}}", events_.count()), kText,
         hint("take their JSON out: sed -n 's/^data: *{{/{{/p' {0} > {0}.jsonl, and name the key "
              "of its text with --field"));
  if (const std::string_view records = below_comments(text_); !records.empty())
    fail(read, "JSON records below a comment in line 1", kText,
         hint(fmt::format("take the comment out: tail -n +{} {{0}} > {{0}}.jsonl",
                          1 + std::count(text_.begin(),
                                         text_.begin() + (records.data() - text_.data()), '\n'))));
  if (objects_.prevails())
    fail(read, objects_.against("JSON objects"), kOne,
         hint("grep '^ *{{\"' {0} > {0}.jsonl keeps the objects, and grep -v '^ *{{\"' {0} > "
              "{0}.txt the text"));
  if (strings_.prevails() && escaped_)
    fail(read, strings_.against("JSON strings"), kOne,
         hint("grep '^ *\"' {0} > {0}.jsonl keeps the strings"));
  if (arrays_.prevails() && numbers_)
    fail(read, fmt::format("JSON arrays of numbers in {} lines", arrays_.count()), kText,
         "give the text, not its tokens");
  if (arrays_.prevails())
    fail(read, fmt::format("JSON arrays in {} lines", arrays_.count()), kText,
         hint("take their texts out, with jq for instance: jq -c '.[]' {0} > {0}.jsonl makes a "
              "line of each element; JSON strings and objects are read"));
}

}  // namespace karat
