// tokenizer.json (github.com/huggingface/tokenizers): checked access to its values, and the reader
// of each of its parts. What is not understood is refused by name, never skipped.
#pragma once

#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "load/tokenizer_added.h"
#include "load/tokenizer_bpe.h"

namespace karat {

constexpr int kNesting = 8;  // normalizers, pre-tokenizers and decoders within Sequences

/// A value together with its place in the file, which every error names.
class JsonNode {
 public:
  JsonNode(const nlohmann::json& json, std::string file, std::string place)
      : json_(&json), file_(std::move(file)), place_(std::move(place)) {}

  const nlohmann::json& json() const { return *json_; }
  JsonNode at(const std::string& key) const;                   // required
  std::optional<JsonNode> find(const std::string& key) const;  // absent or null: nothing
  std::vector<JsonNode> items(const std::string& key) const;   // required array
  std::string text(const std::string& key) const;
  bool flag(const std::string& key, std::optional<bool> fallback = {}) const;
  std::int64_t integer(const std::string& key) const;
  std::string type() const { return text("type"); }
  /// Refuses members other than these: an unknown option may change every id.
  void only(std::initializer_list<std::string_view> known) const;
  [[noreturn]] void reject(const std::string& got, const std::string& expected) const;
  std::string shown() const;  // the value, shortened, for messages

 private:
  const nlohmann::json* json_;
  std::string file_, place_;
};

using Normalize = std::function<std::string(std::string)>;

/// A stretch of normalized text on its way to the model.
struct Piece {
  std::string_view text;
  bool at_start;  // its first character is the first of the whole input
};
using Emit = std::function<void(Piece)>;
using PreTokenize = std::function<void(Piece, const Emit&)>;
using Decode = std::function<void(std::vector<std::string>&)>;

/// What the post-processor puts around the ids of a text.
struct Frame {
  std::vector<TokenId> before, after;
};

// A missing node gives the step that does nothing, except for the decoder: Hugging Face joins the
// tokens with spaces then.
Normalize read_normalizer(const std::optional<JsonNode>& node);
PreTokenize read_pre_tokenizer(const std::optional<JsonNode>& node);
Decode read_decoder(const std::optional<JsonNode>& node);
Frame read_post_processor(const std::optional<JsonNode>& node);
std::vector<AddedToken> read_added_tokens(const JsonNode& root);
std::vector<AddedToken> read_added_tokens_by_id(const JsonNode& tokens);  // {"0": {…}, …}
Bpe read_bpe(const JsonNode& model);

Decode sentencepiece_decoder(bool strip_first_space);  // ▁ to space, <0xNN> to bytes, fuse, strip

}  // namespace karat
