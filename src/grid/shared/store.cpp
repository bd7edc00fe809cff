#include "grid/shared/store.h"

namespace karat {

PackedMatrix with_codes(const Solution& solution, const PackedLayout& layout) {
  PackedMatrix matrix;
  matrix.layout = layout;
  matrix.out = solution.codes.size(0);
  matrix.in = solution.codes.size(1);
  matrix.codes = to_vector<std::uint8_t>(solution.codes);
  return matrix;
}

torch::Tensor decode_groups(const Solution& solution, std::int64_t group,
                            const std::function<torch::Tensor(const torch::Tensor& codes,
                                                              const GridParams& params)>& decode) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& codes : solution.codes.split(group, 1))
    parts.push_back(decode(codes, solution.params[parts.size()]));
  return torch::cat(parts, 1);
}

torch::Tensor gather(const std::vector<GridParams>& params, std::size_t index) {
  std::vector<torch::Tensor> parts;
  for (const GridParams& group : params) parts.push_back(group[index]);
  return torch::stack(parts, 1);
}

}  // namespace karat
