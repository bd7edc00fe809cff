// What the tests of training share: tiny configs, text, and a folder that goes away.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>

#include "core/file.h"
#include "core/rng.h"
#include "core/temporary.h"
#include "karat/error.h"
#include "karat/train.h"

namespace karat {

inline const std::string kTinyLlama = R"({"architectures": ["LlamaForCausalLM"],
  "model_type": "llama", "vocab_size": 4096, "hidden_size": 16, "intermediate_size": 24,
  "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
  "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
  "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 0})";

inline const std::string kTinyGpt2 = R"({"architectures": ["GPT2LMHeadModel"],
  "model_type": "gpt2", "vocab_size": 4096, "n_embd": 16, "n_layer": 2, "n_head": 4,
  "n_positions": 32, "n_ctx": 32, "layer_norm_epsilon": 1e-5,
  "activation_function": "gelu_new", "bos_token_id": 0, "eos_token_id": 0})";

/// Sentences of few words, so that a tiny model has something to learn.
inline std::string tiny_text(std::uint64_t seed, int documents) {
  constexpr const char* kWords[] = {"the", "sea", "was", "calm", "and", "old", "man", "slept"};
  Rng rng(seed);
  std::string text;
  for (int d = 0; d < documents; ++d) {
    for (int i = 0; i < 40; ++i) text += fmt::format("{} ", kWords[rng.below(8)]);
    text += ".\n<|endoftext|>\n";
  }
  return text;
}

/// A config, a text and the options to train on them.
struct TrainScene {
  TemporaryFolder folder;
  TrainOptions options;

  explicit TrainScene(const std::string& config = kTinyLlama) {
    write_file(folder.path / "config.json", config);
    write_file(folder.path / "text.txt", tiny_text(1, 30));
    write_file(folder.path / "held-out.txt", tiny_text(2, 6));
    options.config = folder.path / "config.json";
    options.tokenizer = KARAT_SOURCE_DIR "/models/karat-tiny";
    options.data = {folder.path / "text.txt"};
    options.out = folder.path / "out";
    options.steps = 12;
    options.batch = 5;
    options.optimizer.lr = 0.02;
    options.optimizer.warmup = 2;
    options.log_every = 4;
    options.dtype = DType::f32;
  }
  std::string weights() const { return read_text(options.out / "model.safetensors"); }
  bool clean() const {  // nothing but what the scene wrote
    for (const auto& entry : std::filesystem::directory_iterator(folder.path))
      if (entry.path().filename().string().starts_with("out")) return false;
    return true;
  }
};

/// Asks the run to stop once `step` steps are done.
inline ProgressFn stop_at(std::int64_t step) {
  return [step](const ProgressEvent& event) { return event.stage != "train" || event.done < step; };
}

/// The text of the Error that training throws.
inline std::string failure(const TrainOptions& options) {
  try {
    train(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace karat
