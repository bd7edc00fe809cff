// Granite 3 MoE (IBM 2024): Granite with experts, whose layers stand in two tensors a block.
#include "load/experts.h"
#include "load/granite_like.h"

namespace karat {

Architecture granitemoe_family(const ConfigReader& config) {
  Architecture arch = granite_like(config, false);
  ExpertSizes sizes = read_experts(config, 8, 2);
  sizes.ffn = arch.ffn;
  const ExpertNames names{.place = "block_sparse_moe.",
                          .router = "router.layer",
                          .all_gate_up = "input_linear.weight",
                          .all_down = "output_linear.weight"};
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    set_experts(block, name, names, sizes, arch.hidden);
  });
  return arch;
}

}  // namespace karat
