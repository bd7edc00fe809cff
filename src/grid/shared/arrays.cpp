#include "grid/shared/arrays.h"

#include "recipe/basis.h"

namespace karat {
namespace {

/// The kept weights as residuals over `dense`, which becomes the sum of both.
Overlay overlay_of(const Solution& solution, torch::Tensor& dense) {
  Overlay overlay;
  const torch::Tensor where = solution.kept.nonzero();  // [count, 2], row by row
  const torch::Tensor rows = where.select(1, 0), columns = where.select(1, 1);
  const torch::Tensor residual =
      (solution.weight.index({rows, columns}) - dense.index({rows, columns}))
          .to(torch::kFloat16)
          .to(torch::kFloat32);
  dense.index_put_({rows, columns}, residual, /*accumulate=*/true);
  overlay.offsets.assign(static_cast<std::size_t>(dense.size(0)) + 1, 0);
  for (const std::int64_t row : to_vector<std::int64_t>(rows))
    ++overlay.offsets[static_cast<std::size_t>(row) + 1];
  for (std::size_t row = 1; row < overlay.offsets.size(); ++row)
    overlay.offsets[row] += overlay.offsets[row - 1];
  for (const std::int64_t column : to_vector<std::int64_t>(columns))
    overlay.columns.push_back(static_cast<std::uint16_t>(column));
  overlay.values = half_bits(residual);
  return overlay;
}

}  // namespace

void finish(const Solution& solution, PackedMatrix& matrix, torch::Tensor& decoded) {
  matrix.layout.rotation = solution.basis.rotation;
  if (solution.basis.rotation) decoded = turned_back(decoded, *solution.basis.rotation);
  if (solution.kept.defined()) matrix.overlay = overlay_of(solution, decoded);
  const torch::Tensor& multiplier = solution.basis.multiplier;
  if (!multiplier.defined()) return;
  matrix.layout.input_scales = true;
  matrix.input_scales = half_bits(multiplier);
  decoded *= multiplier;
}

}  // namespace karat
