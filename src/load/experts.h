// Mixtures of experts (Shazeer et al. 2017; Fedus et al. 2022): what families share.
#pragma once

#include <string>

#include "load/family.h"

namespace karat {

/// How a checkpoint names the parts of a mixture, after "model.layers.7.".
struct ExpertNames {
  std::string place = "mlp.";
  std::string router = "gate";
  std::string gate = "gate_proj", up = "up_proj", down = "down_proj";  // of experts.3.
  // Tensors of all experts: [experts, 2 · ffn, hidden], gate's rows first, and [experts, hidden,
  // ffn].
  std::string all_gate_up = "experts.gate_up_proj", all_down = "experts.down_proj";
};

struct ExpertSizes {
  std::int64_t count = 0, top_k = 0, ffn = 0;
  bool shares_of_chosen = true;  // of Block
};

/// How many there are, under either name that transformers has for it, and how many see a token.
/// Throws when more see it than are there.
ExpertSizes read_experts(const ConfigReader& config, std::int64_t count, std::int64_t top_k);

/// Puts experts in the place of the block's own MLP. `prefix`: "model.layers.7.".
void set_experts(Block& block, const std::string& prefix, const ExpertNames& names,
                 const ExpertSizes& sizes, std::int64_t hidden);

/// Experts in the blocks that Qwen's configs say: every decoder_sparse_step-th that is not among
/// mlp_only_layers. Returns which.
std::vector<bool> set_qwen_experts(const ConfigReader& config, Architecture& arch,
                                   const ExpertSizes& sizes);

}  // namespace karat
