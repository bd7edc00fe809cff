// Architectures of GGUF files: which config.json one stands for, and how its tensors are called in
// Hugging Face's folders. One is src/load/gguf/family/<general.architecture, - as _>.cpp with
// `GgufFamily <name>_gguf(const GgufKeys&)`, found by its file name.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "load/gguf/keys.h"

namespace karat {

/// "blk.{}.attn_q" -> "model.layers.{}.self_attn.q_proj"; without the ending .weight or .bias.
struct GgufName {
  std::string_view file, folder;
  bool row = false;  // a vector in the file, a matrix of one row in the folder
};

struct GgufFamily {
  nlohmann::json config;  // what config.json says of such a model
  std::vector<GgufName> names;
  /// Rows of q and k lie in the order of a rotary embedding of adjacent pairs: of each head first
  /// row 0, row head/2, row 1 …
  bool paired = false;
  float norm_offset = 0;  // was added to the norms' weights: 1 in Gemma
};

using GgufFamilyFn = GgufFamily (*)(const GgufKeys&);
const std::map<std::string, GgufFamilyFn>& gguf_family_table();  // written by cmake/registry.cmake

// What most of them share with Llama; each family file says the difference.

std::vector<GgufName> llama_names();
/// Sizes, epsilon, activation, context, rotary embedding and whether the head is tied. Throws Error
/// on a scaling of the rotary embedding that config.json has no words for.
nlohmann::json llama_config(const GgufKeys& keys, const std::string& model_type);
/// The same with experts: how many there are and see a token, and their size.
nlohmann::json expert_config(const GgufKeys& keys, const std::string& model_type);
std::vector<GgufName> qwen_expert_names();  // of experts, and of one that sees all tokens
/// Granite's four factors.
void read_factors_of_granite(const GgufKeys& keys, nlohmann::json& config);
std::vector<GgufName> gemma_names();  // of those with norms after each part
/// What llama.cpp takes for granted of such files: every how many blocks one has no
/// window, the window where the file is silent (0: none), and of how many blocks the model is whose
/// scores are scaled by hidden / heads instead of the head's size.
struct GemmaFiles {
  std::int64_t pattern = 0, window = 0, blocks_of_27b = 0;
};
nlohmann::json gemma_config(const GgufKeys& keys, const std::string& model_type,
                            const GemmaFiles& files);
/// Whether the first block's tensor `name` is there: "attn_q.bias".
bool in_first_block(const GgufKeys& keys, std::string_view name);

}  // namespace karat
