// The lines of a text of records, such as JSON Lines.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "core/text.h"

namespace karat {

/// Goes through the lines that hold more than blanks. A line ends in "\n" or with the text.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  /// Steps to the next one; false: there is none.
  bool next() {
    while (!rest_.empty()) {
      line_ = rest_.substr(0, rest_.find('\n'));
      rest_.remove_prefix(std::min(rest_.size(), line_.size() + 1));
      ++number_;
      if (!trimmed(line_).empty()) return true;
    }
    return false;
  }
  std::string_view line() const { return line_; }  // without its end
  std::int64_t number() const { return number_; }  // from 1; blank lines count

 private:
  std::string_view rest_, line_;
  std::int64_t number_ = 0;
};

}  // namespace karat
