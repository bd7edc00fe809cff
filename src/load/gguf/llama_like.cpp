#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "load/gguf/family.h"

namespace karat {
namespace {

using nlohmann::json;

constexpr double kLow = 1, kHigh = 4;  // factors of low and high frequencies of all Llama 3

/// How often the i-th frequency turns within a context.
double turns_of(double context, double theta, std::size_t i, std::size_t half) {
  const double exponent = static_cast<double>(i) / static_cast<double>(half);
  return context / (2 * std::numbers::pi * std::pow(theta, exponent));
}

/// The context that the frequencies were smoothed for, from one that is neither kept nor stretched
/// whole; where there is none, the smallest that keeps all that are kept.
double context_of(const std::vector<float>& factors, double most, double theta) {
  double least = 1;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double keep = (1 / static_cast<double>(factors[i]) - 1 / most) / (1 - 1 / most);
    if (keep > 0.01 && keep < 0.99)
      return std::round((keep * (kHigh - kLow) + kLow) / turns_of(1, theta, i, factors.size()));
    if (keep >= 0.99) least = std::ceil(kHigh / turns_of(1, theta, i, factors.size()));
  }
  return least;
}

/// Whether they are what Llama 3.1 divides its inverse frequencies by (Grattafiori et al. 2024).
bool are_llama3(const std::vector<float>& factors, double most, double context, double theta) {
  constexpr double kClose = 1e-4;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double turns = turns_of(context, theta, i, factors.size());
    const double keep = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    const double wanted = 1 / (keep + (1 - keep) / most);
    if (!(std::abs(factors[i] - wanted) <= kClose * wanted)) return false;
  }
  return true;
}

/// The factors of Llama 3 stand in a tensor, and config.json says what they come from.
void read_factors(const GgufKeys& keys, double theta, std::int64_t head_dim, json& rope) {
  const TensorView* tensor = keys.find_tensor("rope_freqs.weight");
  if (tensor == nullptr) return;
  const char* expected = "those of Llama 3";
  if (tensor->dtype != DType::f32 || tensor->shape != std::vector<std::int64_t>{head_dim / 2})
    keys.reject("rope_freqs.weight", "a tensor of " + shape_text(tensor->shape), expected);
  const std::vector<float> factors = to_floats(*tensor);
  const double most = *std::ranges::max_element(factors);
  const double context = context_of(factors, most, theta);
  if (!(most > 1) || !(context >= 1 && context < 1e9) || !are_llama3(factors, most, context, theta))
    keys.reject("rope_freqs.weight", "other factors of the rotary embedding", expected);
  rope["rope_type"] = "llama3";
  rope["factor"] = most;
  rope["low_freq_factor"] = kLow;
  rope["high_freq_factor"] = kHigh;
  rope["original_max_position_embeddings"] = static_cast<std::int64_t>(context);
}

void read_scaling(const GgufKeys& keys, json& rope) {
  const std::string type = keys.find_text(keys.own("rope.scaling.type")).value_or("none");
  if (type == "none") return;
  if (type != "linear" && type != "yarn")
    keys.reject(keys.own("rope.scaling.type"), type, "none, linear or yarn");
  rope["rope_type"] = type;
  rope["factor"] = keys.find_number(keys.own("rope.scaling.factor")).value_or(1);
  if (type == "linear") return;
  if (const auto context = keys.find_integer(keys.own("rope.scaling.original_context_length")))
    rope["original_max_position_embeddings"] = *context;
  for (const auto& [key, name] :
       {std::pair("attn_factor", "attention_factor"),
        std::pair("yarn_attn_factor", "attention_factor"), std::pair("yarn_beta_fast", "beta_fast"),
        std::pair("yarn_beta_slow", "beta_slow")})
    if (const auto number = keys.find_number(keys.own(std::string("rope.scaling.") + key)))
      rope[name] = *number;
  for (const char* key : {"yarn_log_multiplier", "yarn_ext_factor"})
    if (keys.find_number(keys.own(std::string("rope.scaling.") + key)).value_or(0) != 0)
      keys.reject(keys.own(std::string("rope.scaling.") + key), "a number", "none");
}

json read_rope(const GgufKeys& keys, std::int64_t head_dim) {
  const double theta = keys.find_number(keys.own("rope.freq_base")).value_or(10000);
  json rope = {{"rope_type", "default"}, {"rope_theta", theta}};
  read_scaling(keys, rope);
  read_factors(keys, theta, head_dim, rope);
  for (const char* tensor : {"rope_factors_long.weight", "rope_factors_short.weight"})
    if (keys.find_tensor(tensor) != nullptr)
      keys.reject(tensor, "factors of longrope", "none: Karat does not compute longrope");
  const std::int64_t rotated =
      keys.find_integer(keys.own("rope.dimension_count")).value_or(head_dim);
  if (rotated != head_dim)
    rope["partial_rotary_factor"] = static_cast<double>(rotated) / static_cast<double>(head_dim);
  return rope;
}

/// The size of a head where the file says it, else its share of the hidden size.
std::int64_t head_size(const GgufKeys& keys, std::int64_t hidden, std::int64_t heads) {
  const std::string key = keys.own("attention.key_length"),
                    value = keys.own("attention.value_length");
  const auto size = keys.find_integer(key);
  if (keys.find_integer(value).value_or(size.value_or(0)) != size.value_or(0) && size)
    keys.reject(value, std::to_string(*keys.find_integer(value)),
                fmt::format("{}, that of keys", *size));
  if (size) return keys.count(key);
  if (hidden % heads != 0)
    keys.reject(keys.own("attention.head_count"), std::to_string(heads),
                fmt::format("a divisor of the hidden size {}", hidden));
  return hidden / heads;
}

}  // namespace

bool in_first_block(const GgufKeys& keys, std::string_view name) {
  return keys.find_tensor("blk.0." + std::string(name)) != nullptr;
}

std::vector<GgufName> llama_names() {
  return {{"token_embd", "model.embed_tokens"},
          {"output_norm", "model.norm"},
          {"output", "lm_head"},
          {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
          {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
          {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
          {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
          {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
          {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
          {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
          {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
          {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
          {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
          {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"}};
}

json llama_config(const GgufKeys& keys, const std::string& model_type) {
  const std::int64_t hidden = keys.count(keys.own("embedding_length"));
  const std::int64_t heads = keys.count(keys.own("attention.head_count"));
  const std::string kv = keys.own("attention.head_count_kv");
  const std::int64_t head_dim = head_size(keys, hidden, heads);
  const std::string eps = keys.own("attention.layer_norm_rms_epsilon");
  if (!keys.has(eps)) keys.reject(eps, "nothing", "the epsilon of its norms");
  return {{"model_type", model_type},
          {"hidden_size", hidden},
          {"intermediate_size", keys.count(keys.own("feed_forward_length"))},
          {"num_hidden_layers", keys.count(keys.own("block_count"))},
          {"num_attention_heads", heads},
          {"num_key_value_heads", keys.has(kv) ? keys.count(kv) : heads},
          {"head_dim", head_dim},
          {"max_position_embeddings", keys.count(keys.own("context_length"))},
          {"rms_norm_eps", *keys.find_number(eps)},
          {"hidden_act", "silu"},
          {"rope_parameters", read_rope(keys, head_dim)}};
}

}  // namespace karat
