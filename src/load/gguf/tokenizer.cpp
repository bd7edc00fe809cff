// The tokenizer in a GGUF file's metadata, as the files of a Hugging Face folder: tokenizer.json
// for byte-level BPE ("gpt2"), a sentencepiece model for BPE by scores ("llama").
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_set>

#include "core/checked.h"
#include "karat/error.h"
#include "load/gguf/model.h"
#include "load/gguf/pre_tokenizer.h"
#include "load/gguf/sentencepiece.h"
#include "load/json.h"
#include "load/tokenizer_text.h"

namespace karat {
namespace {

using nlohmann::json;

constexpr int kUnknown = 2, kControl = 3, kOfUser = 4, kUnused = 5;  // token types

std::string key_of(const std::string& name) {
  return "tokenizer.ggml." + name;
}

std::vector<std::string> texts_in(const GgufKeys& keys, const std::string& key) {
  std::vector<std::string> texts;
  for (const std::string_view text : keys.texts(key)) {
    if (valid_utf8(text) != text)
      keys.reject(key, fmt::format("bytes that are no UTF-8 at {}", texts.size()), "texts");
    texts.emplace_back(text);
  }
  return texts;
}

struct Tokens {
  std::vector<std::string> texts;
  std::vector<int> types;  // as many
};

Tokens read_tokens(const GgufKeys& keys) {
  Tokens tokens{texts_in(keys, key_of("tokens")), {}};
  tokens.types.assign(tokens.texts.size(), 1);
  const std::vector<double> types = keys.numbers(key_of("token_type"), tokens.texts.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (!(types[i] >= 1 && types[i] <= 6))
      keys.reject(key_of("token_type"), fmt::format("{} at {}", types[i], i), "types 1 to 6");
    tokens.types[i] = static_cast<int>(types[i]);
  }
  return tokens;
}

std::optional<std::int64_t> token_id(const GgufKeys& keys, const Tokens& tokens,
                                     const std::string& role) {
  const std::string key = key_of(role + "_token_id");
  const auto id = keys.find_integer(key);
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= static_cast<std::int64_t>(tokens.texts.size()))
    keys.reject(key, std::to_string(*id), fmt::format("below {}", tokens.texts.size()));
  return id;
}

/// tokenizer_config.json: what stands around texts, which tokens have a role, the chat's template.
json side_config(const GgufKeys& keys, const Tokens& tokens, const char* kind, bool bos) {
  json config = {{"tokenizer_class", kind},
                 {"add_bos_token", keys.find_flag(key_of("add_bos_token")).value_or(bos)},
                 {"add_eos_token", keys.find_flag(key_of("add_eos_token")).value_or(false)}};
  for (const auto& [role, name] :
       {std::pair("bos", "bos_token"), std::pair("eos", "eos_token"),
        std::pair("unknown", "unk_token"), std::pair("padding", "pad_token")})
    if (const auto id = token_id(keys, tokens, role))
      config[name] = tokens.texts[static_cast<std::size_t>(*id)];
  if (const auto chat = keys.find_text("tokenizer.chat_template")) config["chat_template"] = *chat;
  return config;
}

/// BOS and EOS around a text, as a post-processor.
json frame_of(const GgufKeys& keys, const Tokens& tokens, const json& config) {
  json single = json::array(), special = json::object();
  const auto put = [&](const char* flag, const char* role) {
    const auto id = token_id(keys, tokens, role);
    if (!config[flag].get<bool>() || !id) return;
    const std::string& text = tokens.texts[static_cast<std::size_t>(*id)];
    single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    special[text] = {{"id", text}, {"ids", {*id}}, {"tokens", {text}}};
  };
  put("add_bos_token", "bos");
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  put("add_eos_token", "eos");
  if (special.empty()) return nullptr;
  const json pair = {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                     {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}};
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

json added_token(std::size_t id, const std::string& text, bool special) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

const GgufPreTokenizer& words_of(const GgufKeys& keys) {
  const std::string key = key_of("pre"), name = keys.find_text(key).value_or("");
  const GgufPreTokenizer* found = find_gguf_pre_tokenizer(name);
  if (found == nullptr)
    keys.reject(key, name.empty() ? "nothing" : excerpt(name),
                fmt::format("one of {}", fmt::join(gguf_pre_tokenizers(), ", ")),
                "without its rules texts would be split into other tokens");
  return *found;
}

json byte_level(const GgufKeys& keys, const Tokens& tokens, const json& config) {
  const GgufPreTokenizer& words = words_of(keys);
  json vocabulary = json::object(), added = json::array();
  for (std::size_t id = 0; id < tokens.texts.size(); ++id) {
    const std::string& text = tokens.texts[id];
    const int type = tokens.types[id];
    if (type == kUnused && text == fmt::format("[PAD{}]", id)) continue;  // fills up the matrix
    if (!vocabulary.emplace(text, id).second)
      keys.reject(key_of("tokens"), "the token " + excerpt(text) + " twice", "once");
    if (type == kControl || type == kUnknown || type == kOfUser)
      added.push_back(added_token(id, text, type != kOfUser));
  }
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", words.normalizer()},
          {"pre_tokenizer",
           words.pre_tokenizer(keys.find_flag(key_of("add_space_prefix")).value_or(false))},
          {"post_processor", frame_of(keys, tokens, config)},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", words.whole_words},
            {"vocab", std::move(vocabulary)},
            {"merges", texts_in(keys, key_of("merges"))}}}};
}

