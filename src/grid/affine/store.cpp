// From a solver's codes and parameters to the arrays of the file.
#include "grid/shared/store.h"

#include "format/codec/uniform/blocks.h"
#include "grid/affine/affine.h"

namespace karat {

Stored store_affine(const std::string& name, const Solution& solution, const PackedLayout& layout) {
  PackedMatrix matrix = with_codes(solution, layout);
  if (is_bilevel(layout)) {
    matrix.scale_codes = to_vector<std::uint8_t>(gather(solution.params, 2));
    matrix.zero_codes = to_vector<std::uint8_t>(gather(solution.params, 3));
    matrix.scale_stats = half_bits(gather(solution.params, 4));
    matrix.zero_stats = half_bits(gather(solution.params, 5));
  } else {
    matrix.scales = half_bits(gather(solution.params, 0));
    if (!layout.symmetric) matrix.zeros = half_bits(gather(solution.params, 1));
  }
  const Levels levels = levels_of(layout);
  torch::Tensor decoded = decode_groups(solution, layout.group_size(matrix.in),
                                        [&](const auto& codes, const GridParams& params) {
                                          return decode(codes, params[0], params[1], levels);
                                        });
  finish(solution, matrix, decoded);
  return {matrix.layout, pack(name, matrix), decoded};
}

}  // namespace karat
