// OLMoE: norms over all of q and all of k, and shares of all experts.
#include "load/gguf/family.h"

namespace karat {

GgufFamily olmoe_gguf(const GgufKeys& keys) {
  GgufFamily family{.config = expert_config(keys, "olmoe"), .names = qwen_expert_names()};
  family.config["norm_topk_prob"] = false;
  if (const std::string clamp = keys.own("attention.clamp_kqv"); keys.has(clamp))
    keys.reject(clamp, "a bound of q, k and v", "none: Karat does not compute it");
  return family;
}

}  // namespace karat
