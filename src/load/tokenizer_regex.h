// Patterns of tokenizer.json. Hugging Face runs them with Oniguruma in its Ruby syntax; here they
// are translated to PCRE2 and compiled just in time where the machine allows it. Characters younger
// than the libraries' Unicode (14: PCRE2 10.42 and utf8proc 2.8) may be classed differently there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace karat {

struct Span {
  std::size_t begin, end;  // bytes
};

class Regex {
 public:
  /// Throws Error when the pattern does not compile, could match the empty text, or uses a
  /// construct that the two engines read differently.
  explicit Regex(std::string_view pattern);
  /// The first match at or after byte `from` of `text`, which is valid UTF-8.
  std::optional<Span> find(std::string_view text, std::size_t from) const;

 private:
  std::shared_ptr<const void> code_;
};

/// The PCRE2 pattern (for UTF and UCP mode) that matches what `ruby` does in Oniguruma.
std::string pcre2_pattern(std::string_view ruby);

}  // namespace karat
