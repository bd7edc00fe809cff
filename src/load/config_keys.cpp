// Keys of config.json that no family reads: those that change nothing, those that would change what
// is computed, and all others, which are told.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "karat/error.h"
#include "load/family.h"
#include "load/json.h"

namespace karat {
namespace {

using nlohmann::json;

/// What transformers and others write beside the description of a decoder: names and versions,
/// training, generation, ids of padding, and how one program computes what they all compute.
/// quantization_config is read by the layer that stores formats.
const std::set<std::string_view> kHarmless = {
    "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "model_type",
    "is_llama_config", "unsloth_fixed", "unsloth_version", "quantization_config",
    "transformers.js_config", "tokenizer_class", "prefix", "task_specific_params",
    "finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "return_dict",
    "use_return_dict", "torchscript", "use_bfloat16", "tf_legacy_loss", "pruned_heads",
    "cross_attention_hidden_size", "chunk_size_feed_forward", "is_decoder", "ignore_index",
    // training
    "initializer_range", "initializer_factor", "attention_dropout", "attn_dropout", "attn_pdrop",
    "embd_pdrop", "embd_dropout", "resid_pdrop", "resid_dropout", "residual_dropout",
    "hidden_dropout", "dropout", "activation_dropout", "classifier_dropout", "layerdrop",
    "gradient_checkpointing", "use_gradient_checkpointing", "neftune_noise_alpha",
    "output_router_logits", "router_aux_loss_coef",
    // how it is computed
    "use_cache", "pretraining_tp", "attn_implementation", "use_flash_attn", "use_flash_attention",
    "use_flash_attention_2", "torch_compile", "output_attentions", "output_hidden_states",
    "output_scores", "return_dict_in_generate",
    // lengths that others ask for
    "max_sequence_length", "model_max_length", "seq_length", "tokenizer_model_max_length",
    "tokenizer_padding_side",
    // generation
    "pad_token_id", "sep_token_id", "unk_token_id", "decoder_start_token_id", "max_length",
    "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
    "num_return_sequences", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "bad_words_ids", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens"};

/// Keys that some decoder computes otherwise for, and the values (beside null) that ask for nothing
/// of the kind. A family that computes it reads the key, which then is not looked at here.
const std::map<std::string_view, std::vector<json>> kChanging = {
    {"add_cross_attention", {false}},
    {"alibi", {false}},
    {"attention_bias", {false}},
    {"attention_chunk_size", {}},
    {"attention_multiplier", {}},
    {"attn_logit_softcapping", {}},
    {"attn_temperature_tuning", {false, 0}},
    {"clip_qkv", {}},
    {"compression_config", {}},
    {"embedding_multiplier", {1}},
    {"final_logit_softcapping", {}},
    {"is_causal", {true}},
    {"is_encoder_decoder", {false}},
    {"kv_lora_rank", {}},
    {"logit_scale", {1}},
    {"logit_softcap", {}},
    {"logits_scaling", {1}},
    {"mlp_bias", {false}},
    {"n_routed_experts", {0}},
    {"no_rope_layers", {1}},
    {"num_experts", {0}},
    {"num_local_experts", {0}},
    {"parallel_attn", {false}},
    {"partial_rotary_factor", {1}},
    {"q_lora_rank", {}},
    {"qk_layernorm", {false}},
    {"qk_norm", {false}},
    {"query_pre_attn_scalar", {}},
    {"residual_multiplier", {1}},
    {"rope_interleaved", {false}},
    {"rope_local_base_freq", {}},
    {"rotary_dim", {}},
    {"rotary_pct", {1}},
    {"scale_depth", {}},
    {"scale_emb", {1}},
    {"sliding_window_pattern", {}},
    {"tie_encoder_decoder", {false}},
    {"use_bias", {false}},
    {"use_bidirectional_attention", {false}},
    {"use_mrope", {false}},
    {"use_parallel_residual", {false}},
    {"use_qk_norm", {false}},
    {"use_sliding_window", {false}},
};

bool changes_nothing(const json& value, const std::vector<json>& neutral) {
  if (value.is_array())
    return std::ranges::all_of(value,
                               [&](const json& one) { return changes_nothing(one, neutral); });
  return value.is_null() || std::ranges::find(neutral, value) != neutral.end();
}

/// Whether a list of layer types says which blocks have a window as `arch` does.
bool same_windows(const json& types, const Architecture& arch) {
  if (!types.is_array() || types.size() != arch.blocks.size()) return false;
  for (std::size_t i = 0; i < types.size(); ++i)
    if (types[i] != (arch.blocks[i].window > 0 ? "sliding_attention" : "full_attention"))
      return false;
  return true;
}

[[noreturn]] void refuse(const ConfigReader& config, const std::string& name, const json& value) {
  fail("read " + config.path(), name + " " + excerpt(value.dump(-1, ' ', true)),
       "none: Karat does not compute what it asks for in this family");
}

}  // namespace

std::vector<std::string> check_keys(const ConfigReader& config, const Architecture& arch) {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : config.unread()) {
    const std::string key = name.substr(name.rfind('.') + 1);
    if (value.is_null() || key.starts_with('_') || kHarmless.contains(key)) continue;
    const auto changing = kChanging.find(key);
    if (key == "layer_types"
            ? !same_windows(value, arch)
            : changing != kChanging.end() && !changes_nothing(value, changing->second))
      refuse(config, name, value);
    if (key != "layer_types" && changing == kChanging.end()) unknown.push_back(excerpt(name));
  }
  if (unknown.empty()) return {};
  return {fmt::format("{} says {}, which Karat does not know and computes without", config.path(),
                      fmt::join(unknown, ", "))};
}

}  // namespace karat
