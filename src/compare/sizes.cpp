#include "compare/sizes.h"

#include <algorithm>

#include "pipeline/file_size.h"
#include "recipe/axis_text.h"
#include "recipe/best.h"

namespace karat {
namespace {

constexpr double kRounding = 1e-9;  // bits per weight

double parts_bits(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  return 8 * static_cast<double>(packed_bytes(layout, out, in));
}

/// With mixed widths as if each layer had its share of both neighbours of the mean.
double layout_bits(const StoredSize& size, std::int64_t out, std::int64_t in) {
  const double narrow = parts_bits(size.layout, out, in), share = size.mean_bits - size.layout.bits;
  if (share <= 0) return narrow;
  PackedLayout wider = size.layout;
  ++wider.bits;
  return narrow + share * (parts_bits(wider, out, in) - narrow);
}

/// A column and a value of 16 bits each per kept weight, a count of 8 bits per row.
double overlay_bits(const StoredSize& size, std::int64_t out, std::int64_t in) {
  const std::int64_t kept = size.by_row ? out * share(size.ratio, in) : share(size.ratio, out * in);
  return kept == 0 ? 0 : 32 * static_cast<double>(kept) + 8 * static_cast<double>(out);
}

/// The last number from low to high that fits, since those after one that does not do not either.
std::optional<std::int64_t> last_of(std::int64_t low, std::int64_t high, auto fits) {
  if (!fits(low)) return {};
  while (low < high) {
    const std::int64_t middle = high - (high - low) / 2;
    if (fits(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

}  // namespace

StoredSize size_of(const Assembled& recipe) {
  const std::string& selector = recipe.recipe.selector.text;
  PackedLayout layout = layout_of(recipe);
  const auto& [mean, grids] = recipe.widths;
  if (mean > 0) layout.bits = static_cast<int>(mean);
  return {.layout = layout,
          .mean_bits = mean,
          .least_bits = mean > 0 ? grids.begin()->first : 0,
          .most_bits = mean > 0 ? grids.rbegin()->first : 0,
          .ratio = std::stod(option_of(selector, "ratio").value_or("0")) + recipe.detach.ratio,
          .by_row = option_of(selector, "scope") == "row"};
}

double predicted_bits(const Architecture& arch, const StoredSize& size) {
  double bits = 0, weights = 0;
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears()) {
      bits +=
          layout_bits(size, linear->out, linear->in) + overlay_bits(size, linear->out, linear->in);
      weights += static_cast<double>(linear->out) * static_cast<double>(linear->in);
    }
  return bits / weights + size.beyond;
}

std::optional<std::int64_t> group_for(const Architecture& arch, const StoredSize& size,
                                      double target) {
  std::int64_t low = 1, high = 1;
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears()) high = std::max(high, linear->in);
  const std::int64_t widest = high;
  auto bits_with = [&arch, trial = size](std::int64_t group) mutable {
    trial.layout.group = group;
    return predicted_bits(arch, trial);
  };
  if (bits_with(0) > target + kRounding) return {};
  while (low < high) {  // bits never grow with the group
    const std::int64_t middle = low + (high - low) / 2;
    if (bits_with(middle) <= target + kRounding)
      high = middle;
    else
      low = middle + 1;
  }
  if (bits_with(low) == bits_with(size.layout.group)) return size.layout.group;
  return low == widest ? 0 : low;
}

std::optional<double> mean_for(const Architecture& arch, const StoredSize& size, double target) {
  constexpr int kSteps = 100;  // to a bit
  const auto mean = last_of(kSteps * size.least_bits, kSteps * size.most_bits,
                            [&arch, target, trial = size](std::int64_t steps) mutable {
                              trial.mean_bits = static_cast<double>(steps) / kSteps;
                              trial.layout.bits = static_cast<int>(trial.mean_bits);
                              return predicted_bits(arch, trial) <= target + kRounding;
                            });
  if (!mean) return {};
  return static_cast<double>(*mean) / kSteps;
}

std::optional<double> ratio_for(const Architecture& arch, const StoredSize& size, double target) {
  constexpr std::int64_t kSteps = 100000;
  const auto ratio = last_of(0, kSteps, [&arch, target, trial = size](std::int64_t steps) mutable {
    trial.ratio = static_cast<double>(steps) / kSteps;
    return predicted_bits(arch, trial) <= target + kRounding;
  });
  if (!ratio) return {};
  return static_cast<double>(*ratio) / kSteps;
}

}  // namespace karat
