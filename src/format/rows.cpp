#include "format/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/rotation.h"
#include "format/blocks.h"
#include "format/trellis.h"
#include "karat/error.h"

namespace karat {
namespace {

float half_at(const TensorView& view, std::int64_t i) {
  return f16_to_float(load_u16(view.data, i));
}

/// One second-level value: s2 · (code − z2).
float second_level(const TensorView& codes, const TensorView& stats, std::int64_t cell, int lane) {
  const unsigned code =
      read_bits(codes.data + cell * kBilevelBytes, lane * kBilevelBits, kBilevelBits);
  return half_at(stats, 2 * cell) * (static_cast<float>(code) - half_at(stats, 2 * cell + 1));
}

void trellis_row(const PackedView& view, std::int64_t row, float* w) {
  const TrellisTiles tiles{view.out, view.in, view.layout.bits};
  const float* values = trellis_values(view.layout.code);
  const float scale = half_at(view.scales, row);
  for (std::int64_t i = 0; i < tiles.across(); ++i) {
    const Tile tile = tiles.at(row / kTileSide * tiles.across() + i);
    const std::int64_t first = (row - tile.row) * tile.columns;
    const auto code_at = [&](std::int64_t t) {
      return read_bits(view.codes.data + tile.byte, t * tiles.bits, tiles.bits);
    };
    for (std::int64_t t = first; t < first + tile.columns; ++t)
      *w++ = scale * values[trellis_state(t, tile.size(), tiles.bits, code_at)];
  }
}

void undo_rotation(const PackedView& view, std::vector<float>& weights) {
  const std::uint32_t seed = *view.layout.rotation;
  rotate_back(Rotation(view.out, seed, Rotation::Side::outputs),
              Rotation(view.in, seed, Rotation::Side::inputs), weights.data());
}

}  // namespace

std::vector<std::uint32_t> outlier_offsets(const PackedView& view) {
  const TensorView& counts = view.outlier_counts;
  if (counts.data == nullptr) return {};
  std::vector<std::uint32_t> offsets(static_cast<std::size_t>(view.out) + 1);
  std::uint64_t sum = 0;
  for (std::int64_t o = 0; o < view.out; ++o) {
    sum += counts.dtype == DType::u16 ? load_u16(counts.data, o)
                                      : std::to_integer<std::uint64_t>(counts.data[o]);
    if (sum > std::numeric_limits<std::uint32_t>::max()) break;
    offsets[o + 1] = static_cast<std::uint32_t>(sum);
  }
  if (sum != static_cast<std::uint64_t>(view.outliers()) || sum > 0xffffffffu)
    fail("read tensor " + counts.name, fmt::format("counts that sum to {}", sum),
         fmt::format("{}, the number of columns", view.outliers()));
  return offsets;
}

GroupStats group_stats(const PackedView& view, std::int64_t row, std::int64_t group) {
  const PackedLayout& layout = view.layout;
  const std::int64_t groups = layout.groups(view.in);
  GroupStats stats{0, fixed_zero(layout)};
  if (layout.bilevel) {
    const std::int64_t cell = row / kBilevelRows * groups + group;
    const int lane = static_cast<int>(row % kBilevelRows);
    stats.scale = second_level(view.scale_codes, view.scale_stats, cell, lane);
    if (!layout.symmetric) stats.zero = second_level(view.zero_codes, view.zero_stats, cell, lane);
  } else {
    stats.scale = half_at(view.scales, row * groups + group);
    if (!layout.symmetric) stats.zero = half_at(view.zeros, row * groups + group);
  }
  return stats;
}

void dense_row(const PackedView& view, std::int64_t row, float* w) {
  if (view.layout.codebook == Codebook::trellis) return trellis_row(view, row, w);
  const int bits = view.layout.bits;
  const std::int64_t size = view.layout.group_size(view.in), groups = view.layout.groups(view.in);
  const std::byte* codes = view.codes.data + row * row_bytes(view.in, bits);
  const bool lut = view.layout.codebook == Codebook::lut;
  const float* values = code_values(view.layout.codebook);
  for (std::int64_t g = 0, i = 0; i < view.in; ++g) {
    const GroupStats stats = lut ? GroupStats{} : group_stats(view, row, g);
    const std::int64_t table = (row * groups + g) << bits;
    for (const std::int64_t end = std::min(i + size, view.in); i < end; ++i) {
      const unsigned code = read_code(view.layout, codes, view.in, i);
      const float value = values != nullptr ? values[code] : static_cast<float>(code);
      w[i] = lut ? half_at(view.tables, table + code) : stats.scale * (value - stats.zero);
    }
  }
}

void add_outliers(const PackedView& view, std::uint32_t begin, std::uint32_t end, float* w) {
  for (std::uint32_t k = begin; k < end; ++k)
    w[load_u16(view.outlier_columns.data, k)] += half_at(view.outlier_values, k);
}

std::vector<float> unpack(const PackedView& view) {
  const std::vector<std::uint32_t> offsets = outlier_offsets(view);
  std::vector<float> weights(static_cast<std::size_t>(view.out * view.in));
  for (std::int64_t o = 0; o < view.out; ++o) dense_row(view, o, weights.data() + o * view.in);
  if (view.layout.rotation) undo_rotation(view, weights);
  for (std::int64_t o = 0; o < view.out; ++o) {
    float* row = weights.data() + o * view.in;
    if (!offsets.empty()) add_outliers(view, offsets[o], offsets[o + 1], row);
    for (std::int64_t i = 0; i < view.in && view.layout.input_scales; ++i)
      row[i] *= half_at(view.input_scales, i);
  }
  return weights;
}

}  // namespace karat
