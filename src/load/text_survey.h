// The lines of a text, asked whether they are JSON that is not read as records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace karat {

/// How many of a text's lines, blank ones aside, are of one kind, and whether they prevail
/// somewhere: in at least half of 64 lines in a row, or of all lines of a shorter text; of fewer
/// than six lines, in more than half.
class LineShare {
 public:
  void add(bool is_one, std::string_view line, std::int64_t number);
  bool prevails() const;
  std::int64_t count() const { return count_; }
  /// "“# a comment” in line 1, and WHAT in 2 of the 3 lines up to line 3"
  std::string against(const std::string& what) const;
  std::int64_t first_other() const { return other_number_; }  // line; 0: there is no other

 private:
  std::uint64_t recent_ = 0;  // the last 64 lines, a bit each
  std::int64_t lines_ = 0, count_ = 0, last_ = 0;
  std::int64_t dense_until_ = 0, dense_count_ = 0;  // of the first 64 lines where they prevail
  std::int64_t other_number_ = 0;
  std::string_view other_;
};

/// A text's lines, counted. It refers to the text.
class LineSurvey {
 public:
  explicit LineSurvey(std::string_view text);
  /// Throws Error naming what was found when it is JSON in a dress that is not read: records among
  /// other lines or below comments, an array a line, server-sent events.
  void refuse_json(const std::filesystem::path& file) const;
  std::int64_t objects() const { return objects_.count(); }  // lines that are a JSON object
  std::int64_t lines() const { return lines_; }              // that are not blank

 private:
  std::string_view text_;
  LineShare objects_, strings_, arrays_, events_;
  std::int64_t lines_ = 0;
  bool escaped_ = false;          // a string has what only JSON writes so
  bool only_events_ = true;       // every line is a field of an event
  bool numbers_ = false;          // an array begins with one
};

}  // namespace karat