std::string pieces_of(const GgufKeys& keys, const Tokens& tokens, bool spaced) {
  const std::vector<double> scores = keys.numbers(key_of("scores"), tokens.texts.size());
  if (scores.empty()) keys.reject(key_of("scores"), "nothing", "a score for every token");
  SentencePieces pieces{.spaced = spaced};
  for (std::size_t i = 0; i < tokens.texts.size(); ++i)
    pieces.pieces.push_back({tokens.texts[i], static_cast<float>(scores[i]), tokens.types[i]});
  pieces.unknown = token_id(keys, tokens, "unknown");
  // Gemma 3's files count it among the control tokens; sentencepiece asks for its own type.
  if (pieces.unknown) pieces.pieces[static_cast<std::size_t>(*pieces.unknown)].type = kUnknown;
  pieces.bos = token_id(keys, tokens, "bos");
  pieces.eos = token_id(keys, tokens, "eos");
  return sentencepiece_model(pieces);
}

std::map<std::string, std::string> files_of(const GgufKeys& keys) {
  const std::string kind = keys.text(key_of("model"));
  if (kind != "gpt2" && kind != "llama")
    keys.reject(key_of("model"), excerpt(kind), "gpt2 or llama",
                "Karat reads byte-level BPE and sentencepiece's BPE");
  const Tokens tokens = read_tokens(keys);
  std::map<std::string, std::string> files;
  json config;
  if (kind == "gpt2") {
    config = side_config(keys, tokens, "PreTrainedTokenizerFast", words_of(keys).bos);
    files["tokenizer.json"] = byte_level(keys, tokens, config).dump();
  } else {
    const bool spaced = keys.find_flag(key_of("add_space_prefix")).value_or(true);
    config = side_config(keys, tokens, "LlamaTokenizer", true);
    if (!spaced) config["add_prefix_space"] = false;
    files["tokenizer.model"] = pieces_of(keys, tokens, spaced);
  }
  files["tokenizer_config.json"] = config.dump(2) + "\n";
  return files;
}

}  // namespace

std::map<std::string, std::string> gguf_tokenizer(const GgufModel& model) {
  std::map<std::string, std::string> files;
  checked(model, [&] { files = files_of(model.keys()); });
  return files;
}

}  // namespace karat
