// Models that know which letter follows which, for tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "karat/language_model.h"
#include "run/testing.h"

namespace karat::testing {

// Letters a … z are tokens 1 … 26, BOS is 0, a blank is 27.
inline std::string letters_tokenizer(bool bos) {
  nlohmann::json vocab{{"<s>", 0}, {"Ġ", 27}};
  for (int i = 0; i < 26; ++i) vocab[std::string(1, static_cast<char>('a' + i))] = i + 1;
  nlohmann::json json{
      {"version", "1.0"},
      {"added_tokens",
       {{{"id", 0},
         {"content", "<s>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
  const nlohmann::json first{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const nlohmann::json rest{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  if (bos)
    json["post_processor"] = {
        {"type", "TemplateProcessing"},
        {"single", {first, rest}},
        {"pair", nlohmann::json::array()},
        {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}}}}};
  return json.dump();
}

constexpr std::int64_t kVocab = 28;

/// A model that knows which letter follows which: o and down are 0, so a token's state is its own
/// normed embedding, e_i · √vocab, and its logits are column i of the head times √vocab.
struct Bigrams {
  explicit Bigrams(bool bos, std::int64_t context = 512, std::uint64_t seed = 1) {
    const nlohmann::json config{{"model_type", "llama"},       {"vocab_size", kVocab},
                                {"hidden_size", kVocab},       {"intermediate_size", 8},
                                {"num_hidden_layers", 1},      {"num_attention_heads", 2},
                                {"rms_norm_eps", 1e-12},       {"max_position_embeddings", context},
                                {"tie_word_embeddings", false}};
    folder.write("config.json", config.dump());
    auto tensors = random_weights(folder.path());
    Rng rng(seed);
    head = random_floats(kVocab * kVocab, 1, rng);
    for (OwnedTensor& tensor : tensors) {
      std::vector<float> values = to_floats(tensor.view());
      if (tensor.name == "lm_head.weight") values = head;
      if (tensor.name == "model.norm.weight") std::fill(values.begin(), values.end(), 1.0f);
      if (tensor.name.ends_with("o_proj.weight") || tensor.name.ends_with("down_proj.weight") ||
          tensor.name == "model.embed_tokens.weight")
        std::fill(values.begin(), values.end(), 0.0f);
      if (tensor.name == "model.embed_tokens.weight")
        for (std::size_t i = 0; i < kVocab; ++i) values[i * (kVocab + 1)] = 1;
      tensor = f32_tensor(tensor.name, tensor.shape, values);
    }
    write_model(folder.path(), config, tensors);
    folder.write("tokenizer.json", letters_tokenizer(bos));
  }
  double log_p(TokenId now, TokenId next) const {
    double sum = 0;
    for (TokenId i = 0; i < kVocab; ++i) sum += std::exp(logit(now, i));
    return logit(now, next) - std::log(sum);
  }
  double logit(TokenId now, TokenId next) const {
    return head[static_cast<std::size_t>(next * kVocab + now)] * std::sqrt(double(kVocab));
  }
  LanguageModel open() const { return LanguageModel::open(folder.path()); }
  TempFolder folder;
  std::vector<float> head;  // [vocab, vocab]
};

inline std::string random_letters(std::size_t count) {
  Rng rng(9);
  std::string text(count, 'a');
  for (char& letter : text) letter = static_cast<char>('a' + rng.below(26));
  return text;
}

inline TokenId letter(char c) {
  return static_cast<TokenId>(c - 'a' + 1);
}

}  // namespace karat::testing
