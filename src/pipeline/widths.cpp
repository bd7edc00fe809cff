#include "pipeline/widths.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace karat {
namespace {

constexpr std::int64_t kSteps = std::int64_t{1} << 16;

using Parts = std::vector<const std::vector<WidthChoice>*>;
using Picks = std::vector<std::size_t>;  // by part, which of its choices

std::int64_t extra(const std::vector<WidthChoice>& part, std::size_t choice) {
  return part[choice].price - part[0].price;
}

/// A divisor of all that can be given away, and as coarse as the steps have to be.
std::int64_t step_of(const Parts& parts, std::int64_t left) {
  std::int64_t divisor = 0;
  for (const auto* part : parts)
    for (std::size_t c = 1; c < part->size(); ++c) divisor = std::gcd(divisor, extra(*part, c));
  divisor = std::max<std::int64_t>(divisor, 1);
  return divisor * std::max<std::int64_t>(1, (left / divisor + kSteps - 1) / kSteps);
}

/// best[u] is the least loss of the parts so far with u steps given away; which choice made it is
/// noted for every part.
Picks solve_knapsack(const Parts& parts, std::int64_t left) {
  const std::int64_t step = step_of(parts, left);
  const auto size = static_cast<std::size_t>(left / step) + 1;
  std::vector<double> best(size, 0), next(size);
  std::vector<std::vector<std::uint8_t>> made(parts.size(), std::vector<std::uint8_t>(size));
  for (std::size_t p = 0; p < parts.size(); ++p) {
    std::fill(next.begin(), next.end(), std::numeric_limits<double>::infinity());
    for (std::size_t c = 0; c < parts[p]->size(); ++c) {
      const auto steps = static_cast<std::size_t>((extra(*parts[p], c) + step - 1) / step);
      for (std::size_t u = steps; u < size; ++u)
        if (const double loss = best[u - steps] + (*parts[p])[c].loss; loss < next[u]) {
          next[u] = loss;
          made[p][u] = static_cast<std::uint8_t>(c);
        }
    }
    best.swap(next);
  }
  Picks picks(parts.size());
  std::size_t u = size - 1;
  for (std::size_t p = parts.size(); p-- > 0;) {
    picks[p] = made[p][u];
    u -= static_cast<std::size_t>((extra(*parts[p], picks[p]) + step - 1) / step);
  }
  return picks;
}

/// What steps that were rounded up have left over goes where it saves most, as long as it reaches.
void spend_rest(const Parts& parts, std::int64_t left, Picks& picks) {
  for (std::size_t p = 0; p < parts.size(); ++p) left -= extra(*parts[p], picks[p]);
  while (true) {
    double gain = 0;
    std::size_t part = 0, choice = 0;
    for (std::size_t p = 0; p < parts.size(); ++p)
      for (std::size_t c = picks[p] + 1; c < parts[p]->size(); ++c) {
        const double saved = (*parts[p])[picks[p]].loss - (*parts[p])[c].loss;
        if (saved <= gain || extra(*parts[p], c) - extra(*parts[p], picks[p]) > left) continue;
        gain = saved;
        part = p;
        choice = c;
      }
    if (gain == 0) return;
    left -= extra(*parts[part], choice) - extra(*parts[part], picks[part]);
    picks[part] = choice;
  }
}

}  // namespace

std::map<std::string, int> least_loss(const WidthChoices& choices, std::int64_t most) {
  Parts parts;
  std::int64_t left = most;
  for (const auto& [name, part] : choices) {
    parts.push_back(&part);
    left -= part[0].price;
  }
  Picks picks = solve_knapsack(parts, left);
  spend_rest(parts, left, picks);
  std::map<std::string, int> bits;
  for (std::size_t p = 0; const auto& [name, part] : choices) bits[name] = part[picks[p++]].bits;
  return bits;
}

}  // namespace karat
