#include "format/rows.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/rotation.h"
#include "format/parts.h"
#include "karat/error.h"

namespace karat {
namespace {

void undo_rotation(const PackedView& view, std::vector<float>& weights) {
  const std::uint32_t seed = *view.layout.rotation;
  rotate_back(Rotation(view.out, seed, Rotation::Side::outputs),
              Rotation(view.in, seed, Rotation::Side::inputs), weights.data());
}

void undo_hadamard(std::int64_t block, std::vector<float>& weights) {
  const auto factor = static_cast<float>(1 / std::sqrt(static_cast<double>(block)));
  for (float& weight : weights) weight *= factor;
  for (float* w = weights.data(); w != weights.data() + weights.size(); w += block)
    walsh_hadamard(w, block);
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

void dense_row(const PackedView& view, std::int64_t row, float* w) {
  view.codec->read_row(view, row, w);
}

float row_scale(const PackedView& view, std::int64_t row) {
  float scale = 1;
  if (view.row_scales.data != nullptr)
    std::memcpy(&scale, view.row_scales.data + 4 * row, sizeof scale);
  return scale;
}

void add_outliers(const PackedView& view, std::uint32_t begin, std::uint32_t end, float* w) {
  for (std::uint32_t k = begin; k < end; ++k)
    w[load_u16(view.outlier_columns.data, k)] += half_at(view.outlier_values, k);
}

std::vector<float> unpack(const PackedView& view) {
  const std::vector<std::uint32_t> offsets = outlier_offsets(view);
  std::vector<float> weights(static_cast<std::size_t>(view.out * view.in));
  for (std::int64_t o = 0; o < view.out; ++o) {
    float* row = weights.data() + o * view.in;
    dense_row(view, o, row);
    const float scale = row_scale(view, o);
    for (std::int64_t i = 0; i < view.in; ++i) row[i] *= scale;
  }
  if (view.layout.rotation) undo_rotation(view, weights);
  if (view.layout.hadamard != 0) undo_hadamard(view.layout.hadamard, weights);
  for (std::int64_t o = 0; o < view.out; ++o) {
    float* row = weights.data() + o * view.in;
    if (!offsets.empty()) add_outliers(view, offsets[o], offsets[o + 1], row);
    for (std::int64_t i = 0; i < view.in && view.layout.input_scales; ++i)
      row[i] *= half_at(view.input_scales, i);
  }
  return weights;
}

}  // namespace karat
