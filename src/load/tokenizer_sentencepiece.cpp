// tokenizer.model through the sentencepiece library (Kudo, Richardson 2018), with what Hugging Face
// adds to it: added tokens inside the text, BOS and EOS by tokenizer_config.json, and its decoder.
#include <fmt/format.h>

#include <unordered_set>
#include <utility>

#include "karat/error.h"
#include "load/sentencepiece_module.h"
#include "load/tokenizer_impl.h"
#include "load/tokenizer_json.h"
#include "load/tokenizer_side.h"

namespace karat {
namespace {

struct SentencePiece final : Tokenizer::Impl {
  SentencePiece(const std::string& bytes, const std::string& file, const SideTokens& side)
      : first(open_sentencepiece(bytes, file)) {
    const bool spaced = side.add_prefix_space.value_or(true);
    const bool legacy = side.legacy.value_or(true);  // a text after a token starts with a space too
    // Fields of a protobuf message may be given again: normalizer_spec.add_dummy_prefix = false.
    if (!spaced || !legacy) later = open_sentencepiece(bytes + "\x1a\x02\x18" + '\0', file);
    if (!spaced) first = std::exchange(later, nullptr);
    const std::vector<AddedToken> added = all_added(side);
    std::vector<std::string> patterns;
    for (const AddedToken& token : added) patterns.push_back(token.content);
    matcher = std::make_unique<AddedTokenMatcher>(added, patterns);
    const std::vector<int> ids = encode_with(*first, "a");
    decoder = sentencepiece_decoder(!ids.empty() && first->piece(ids[0]).starts_with("▁"));
    frame(side);
  }

  /// The control pieces and the unknown one, and what the files beside the model add to them.
  std::vector<AddedToken> all_added(const SideTokens& side) {
    std::vector<AddedToken> own;
    for (int id = 0; id < first->size(); ++id)
      if (first->is_special(id))
        own.push_back({.id = id, .content = first->piece(id), .special = true});
    const ModelTokens model{[&](const std::string& piece) { return find_piece(piece); },
                            first->size()};
    std::vector<AddedToken> all = with_side_tokens(std::move(own), side, model);
    for (const AddedToken& token : all) {
      added_vocabulary.add(token.content, token.id);
      if (token.special) special_ids.insert(token.id);
    }
    return all;
  }

  /// What stands around a text: LlamaTokenizer adds a BOS unless it is told not to.
  void frame(const SideTokens& side) {
    const auto id_of = [&](const char* role, int id) -> std::optional<TokenId> {
      const auto token = side.role(role, id >= 0 ? first->piece(id) : "");
      return token ? find(*token) : std::nullopt;
    };
    if (side.add_bos.value_or(true)) before = id_of("bos_token", first->bos());
    if (side.add_eos.value_or(false)) after = id_of("eos_token", first->eos());
  }

  static std::vector<int> encode_with(const SentencePieceModel& model, std::string_view text) {
    std::string error;
    std::vector<int> ids = model.encode(text, error);
    if (!error.empty()) fail("encode text", error, "text that sentencepiece accepts");
    return ids;
  }

  std::vector<TokenId> encode(std::string_view text, bool special) const override {
    std::vector<TokenId> ids;
    if (special && before) ids.push_back(*before);
    matcher->split(text, [&](std::string_view part, const AddedToken* token) {
      if (token) return ids.push_back(token->id);
      const bool at_start = part.data() == text.data();
      const auto part_ids = encode_with(at_start || !later ? *first : *later, part);
      ids.insert(ids.end(), part_ids.begin(), part_ids.end());
    });
    if (special && after) ids.push_back(*after);
    return ids;
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    for (const TokenId id : ids) {
      if (skip_special && special_ids.contains(id)) continue;
      if (auto token = piece(id)) tokens.push_back(std::move(*token));
    }
    decoder(tokens);
    std::string text;
    for (const std::string& token : tokens) text += token;
    return text;
  }

  std::optional<TokenId> bos() const override { return before; }

  std::optional<TokenId> find(std::string_view token) const override {
    const auto id = added_vocabulary.find(token);
    return id ? id : find_piece(token);
  }

  std::optional<TokenId> find_piece(std::string_view token) const {
    const int id = first->find(token);  // the unknown piece if absent
    if (id < 0 || id >= first->size() || first->piece(id) != token) return std::nullopt;
    return id;
  }

  std::optional<std::string> piece(TokenId id) const override {
    if (const std::string* token = added_vocabulary.token(id)) return *token;
    return id >= 0 && id < first->size() ? std::optional(first->piece(id)) : std::nullopt;
  }

  std::int64_t vocab_size() const override {
    return std::max<std::int64_t>(added_vocabulary.size(), first->size());
  }

  std::unique_ptr<SentencePieceModel> first, later;  // with and without a space in front
  std::optional<TokenId> before, after;
  Vocabulary added_vocabulary;
  std::unique_ptr<AddedTokenMatcher> matcher;
  std::unordered_set<TokenId> special_ids;
  Decode decoder;
};

}  // namespace

std::shared_ptr<const Tokenizer::Impl> Tokenizer::Impl::from_sentencepiece(const std::string& model,
                                                                           const std::string& name,
                                                                           const SideFiles& side) {
  return std::make_shared<SentencePiece>(model, name, read_side_tokens(side));
}

}  // namespace karat
