#include "task/boxes.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "task/pattern.h"

namespace karat {
namespace {

struct Notation {
  const char* pattern;  // with four groups
  bool always_thousandths;
};

#define KARAT_NUMBER R"((-?\d+(?:\.\d+)?))"
#define KARAT_COMMA R"(\s*,\s*)"
#define KARAT_CORNERS                              \
  R"(\(\s*)" KARAT_NUMBER KARAT_COMMA KARAT_NUMBER \
  R"(\s*\)\s*,?\s*\(\s*)" KARAT_NUMBER KARAT_COMMA KARAT_NUMBER R"(\s*\))"
#define KARAT_LIST                                                                      \
  R"(\[\s*)" KARAT_NUMBER KARAT_COMMA KARAT_NUMBER KARAT_COMMA KARAT_NUMBER KARAT_COMMA \
      KARAT_NUMBER R"(\s*\])"

// The marked ones first: a text that marks a box may hold other numbers before it.
constexpr Notation kNotations[] = {
    {R"(<box>\s*)" KARAT_CORNERS R"(\s*</box>)", true},
    {R"(<\|box_start\|>\s*)" KARAT_CORNERS R"(\s*<\|box_end\|>)", true},
    {R"("bbox(?:_2d)?"\s*:\s*)" KARAT_LIST, false},
    {KARAT_CORNERS, false},
    {KARAT_LIST, false},
};
#undef KARAT_LIST
#undef KARAT_CORNERS
#undef KARAT_COMMA
#undef KARAT_NUMBER

double number(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

double area(const Box& box) {
  return std::max(0.0, box[2] - box[0]) * std::max(0.0, box[3] - box[1]);
}

}  // namespace

std::optional<Box> find_box(std::string_view text, const BoxRules& rules, double width,
                            double height) {
  for (const Notation& notation : kNotations) {
    const auto found = Pattern(notation.pattern, "box").find_all(text);
    if (found.empty()) continue;
    Box box;
    const bool scaled = notation.always_thousandths || rules.thousandths;
    for (std::size_t i = 0; i < 4; ++i)
      box[i] = number(found.front()[i]) * (scaled ? (i % 2 == 0 ? width : height) / 1000 : 1);
    return box;
  }
  return std::nullopt;
}

double intersection_over_union(const Box& a, const Box& b) {
  const Box both{std::max(a[0], b[0]), std::max(a[1], b[1]), std::min(a[2], b[2]),
                 std::min(a[3], b[3])};
  const double shared = area(both), joined = area(a) + area(b) - shared;
  return joined > 0 ? shared / joined : 0;
}

}  // namespace karat
