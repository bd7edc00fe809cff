// What the tests of the runtime and of evaluation share: tiny models made on the spot.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/rng.h"
#include "karat/architecture.h"
#include "karat/engine.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"
#include "load/testing.h"

namespace karat::testing {

inline std::vector<float> random_floats(std::int64_t n, float scale, Rng& rng) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = scale * static_cast<float>(2 * rng.uniform() - 1);
  return values;
}

/// Ids below `vocab`.
inline std::vector<TokenId> random_ids(std::int64_t count, std::uint64_t vocab, Rng& rng) {
  std::vector<TokenId> ids(static_cast<std::size_t>(count));
  for (TokenId& id : ids) id = static_cast<TokenId>(rng.below(vocab));
  return ids;
}

/// One sequence in an engine of its own.
struct Alone {
  explicit Alone(const LanguageModel& model, EngineOptions options = {})
      : engine(model, options), sequence(engine.begin()) {}
  std::vector<float> step(std::span<const TokenId> ids) { return engine.step({sequence, ids}); }
  std::vector<float> next_logits(std::span<const TokenId> ids) {
    return engine.next_logits({sequence, ids});
  }
  std::int64_t position() const { return engine.position(sequence); }
  void rewind(std::int64_t position) { engine.rewind(sequence, position); }

  Engine engine;
  SequenceId sequence;
};

inline OwnedTensor f32_tensor(std::string name, std::vector<std::int64_t> shape,
                              const std::vector<float>& values) {
  return own_bytes(std::move(name), DType::f32, std::move(shape), std::as_bytes(std::span(values)));
}

inline void write_model(const std::filesystem::path& folder, const nlohmann::json& config,
                        const std::vector<OwnedTensor>& tensors) {
  std::ofstream(folder / "config.json") << config.dump();
  std::vector<TensorView> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
  write_safetensors(folder / "model.safetensors", views, {});
}

inline nlohmann::json tiny_config() {
  return {{"model_type", "llama"},
          {"vocab_size", 40},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 300},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"bos_token_id", 0},
          {"eos_token_id", 1}};
}

/// The same with a sliding window of 33 positions.
inline nlohmann::json windowed_config() {
  nlohmann::json config = tiny_config();
  config["model_type"] = "mistral";
  config["sliding_window"] = 33;
  return config;
}

inline nlohmann::json tiny_gpt2_config() {
  return {
      {"model_type", "gpt2"}, {"vocab_size", 40},   {"n_embd", 32},  {"n_layer", 2},
      {"n_head", 4},          {"n_positions", 300}, {"n_inner", 48}, {"layer_norm_epsilon", 1e-5}};
}

/// Random weights for every tensor that `folder`/config.json asks for.
inline std::vector<OwnedTensor> random_weights(const std::filesystem::path& folder) {
  Rng rng(11);
  std::vector<OwnedTensor> tensors;
  for (const NamedShape& named : tensor_shapes(read_architecture(folder))) {
    std::int64_t count = 1;
    for (const std::int64_t size : named.shape) count *= size;
    std::vector<float> values = random_floats(count, 0.4f, rng);
    if (named.shape.size() == 1)
      for (float& value : values) value += 1;
    tensors.push_back(f32_tensor(named.name, named.shape, values));
  }
  return tensors;
}

/// A small random Llama in `folder`.
inline void write_tiny_llama(const std::filesystem::path& folder,
                             const nlohmann::json& config = tiny_config()) {
  std::ofstream(folder / "config.json") << config.dump();
  write_model(folder, config, random_weights(folder));
}

}  // namespace karat::testing
