#include "run/places.h"

#include <algorithm>
#include <iterator>

namespace karat {
namespace {

auto first_fit(const std::map<std::int64_t, std::int64_t>& free, std::int64_t count) {
  return std::ranges::find_if(free,
                              [=](const auto& gap) { return gap.second - gap.first >= count; });
}

}  // namespace

bool Places::has(std::int64_t count) const {
  return first_fit(free_, count) != free_.end();
}

std::optional<std::int64_t> Places::take(std::int64_t count) {
  const auto gap = first_fit(free_, count);
  if (gap == free_.end()) return {};
  const auto [begin, end] = *gap;
  free_.erase(gap);
  if (begin + count < end) free_.emplace(begin + count, end);
  return begin;
}

void Places::give(std::int64_t begin, std::int64_t count) {
  std::int64_t end = begin + count;
  const auto after = free_.lower_bound(begin);
  if (after != free_.end() && after->first == end) {
    end = after->second;
    free_.erase(after);
  }
  const auto next = free_.lower_bound(begin);
  if (next != free_.begin() && std::prev(next)->second == begin)
    std::prev(next)->second = end;
  else if (begin < end)
    free_.emplace(begin, end);
}

}  // namespace karat
