// Texts made of JSON records: objects one a line, one after another, or in one array.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace karat {

/// Whether a text is such records (or wants to be): it begins as one does, all of it is one array,
/// or more than half of its first lines are objects.
bool holds_records(std::string_view text);

/// Goes through the records of a text. `name` is what errors call it.
class JsonRecords {
 public:
  JsonRecords(std::string_view text, std::string name);

  /// Steps to the next one; false: there is none. Throws Error naming the line when something else
  /// than an object stands there, or one without end.
  bool next();
  std::string_view record() const { return record_; }  // braces balanced, else unchecked
  std::int64_t line() const { return line_; }          // where it begins, from 1
  std::string place() const;                           // "text.jsonl line 3"

 private:
  void skip_blanks();
  bool ended();
  [[noreturn]] void reject(const std::string& got) const;
  std::string_view rest_;
  std::string name_;
  std::string_view record_;
  std::int64_t at_line_ = 1, line_ = 1;
  bool array_ = false, first_ = true;
};

}  // namespace karat
