#include "load/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "karat/error.h"
#include "load/tokenizer_text.h"

namespace karat {

std::string JsonNode::shown() const {
  using nlohmann::json;
  if (json_->is_object() || json_->is_array()) return json_->type_name();
  return json_->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 80);
}

void JsonNode::reject(const std::string& got, const std::string& expected) const {
  fail("read " + file_, fmt::format("{}: {}", place_.empty() ? "the top level" : place_, got),
       expected);
}

JsonNode JsonNode::at(const std::string& key) const {
  if (!json_->is_object()) reject(shown(), "an object with " + key);
  const auto found = json_->find(key);
  if (found == json_->end()) reject("no " + key, "one");
  return {*found, file_, place_.empty() ? key : place_ + "." + key};
}

std::optional<JsonNode> JsonNode::find(const std::string& key) const {
  if (!json_->is_object()) reject(shown(), "an object");
  const auto found = json_->find(key);
  if (found == json_->end() || found->is_null()) return std::nullopt;
  return at(key);
}

std::vector<JsonNode> JsonNode::items(const std::string& key) const {
  const JsonNode array = at(key);
  if (!array.json().is_array()) array.reject(array.shown(), "an array");
  std::vector<JsonNode> out;
  for (const auto& item : array.json())
    out.emplace_back(item, file_, fmt::format("{}[{}]", array.place_, out.size()));
  return out;
}

std::string JsonNode::text(const std::string& key) const {
  const JsonNode node = at(key);
  if (!node.json().is_string()) node.reject(node.shown(), "a string");
  return node.json().get<std::string>();
}

bool JsonNode::flag(const std::string& key, std::optional<bool> fallback) const {
  if (fallback && !find(key)) return *fallback;
  const JsonNode node = at(key);
  if (!node.json().is_boolean()) node.reject(node.shown(), "true or false");
  return node.json().get<bool>();
}

std::int64_t JsonNode::integer(const std::string& key) const {
  const JsonNode node = at(key);
  if (!node.json().is_number_integer()) node.reject(node.shown(), "an integer");
  if (node.json().is_number_unsigned() && node.json().get<std::uint64_t>() > INT64_MAX)
    node.reject(node.shown(), "an integer below 2^63");
  return node.json().get<std::int64_t>();
}

void JsonNode::only(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, value] : json_->items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      reject(fmt::format("{} = {}", key, JsonNode(value, file_, place_).shown()),
             fmt::format("only {}, which Karat understands", fmt::join(known, ", ")));
}

namespace {

AddedToken read_added_token(const JsonNode& node, std::int64_t id) {
  if (id < 0 || id >= kVocabularyLimit)
    node.reject(fmt::format("id {}", id), fmt::format("0 ≤ id < {}", kVocabularyLimit));
  const bool special = node.flag("special", false);
  return {.id = static_cast<TokenId>(id),
          .content = node.text("content"),
          .single_word = node.flag("single_word", false),
          .lstrip = node.flag("lstrip", false),
          .rstrip = node.flag("rstrip", false),
          .normalized = node.flag("normalized", !special),
          .special = special};
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const JsonNode& root) {
  std::vector<AddedToken> out;
  if (!root.find("added_tokens")) return out;
  for (const JsonNode& node : root.items("added_tokens"))
    out.push_back(read_added_token(node, node.integer("id")));
  return out;
}

std::vector<AddedToken> read_added_tokens_by_id(const JsonNode& tokens) {
  std::vector<AddedToken> out;
  if (!tokens.json().is_object()) tokens.reject(tokens.shown(), "an object of id: token");
  for (const auto& [key, value] : tokens.json().items()) {
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size())
      tokens.reject("key " + key.substr(0, 80), "an id");
    out.push_back(read_added_token(tokens.at(key), id));
  }
  return out;
}

namespace {

std::vector<TokenId> template_ids(const JsonNode& processor, const std::string& name) {
  const JsonNode entry = processor.at("special_tokens").at(name);
  std::vector<TokenId> ids;
  for (const JsonNode& id : entry.items("ids")) {
    if (!id.json().is_number_unsigned() || id.json().get<std::uint64_t>() >= kVocabularyLimit)
      id.reject(id.shown(), fmt::format("0 ≤ id < {}", kVocabularyLimit));
    ids.push_back(id.json().get<TokenId>());
  }
  return ids;
}

Frame read_template(const JsonNode& processor) {
  processor.only({"type", "single", "pair", "special_tokens"});
  Frame frame;
  bool text_seen = false;
  for (const JsonNode& item : processor.items("single")) {
    if (const auto token = item.find("SpecialToken")) {
      auto& side = text_seen ? frame.after : frame.before;
      const auto ids = template_ids(processor, token->text("id"));
      side.insert(side.end(), ids.begin(), ids.end());
    } else {
      if (item.at("Sequence").text("id") != "A" || text_seen)
        item.reject("another sequence than A, or A twice", "A once");
      text_seen = true;
    }
  }
  if (!text_seen) processor.reject("a template without sequence A", "A once");
  return frame;
}

}  // namespace

