// Small configs that the tests of families, keys, rope and weights change.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "load/family.h"
#include "load/testing.h"

namespace karat::testing {

inline const nlohmann::json kLlama =
    nlohmann::json::parse(R"({"model_type":"llama","vocab_size":8,"hidden_size":64,
  "intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,
  "max_position_embeddings":2048,"rms_norm_eps":1e-5})");
inline const nlohmann::json kGpt2 =
    nlohmann::json::parse(R"({"model_type":"gpt2","vocab_size":8,"n_embd":12,"n_head":4,
  "n_layer":2,"n_positions":16})");

/// `config` with the members of `changes` on top; the text of a JSON object.
inline nlohmann::json with(nlohmann::json config, const char* changes) {
  config.update(nlohmann::json::parse(changes));
  return config;
}
inline Architecture parse(const nlohmann::json& config) {
  return parse_architecture(config.dump(), "config.json");
}
inline std::string refusal(const nlohmann::json& config) {
  return error_of([&] { parse(config); });
}

/// Two units in the last place apart, at most.
inline void near(const std::vector<float>& got, const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i] == doctest::Approx(expected[i]).epsilon(3e-7));
}

}  // namespace karat::testing
