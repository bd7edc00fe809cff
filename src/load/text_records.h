// Texts made of JSON records: objects or strings one a line, one after another, or in one array.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace karat {

enum class Records { none, objects, strings };

/// What a text is a row of, or wants to be: it begins as an object or an array of them does, all of
/// it is one array, or each of its lines is a string.
Records records_in(std::string_view text);

/// {"key":, {} or either behind [: no prose begins so.
bool begins_as_records(std::string_view text);

/// Goes through the records of a text. `name` is what errors call it.
class JsonRecords {
 public:
  JsonRecords(std::string_view text, std::string name);

  /// Steps to the next one; false: there is none. Throws Error naming the line when something else
  /// stands there than an object (a string, where the first is one), or one without end.
  bool next();
  std::string_view record() const { return record_; }  // from brace to brace, else unchecked
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
  bool strings_ = false;
};

}  // namespace karat
