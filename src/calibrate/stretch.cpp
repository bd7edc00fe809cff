#include "calibrate/stretch.h"

namespace karat {
namespace {

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string_view stretch_of(std::string_view text, std::size_t limit, Rng& rng) {
  if (text.size() <= limit) return text;
  std::size_t begin = rng.below(text.size() - limit + 1), end = begin + limit;
  const auto stretch = text.substr(begin, limit);
  const auto first = stretch.find('\n'), last = stretch.rfind('\n');
  if (first != stretch.npos && first < last) return stretch.substr(first + 1, last - first);
  while (begin < end && continues_character(text[begin])) ++begin;
  while (end > begin && end < text.size() && continues_character(text[end])) --end;
  return text.substr(begin, end - begin);
}

}  // namespace karat
