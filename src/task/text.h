// Text as Python's str methods see it: what lm-evaluation-harness does to prompts and answers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace karat {

/// Code points of UTF-8 `text`: what Python's len() counts.
std::int64_t code_points(std::string_view text);
/// `text` without Python's white space (Unicode's included) at its end, or at both ends.
std::string_view without_trailing_space(std::string_view text);
std::string_view without_space(std::string_view text);
/// The first code point alone in lower case.
std::string lower_first(std::string_view text);
/// `text` without its last code point.
std::string_view without_last(std::string_view text);
/// What lm-evaluation-harness does to HellaSwag: " [title]" becomes ". ", other [brackets] vanish,
/// two blanks become one.
std::string without_wikihow_marks(std::string_view text);

}  // namespace karat
