#include "load/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace karat {
namespace {

utf8proc_int32_t code_point(std::string_view character) {
  utf8proc_int32_t code = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(character.data()),
                   static_cast<utf8proc_ssize_t>(character.size()), &code);
  return code;
}

bool is_letter(std::string_view character) {
  const auto code = code_point(character);
  if (code < 0) return false;
  const auto category = utf8proc_category(code);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT;
}

template <class Change>
std::string changed(std::string_view character, Change change) {
  const auto code = code_point(character);
  if (code < 0) return std::string(character);
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(change(code), bytes);
  return std::string(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

}  // namespace

std::size_t python_space_at(std::string_view text) {
  constexpr std::array<std::string_view, 19> kWide = {
      // U+0085, 00A0, 1680, 2000 …
      "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
      "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
      "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
      "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80)
    return first == ' ' || (first >= 0x09 && first <= 0x0d) || (first >= 0x1c && first <= 0x1f);
  for (const std::string_view space : kWide)
    if (text.starts_with(space)) return space.size();
  return 0;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    utf8proc_int32_t code = 0;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &code);
    out.push_back(text.substr(0, static_cast<std::size_t>(std::max<utf8proc_ssize_t>(size, 1))));
    text.remove_prefix(out.back().size());
  }
  return out;
}

std::string_view stripped(std::string_view text, std::string_view any, bool left, bool right) {
  const auto all = characters(text), set = characters(any);
  const auto goes = [&](std::string_view one) {
    return set.empty() ? python_space_at(one) > 0 : std::ranges::find(set, one) != set.end();
  };
  std::size_t begin = 0, end = all.size();
  while (left && begin < end && goes(all[begin])) ++begin;
  while (right && begin < end && goes(all[end - 1])) --end;
  if (begin == end) return {};
  return {all[begin].data(),
          static_cast<std::size_t>(all[end - 1].data() + all[end - 1].size() - all[begin].data())};
}

std::string upper_case(std::string_view text) {
  std::string out;
  for (const auto one : characters(text))  // the only common letter whose capital is two
    out += one == "ß" ? "SS" : changed(one, utf8proc_toupper);
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out;
  for (const auto one : characters(text)) out += changed(one, utf8proc_tolower);
  return out;
}

std::string title_case(std::string_view text) {
  std::string out;
  bool inside = false;
  for (const auto one : characters(text)) {
    out += inside ? changed(one, utf8proc_tolower) : changed(one, utf8proc_totitle);
    inside = is_letter(one);
  }
  return out;
}

std::string capitalized(std::string_view text) {
  const auto all = characters(text);
  if (all.empty()) return "";
  return changed(all[0], utf8proc_totitle) + lower_case(text.substr(all[0].size()));
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::int64_t most) {
  std::string out;
  while (!from.empty() && most-- != 0) {
    const auto at = text.find(from);
    if (at == std::string_view::npos) break;
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

}  // namespace karat
