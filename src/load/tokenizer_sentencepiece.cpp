// tokenizer.model through the sentencepiece library (Kudo, Richardson 2018), with what Hugging Face
// adds to it: special tokens inside the text, BOS by tokenizer_config.json, and its decoder.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "karat/error.h"
#include "load/json.h"
#include "load/sentencepiece_module.h"
#include "load/tokenizer_impl.h"
#include "load/tokenizer_json.h"

namespace karat {
namespace {

/// The members of tokenizer_config.json that change ids. Defaults are those of LlamaTokenizer.
struct Config {
  bool add_bos = true, add_eos = false;
  bool space_after_special =
      true;  // "legacy": a text after a special token starts with a space too
  std::vector<AddedToken> added;
};

Config read_config(std::string_view text) {
  if (text.empty()) return {};
  const std::string name = "tokenizer_config.json";
  const nlohmann::json json = parse_json(text, name);
  const JsonNode root(json, name, "");
  Config config{.add_bos = root.flag("add_bos_token", true),
                .add_eos = root.flag("add_eos_token", false),
                .space_after_special = root.flag("legacy", true),
                .added = {}};
  if (const auto tokens = root.find("added_tokens_decoder"))
    config.added = read_added_tokens_by_id(*tokens);
  return config;
}

struct SentencePiece final : Tokenizer::Impl {
  SentencePiece(const std::string& bytes, const std::string& file, Config c)
      : config(std::move(c)), first(open_sentencepiece(bytes, file)) {
    // Fields of a protobuf message may be given again: normalizer_spec.add_dummy_prefix = false.
    if (!config.space_after_special)
      later = open_sentencepiece(bytes + "\x1a\x02\x18" + '\0', file);
    enter_special_pieces();
    std::vector<std::string> patterns;
    for (const AddedToken& token : config.added) patterns.push_back(token.content);
    matcher = std::make_unique<AddedTokenMatcher>(config.added, patterns);
    const std::vector<int> ids = encode_with(*first, "a");
    decoder = sentencepiece_decoder(!ids.empty() && first->piece(ids[0]).starts_with("▁"));
  }

  void enter_special_pieces() {
    for (const AddedToken& token : config.added) enter(token);
    for (int id = 0; id < first->size(); ++id) {
      if (!first->is_special(id)) continue;
      if (added_vocabulary.token(id)) continue;
      config.added.push_back({.id = id, .content = first->piece(id), .special = true});
      enter(config.added.back());
    }
  }

  void enter(const AddedToken& token) {
    if (token.id < first->size() && first->piece(token.id) != token.content)
      fail("read tokenizer_config.json", fmt::format("id {} for “{}”", token.id, token.content),
           fmt::format("“{}” as in tokenizer.model", first->piece(token.id)));
    added_vocabulary.add(token.content, token.id);
    if (token.special) special_ids.insert(token.id);
  }

  static std::vector<int> encode_with(const SentencePieceModel& model, std::string_view text) {
    std::string error;
    std::vector<int> ids = model.encode(text, error);
    if (!error.empty()) fail("encode text", error, "text that sentencepiece accepts");
    return ids;
  }

  std::vector<TokenId> encode(std::string_view text, bool special) const override {
    std::vector<TokenId> ids;
    if (special && bos()) ids.push_back(*bos());
    matcher->split(text, [&](std::string_view part, const AddedToken* token) {
      if (token) return ids.push_back(token->id);
      const bool at_start = part.data() == text.data();
      const auto part_ids = encode_with(at_start || !later ? *first : *later, part);
      ids.insert(ids.end(), part_ids.begin(), part_ids.end());
    });
    if (special && config.add_eos && first->eos() >= 0) ids.push_back(first->eos());
    return ids;
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    for (const TokenId id : ids) {
      if (skip_special && special_ids.contains(id)) continue;
      if (const std::string* token = added_vocabulary.token(id))
        tokens.push_back(*token);
      else if (id >= 0 && id < first->size())
        tokens.push_back(first->piece(id));
    }
    decoder(tokens);
    std::string text;
    for (const std::string& token : tokens) text += token;
    return text;
  }

  std::optional<TokenId> bos() const override {
    return config.add_bos && first->bos() >= 0 ? std::optional(first->bos()) : std::nullopt;
  }

  std::optional<TokenId> find(std::string_view token) const override {
    if (const auto id = added_vocabulary.find(token)) return id;
    const int id = first->find(token);  // the unknown piece if absent
    if (id < 0 || id >= first->size() || first->piece(id) != token) return std::nullopt;
    return id;
  }

  std::int64_t vocab_size() const override {
    return std::max<std::int64_t>(added_vocabulary.size(), first->size());
  }

  Config config;
  std::unique_ptr<SentencePieceModel> first, later;  // with and without a space in front
  Vocabulary added_vocabulary;
  std::unique_ptr<AddedTokenMatcher> matcher;
  std::unordered_set<TokenId> special_ids;
  Decode decoder;
};

}  // namespace

std::shared_ptr<const Tokenizer::Impl> Tokenizer::Impl::from_sentencepiece(
    const std::string& model, std::string_view config, const std::string& name) {
  return std::make_shared<SentencePiece>(model, name, read_config(config));
}

}  // namespace karat
