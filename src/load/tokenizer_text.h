// UTF-8 as the tokenizers need it, and the byte alphabet of byte-level BPE (Radford et al. 2019).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace karat {

/// What stands at the front of a text: one character, or the longest malformed start of one.
struct Utf8Step {
  int length;  // bytes, 1 … 4
  bool valid;
};
Utf8Step utf8_step(std::string_view text);  // `text` is not empty

/// `text` with each malformed sequence replaced by U+FFFD (Unicode 15, §3.9, as Rust, Python and
/// the web platform do). Hugging Face tokenizers only ever see text that was repaired like this.
std::string valid_utf8(std::string_view text);

char32_t first_character(std::string_view text);  // of valid, non-empty UTF-8
std::size_t last_character_begin(std::string_view text);
char32_t last_character(std::string_view text);
bool is_space(char32_t c);  // Unicode White_Space
bool is_word(char32_t c);   // \w of UTS #18: alphabetic, mark, digit, connector, joiner

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);  // text is valid UTF-8

/// Every byte as a printable character: 33–126, 161–172 and 174–255 are themselves, the other 68
/// are U+0100 onwards.
std::string to_byte_alphabet(std::string_view bytes);
/// The inverse; nothing when `token` has a character outside the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view token);

}  // namespace karat
