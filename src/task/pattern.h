// Regular expressions with groups, as task files write them (Python's re, run by PCRE2).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

class Pattern {
 public:
  /// Throws Error naming `where` when the pattern does not compile.
  Pattern(std::string_view pattern, const std::string& where);
  /// Each match as re.findall has it: the whole when the pattern has no group, else its groups.
  std::vector<std::vector<std::string>> find_all(std::string_view text) const;
  /// re.sub(pattern, "", text)
  std::string removed_from(std::string_view text) const;

 private:
  struct Match {
    std::size_t begin = 0, end = 0;
    std::vector<std::string> groups;  // 0: the whole
  };
  std::vector<Match> matches(std::string_view text) const;
  std::shared_ptr<const void> code_;
};

}  // namespace karat
