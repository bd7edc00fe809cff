#include "load/tokenizer_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "karat/error.h"

namespace karat {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool is_continuation(char c) {
  return (static_cast<std::uint8_t>(c) & 0xC0) == 0x80;
}

struct ByteAlphabet {
  std::array<std::string, 256> characters;
  std::array<int, 0x144> bytes;  // by code point; -1: not in the alphabet

  ByteAlphabet() {
    bytes.fill(-1);
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
      const int point = printable ? b : next++;
      bytes[static_cast<std::size_t>(point)] = b;
      auto& text = characters[static_cast<std::size_t>(b)];
      if (point >= 0x80) text += static_cast<char>(0xC0 | (point >> 6));
      text += static_cast<char>(point < 0x80 ? point : 0x80 | (point & 0x3F));
    }
  }
};

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

void append_normalized(std::string& out, std::string_view text, utf8proc_option_t options) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, options);
  if (length < 0) fail("normalize text", utf8proc_errmsg(length), "valid UTF-8 that fits memory");
  out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
  std::free(mapped);
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  const auto byte = [&](int i) {
    return static_cast<std::uint8_t>(text[static_cast<std::size_t>(i)]);
  };
  const int lead = byte(0);
  if (lead < 0x80) return {1, true};
  const int more = lead < 0xC2 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 0;
  if (more == 0) return {1, false};
  // The first continuation byte excludes overlong forms, surrogates and points above U+10FFFF.
  int low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  int high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i <= more; ++i) {
    if (i >= static_cast<int>(std::min<std::size_t>(text.size(), 4))) return {i, false};
    if (byte(i) < low || byte(i) > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {more + 1, true};
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const auto length = static_cast<std::size_t>(step.length);
    if (step.valid)
      out.append(text.substr(0, length));
    else
      out += kReplacement;
    text.remove_prefix(length);
  }
  return out;
}

char32_t first_character(std::string_view text) {
  utf8proc_int32_t point = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &point);
  return static_cast<char32_t>(point);
}

std::size_t last_character_begin(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && is_continuation(text[begin])) --begin;
  return begin;
}

char32_t last_character(std::string_view text) {
  return first_character(text.substr(last_character_begin(text)));
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_word(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) return true;
  const bool joiner = c == 0x200C || c == 0x200D;
  const bool circled_letter = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                              (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  return category == UTF8PROC_CATEGORY_PC || joiner || circled_letter;
}

// ASCII never changes, and no character before an ASCII one composes with it: only runs of other
// characters, each with the ASCII character in front of it, go through the tables.
std::string normalize(std::string_view text, NormalForm form) {
  const bool compose = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const auto options = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
      (compatible ? UTF8PROC_COMPAT : 0));
  const auto ascii = [](char c) { return static_cast<std::uint8_t>(c) < 0x80; };
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto other = std::find_if_not(text.begin(), text.end(), ascii);
    const auto run_end = std::find_if(other, text.end(), ascii);
    auto plain = static_cast<std::size_t>(other - text.begin());
    if (other != text.end() && plain > 0) --plain;
    out.append(text.substr(0, plain));
    const auto end = static_cast<std::size_t>(run_end - text.begin());
    if (plain < end) append_normalized(out, text.substr(plain, end - plain), options);
    text.remove_prefix(end);
  }
  return out;
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) out += byte_alphabet().characters[static_cast<std::uint8_t>(c)];
  return out;
}

std::optional<std::string> from_byte_alphabet(std::string_view token) {
  std::string out;
  out.reserve(token.size());
  while (!token.empty()) {
    const Utf8Step step = utf8_step(token);
    if (!step.valid || step.length > 2) return std::nullopt;
    const char32_t point = first_character(token);
    if (point >= byte_alphabet().bytes.size() || byte_alphabet().bytes[point] < 0)
      return std::nullopt;
    out += static_cast<char>(byte_alphabet().bytes[point]);
    token.remove_prefix(static_cast<std::size_t>(step.length));
  }
  return out;
}

}  // namespace karat
