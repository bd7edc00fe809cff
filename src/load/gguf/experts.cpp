#include "load/gguf/family.h"

namespace karat {

nlohmann::json expert_config(const GgufKeys& keys, const std::string& model_type) {
  nlohmann::json config = llama_config(keys, model_type);
  config["num_experts"] = keys.count(keys.own("expert_count"));
  config["num_experts_per_tok"] = keys.count(keys.own("expert_used_count"));
  // Files are not at one on the key that says the size.
  const TensorView* up = keys.find_tensor("blk.0.ffn_up_exps.weight");
  if (up != nullptr && up->shape.size() == 3) config["intermediate_size"] = up->shape[1];
  return config;
}

std::vector<GgufName> qwen_expert_names() {
  std::vector<GgufName> names = llama_names();
  names.insert(names.end(),
               {{"blk.{}.ffn_gate_inp", "model.layers.{}.mlp.gate"},
                {"blk.{}.ffn_gate_exps", "model.layers.{}.mlp.experts.gate_proj"},
                {"blk.{}.ffn_up_exps", "model.layers.{}.mlp.experts.up_proj"},
                {"blk.{}.ffn_down_exps", "model.layers.{}.mlp.experts.down_proj"},
                {"blk.{}.ffn_gate_inp_shexp", "model.layers.{}.mlp.shared_expert_gate", true},
                {"blk.{}.ffn_gate_shexp", "model.layers.{}.mlp.shared_expert.gate_proj"},
                {"blk.{}.ffn_up_shexp", "model.layers.{}.mlp.shared_expert.up_proj"},
                {"blk.{}.ffn_down_shexp", "model.layers.{}.mlp.shared_expert.down_proj"}});
  return names;
}

}  // namespace karat