Frame read_post_processor(const std::optional<JsonNode>& node) {
  if (!node) return {};
  const std::string type = node->type();
  if (type == "ByteLevel") return {};  // moves offsets only, never ids
  if (type == "TemplateProcessing") return read_template(*node);
  if (type != "Sequence")
    node->reject("post-processor " + type, "ByteLevel, Sequence or TemplateProcessing");
  Frame all;
  for (const JsonNode& item : node->items("processors")) {
    if (item.type() == "Sequence") item.reject("a Sequence in a Sequence", "a flat one");
    const Frame frame = read_post_processor(item);
    all.before.insert(all.before.begin(), frame.before.begin(), frame.before.end());
    all.after.insert(all.after.end(), frame.after.begin(), frame.after.end());
  }
  return all;
}

namespace {

Vocabulary read_vocabulary(const JsonNode& model) {
  const JsonNode node = model.at("vocab");
  if (!node.json().is_object()) node.reject(node.shown(), "an object of token: id");
  Vocabulary vocabulary;
  for (const auto& [token, id] : node.json().items()) {
    if (!id.is_number_integer())
      node.reject(fmt::format("id {} of “{}”", JsonNode(id, "", "").shown(), token), "an integer");
    const bool huge = id.is_number_unsigned() && id.get<std::uint64_t>() > INT64_MAX;
    vocabulary.add(token, huge ? INT64_MAX : id.get<std::int64_t>());
  }
  return vocabulary;
}

// Both spellings: "left right", and ["left", "right"] since tokenizers 0.20.
Bpe::Pair read_merge(const JsonNode& node) {
  const auto& json = node.json();
  if (json.is_array() && json.size() == 2 && json[0].is_string() && json[1].is_string())
    return {json[0].get_ref<const std::string&>(), json[1].get_ref<const std::string&>()};
  if (json.is_string()) {
    const std::string_view text = json.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  node.reject(node.shown(), "“left right” or [left, right]");
}

std::vector<Bpe::Pair> read_merges(const JsonNode& model) {
  std::vector<Bpe::Pair> merges;
  for (const JsonNode& node : model.items("merges")) {
    const auto& json = node.json();
    if (json.is_string() && json.get_ref<const std::string&>().starts_with("#version")) continue;
    merges.push_back(read_merge(node));
  }
  return merges;
}

/// The kind of model; old files do not say it.
std::string kind_of(const JsonNode& model) {
  if (model.find("type")) return model.type();
  if (const auto vocab = model.find("vocab"); vocab && vocab->json().is_array()) return "Unigram";
  if (model.find("max_input_chars_per_word")) return "WordPiece";
  return model.find("merges") ? "BPE" : "WordLevel";
}

void refuse_unsupported(const JsonNode& model) {
  if (kind_of(model) != "BPE")
    model.reject("model type " + kind_of(model), "BPE, the type that Karat reads");
  model.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
              "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (const auto dropout = model.find("dropout"); dropout && dropout->json() != 0.0)
    dropout->reject(dropout->shown(), "null, because ids must not depend on chance");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const auto affix = model.find(key); affix && affix->json() != "")
      affix->reject(affix->shown(), "null or an empty string");
}

}  // namespace

Bpe read_bpe(const JsonNode& model) {
  refuse_unsupported(model);
  Vocabulary vocabulary = read_vocabulary(model);
  BpeOptions options{.unknown = {},
                     .fuse_unknown = model.flag("fuse_unk", false),
                     .byte_fallback = model.flag("byte_fallback", false),
                     .ignore_merges = model.flag("ignore_merges", false)};
  if (model.find("unk_token")) {
    options.unknown = vocabulary.find(model.text("unk_token"));
    if (!options.unknown) model.at("unk_token").reject(model.text("unk_token"), "a token of vocab");
  }
  return {std::move(vocabulary), read_merges(model), options};
}

}  // namespace karat
