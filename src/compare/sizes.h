// What a recipe will store, known without quantizing: it depends on the layout and on the share of
// kept weights alone.
#pragma once

#include <optional>

#include "karat/recipe.h"

namespace karat {

struct StoredSize {
  PackedLayout layout;
  double mean_bits = 0;  // of codes, where widths are mixed; layout.bits is then the next below
  int least_bits = 0, most_bits = 0;  // of codes, among which widths are mixed
  double ratio = 0;                   // of weights kept at FP16, at most
  bool by_row = false;                // that share of each row instead of each matrix
  double beyond = 0;                  // bits per weight that a file showed on top of all this
};
StoredSize size_of(const Assembled& recipe);

/// Bits per weight over the linear layers of `arch`. Exact but for weights kept that only the work
/// itself chooses (until `beyond` says so), and for rows with more than 255 kept weights.
double predicted_bits(const Architecture& arch, const StoredSize& size);

/// The group whose bits come closest to `target` from below; 0: whole rows. Its own group where
/// that is as good. Nothing when even whole rows take more.
std::optional<std::int64_t> group_for(const Architecture& arch, const StoredSize& size,
                                      double target);

/// The mean, in steps of 0.01, whose bits come closest to `target` from below. Nothing when even
/// the least takes more.
std::optional<double> mean_for(const Architecture& arch, const StoredSize& size, double target);

/// The ratio, in steps of 1e-5, whose bits come closest to `target` from below. Nothing when even
/// none takes more.
std::optional<double> ratio_for(const Architecture& arch, const StoredSize& size, double target);

}  // namespace karat
