// tokenizer.json as a whole: added tokens out of the raw text, normalize, the other added tokens
// out of the normalized text, split into words, merge, frame with BOS.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "load/json.h"
#include "load/tokenizer_impl.h"
#include "load/tokenizer_json.h"
#include "load/tokenizer_merges.h"
#include "load/tokenizer_side.h"

namespace karat {
namespace {

std::vector<AddedToken> only_normalized(std::vector<AddedToken> tokens, bool normalized) {
  std::erase_if(tokens, [&](const AddedToken& token) { return token.normalized != normalized; });
  return tokens;
}

AddedTokenMatcher matcher(std::vector<AddedToken> tokens, const Normalize& normalize) {
  // Special tokens come first among equal patterns.
  std::stable_partition(tokens.begin(), tokens.end(), [](const auto& t) { return t.special; });
  std::vector<std::string> patterns;
  for (const AddedToken& token : tokens)
    patterns.push_back(normalize ? normalize(token.content) : token.content);
  return {std::move(tokens), patterns};
}

struct HuggingFace final : Tokenizer::Impl {
  /// `frame_told`: the side files say what stands around a text, not the post-processor.
  HuggingFace(const JsonNode& root, const SideTokens& side, bool frame_told)
      : bpe(read_bpe(root.at("model"))),
        added(all_added(root, side)),
        normalize(read_normalizer(root.find("normalizer"))),
        pre_tokenize(read_pre_tokenizer(root.find("pre_tokenizer"))),
        decoder(read_decoder(root.find("decoder"))),
        frame(frame_told ? told_frame(side) : read_post_processor(root.find("post_processor"))),
        raw_tokens(matcher(only_normalized(added, false), nullptr)),
        normalized_tokens(matcher(only_normalized(added, true), normalize)) {
    root.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
               "post_processor", "decoder", "model"});
    for (const AddedToken& token : added) {
      std::string text = token.normalized ? normalize(token.content) : token.content;
      // Hugging Face asks whether the text that it decodes is a special token's.
      if (token.special && text == token.content) special_ids.insert(token.id);
      if (text != token.content) normalized_texts.emplace(token.id, std::move(text));
    }
    for (const auto* side : {&frame.before, &frame.after})
      for (const TokenId id : *side)
        if (!token_of(id))
          root.at("post_processor").reject(fmt::format("id {}", id), "the id of a token");
  }

  std::vector<AddedToken> all_added(const JsonNode& root, const SideTokens& side) {
    std::vector<AddedToken> own = read_added_tokens(root);
    for (const AddedToken& token : own) enter(token, root);
    const ModelTokens model{
        [&](const std::string& content) { return bpe.vocabulary().find(content); },
        bpe.vocabulary().count()};
    std::vector<AddedToken> all = with_side_tokens(std::move(own), side, model);
    for (const AddedToken& token : all) added_vocabulary.add(token.content, token.id);
    return all;
  }

  Frame told_frame(const SideTokens& side) const {
    Frame told;
    const auto put = [&](std::optional<bool> wanted, const char* role,
                         std::vector<TokenId>& where) {
      const auto token = side.role(role, "");
      if (!wanted.value_or(false) || !token) return;
      if (const auto id = find(*token)) where.push_back(*id);
    };
    put(side.add_bos, "bos_token", told.before);
    put(side.add_eos, "eos_token", told.after);
    return told;
  }

  // An added token may repeat one of the model, but not contradict it.
  void enter(const AddedToken& token, const JsonNode& root) {
    const std::string* same_id = bpe.vocabulary().token(token.id);
    const auto same_text = bpe.vocabulary().find(token.content);
    if ((same_id && *same_id != token.content) || (same_text && *same_text != token.id))
      root.at("added_tokens")
          .reject(fmt::format("id {} for “{}”", token.id, token.content),
                  same_id ? fmt::format("“{}” as in the model", *same_id)
                          : fmt::format("id {} as in the model", *same_text));
    added_vocabulary.add(token.content, token.id);
  }

  const std::string* token_of(TokenId id) const {
    const std::string* token = added_vocabulary.token(id);
    return token ? token : bpe.vocabulary().token(id);
  }

  std::vector<TokenId> encode(std::string_view text, bool special) const override {
    std::vector<TokenId> ids;
    if (special) ids = frame.before;
    WordCache words(bpe);
    raw_tokens.split(text, [&](std::string_view part, const AddedToken* token) {
      if (token) return ids.push_back(token->id);
      encode_raw(part, part.data() == text.data(), words, ids);
    });
    if (special) ids.insert(ids.end(), frame.after.begin(), frame.after.end());
    return ids;
  }

  void encode_raw(std::string_view raw, bool at_start, WordCache& words,
                  std::vector<TokenId>& ids) const {
    const std::string text = normalize(std::string(raw));
    const Emit word = [&](Piece piece) { words.encode(piece.text, ids); };
    normalized_tokens.split(text, [&](std::string_view part, const AddedToken* token) {
      if (token) return ids.push_back(token->id);
      pre_tokenize({part, at_start && part.data() == text.data()}, word);
    });
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    for (const TokenId id : ids) {
      if (skip_special && special_ids.contains(id)) continue;
      const auto normalized = normalized_texts.find(id);
      if (normalized != normalized_texts.end())
        tokens.push_back(normalized->second);
      else if (const std::string* token = token_of(id))
        tokens.push_back(*token);
    }
    decoder(tokens);
    std::string text;
    for (const std::string& token : tokens) text += token;
    return text;
  }

  std::optional<TokenId> bos() const override {
    return frame.before.empty() ? std::nullopt : std::optional(frame.before.front());
  }
  std::optional<TokenId> find(std::string_view token) const override {
    const auto id = added_vocabulary.find(token);
    return id ? id : bpe.vocabulary().find(token);
  }
  std::optional<std::string> piece(TokenId id) const override {
    const std::string* token = token_of(id);
    return token ? std::optional(*token) : std::nullopt;
  }
  std::int64_t vocab_size() const override {
    return std::max(added_vocabulary.size(), bpe.vocabulary().size());
  }

  Bpe bpe;
  Vocabulary added_vocabulary;  // apart from the model's: its words never become added tokens
  std::vector<AddedToken> added;
  Normalize normalize;
  PreTokenize pre_tokenize;
  Decode decoder;
  Frame frame;
  AddedTokenMatcher raw_tokens, normalized_tokens;
  std::unordered_set<TokenId> special_ids;
  std::unordered_map<TokenId, std::string> normalized_texts;  // of tokens found in normalized text
};

}  // namespace

std::shared_ptr<const Tokenizer::Impl> Tokenizer::Impl::from_json(std::string_view text,
                                                                  const std::string& name,
                                                                  const SideFiles& side) {
  const nlohmann::json json = parse_json(text, name);
  return std::make_shared<HuggingFace>(JsonNode(json, name, ""), read_side_tokens(side), false);
}

std::shared_ptr<const Tokenizer::Impl> Tokenizer::Impl::from_merges(std::string_view vocab,
                                                                    std::string_view merges,
                                                                    const std::string& name,
                                                                    const SideFiles& files,
                                                                    const std::string& model_type) {
  const std::string kind = merges_class(read_side_tokens(files), model_type, name);
  const SideTokens side = read_side_tokens(files, default_roles(kind));
  const nlohmann::json json =
      merges_as_json(vocab, merges, name, kind, side.add_prefix_space.value_or(false));
  return std::make_shared<HuggingFace>(JsonNode(json, name, ""), side, true);
}

}  // namespace karat
