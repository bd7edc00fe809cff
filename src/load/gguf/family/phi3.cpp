// Phi-3 and Phi-4: q, k, v in one layer, and gate and up in another.
#include "load/gguf/family.h"

namespace karat {

GgufFamily phi3_gguf(const GgufKeys& keys) {
  GgufFamily family{.config = llama_config(keys, "phi3"), .names = llama_names()};
  family.names.push_back({"blk.{}.attn_qkv", "model.layers.{}.self_attn.qkv_proj"});
  for (GgufName& name : family.names)
    if (name.file == "blk.{}.ffn_up") name.folder = "model.layers.{}.mlp.gate_up_proj";
  const std::string window = keys.own("attention.sliding_window");
  if (keys.find_integer(window).value_or(0) > 0)
    family.config["sliding_window"] = keys.count(window);
  return family;
}

}  // namespace karat
