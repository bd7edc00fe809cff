// Gemma 3: blocks with a window have a rotary embedding of their own, which nothing scales.
#include "load/gguf/family.h"

namespace karat {

GgufFamily gemma3_gguf(const GgufKeys& keys) {
  GgufFamily family{
      .config = gemma_config(keys, "gemma3_text", {.pattern = 6, .blocks_of_27b = 62}),
      .names = gemma_names(),
      .norm_offset = 1};
  const double local = keys.find_number(keys.own("rope.freq_base_swa")).value_or(10000);
  const nlohmann::json global = family.config["rope_parameters"];
  family.config["rope_parameters"] = {
      {"full_attention", global},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", local}}}};
  const auto cap = keys.find_number(keys.own("final_logit_softcapping"));
  if (cap && *cap != 0) family.config["final_logit_softcapping"] = *cap;
  return family;
}

}  // namespace karat
