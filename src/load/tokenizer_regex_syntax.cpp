// Oniguruma's Ruby syntax (its doc/RE) to PCRE2's. What both read alike passes through, what they
// spell differently is respelled, and everything else is refused by name.
#include <fmt/format.h>

#include <cctype>

#include "karat/error.h"
#include "load/tokenizer_regex.h"

namespace karat {
namespace {

// White_Space of Unicode. PCRE2's own \s has U+180E too, which ceased to be a space in Unicode 6.3.
constexpr std::string_view kSpaces = R"(\x09-\x0d\x{85}\p{Z})";

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\')
        escape(false);
      else if (c == '[')
        set();
      else if (c == '(')
        group();
      else if (c == '{')
        repeat();
      else
        take(1);
    }
    return std::move(out_);
  }

 private:
  bool next_is(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  void take(std::size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    fail("compile pre-tokenizer pattern", fmt::format("“{}” at byte {}", what, at_),
         "a construct that Oniguruma and PCRE2 read alike");
  }

  void group() {
    if (!next_is("(?")) return take(1);
    if (at_ == 0 && next_is("(?i)")) return take(4);  // further on, its reach differs
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"})
      if (next_is(known)) return take(known.size());
    refuse(pattern_.substr(at_, 4));
  }

  // {n}, {n,}, {n,m}; other braces are literal in one engine and not in the other.
  void repeat() {
    std::size_t end = at_ + 1;
    const auto digits = [&] {
      const std::size_t begin = end;
      while (end < pattern_.size() && std::isdigit(static_cast<unsigned char>(pattern_[end])))
        ++end;
      return end > begin;
    };
    if (!digits()) refuse("{");
    if (pattern_.substr(end).starts_with(',')) {
      ++end;
      digits();
    }
    if (!pattern_.substr(end).starts_with('}')) refuse("{");
    take(end + 1 - at_);
    // PCRE2 reads these as possessive and lazy, Oniguruma as a repeat of a repeat.
    if (next_is("+") || next_is("?")) refuse(fmt::format("}}{}", pattern_[at_]));
  }

  void set() {
    take(next_is("[^") ? 2 : 1);
    if (next_is("]")) refuse("[]");
    while (at_ < pattern_.size() && !next_is("]")) {
      if (next_is("[")) refuse("[ within a set");
      if (next_is("&&")) refuse("&&");
      if (next_is("\\"))
        escape(true);
      else
        take(1);
    }
    if (at_ < pattern_.size()) take(1);
  }

  void escape(bool in_set) {
    const char kind = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    if (kind == 'p' || kind == 'P') return property();
    if (kind == 's' || kind == 'S') return spaces(kind == 'S', in_set);
    if (kind == 'u') return code_point();
    if (kind == 'x') return take(2);  // \xHH and \x{H…}
    const bool plain = std::string_view("rntfaedD").find(kind) != std::string_view::npos;
    if (!plain && (kind == '\0' || std::isalnum(static_cast<unsigned char>(kind)) || kind < 0))
      refuse(pattern_.substr(at_, 2));
    take(2);
  }

  void spaces(bool negated, bool in_set) {
    if (negated && in_set) refuse("\\S within a set");
    out_ += in_set ? std::string(kSpaces) : fmt::format("[{}{}]", negated ? "^" : "", kSpaces);
    at_ += 2;
  }

  void code_point() {
    const std::string_view digits = pattern_.substr(at_ + 2, 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos)
      refuse(pattern_.substr(at_, 6));
    out_ += fmt::format("\\x{{{}}}", digits);
    at_ += 6;
  }

  // \p{Lu} alike; \p{Han} means the script to Oniguruma, script extensions to PCRE2.
  void property() {
    const std::size_t end = pattern_.find('}', at_);
    if (pattern_.substr(at_ + 2, 1) != "{" || end == pattern_.npos) refuse("\\p without braces");
    std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    if (name.empty() || name.find_first_of("^=:&") != name.npos)
      refuse(pattern_.substr(at_, end + 1 - at_));
    out_ += fmt::format("{}{{{}{}{}}}", pattern_.substr(at_, 2), negated ? "^" : "",
                        name.size() > 2 ? "sc:" : "", name);
    at_ = end + 1;
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string pcre2_pattern(std::string_view ruby) {
  return Translator(ruby).run();
}

}  // namespace karat
