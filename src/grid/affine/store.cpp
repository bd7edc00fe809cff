// From a solver's codes and parameters to the arrays of the file.
#include "grid/affine/affine.h"
#include "grid/shared/arrays.h"

namespace karat {
namespace {

/// Part `index` of every group's parameters, stacked: [rows, groups, ...].
torch::Tensor gather(const std::vector<GridParams>& params, std::size_t index) {
  std::vector<torch::Tensor> parts;
  for (const GridParams& group : params) parts.push_back(group[index]);
  return torch::stack(parts, 1);
}

torch::Tensor decode_all(const Solution& solution, std::int64_t group, const Levels& levels) {
  std::vector<torch::Tensor> parts;
  for (std::size_t i = 0; const torch::Tensor& codes : solution.codes.split(group, 1)) {
    parts.push_back(decode(codes, solution.params[i][0], solution.params[i][1], levels));
    ++i;
  }
  return torch::cat(parts, 1);
}

}  // namespace

Stored store_affine(const std::string& name, const Solution& solution, const PackedLayout& layout) {
  PackedMatrix matrix;
  matrix.layout = layout;
  matrix.out = solution.codes.size(0);
  matrix.in = solution.codes.size(1);
  matrix.codes = to_vector<std::uint8_t>(solution.codes);
  if (layout.bilevel) {
    matrix.scale_codes = to_vector<std::uint8_t>(gather(solution.params, 2));
    matrix.zero_codes = to_vector<std::uint8_t>(gather(solution.params, 3));
    matrix.scale_stats = half_bits(gather(solution.params, 4));
    matrix.zero_stats = half_bits(gather(solution.params, 5));
  } else {
    matrix.scales = half_bits(gather(solution.params, 0));
    if (!layout.symmetric) matrix.zeros = half_bits(gather(solution.params, 1));
  }
  torch::Tensor decoded = decode_all(solution, layout.group_size(matrix.in), levels_of(layout));
  finish(solution, matrix, decoded);
  return {matrix.layout, pack(name, matrix), decoded};
}

}  // namespace karat
