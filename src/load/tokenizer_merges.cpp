#include "load/tokenizer_merges.h"

#include <fmt/format.h>

#include "core/lines.h"
#include "karat/error.h"
#include "load/json.h"

namespace karat {
namespace {

using nlohmann::json;
constexpr const char* kEnd = "<|endoftext|>";
constexpr std::string_view kQwen2 = "Qwen2Tokenizer";
// The words of Qwen2Tokenizer: like GPT-4's, but each digit stands alone.
constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string class_of(const SideTokens& side, const std::string& model_type) {
  std::string name = side.tokenizer_class;
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (!name.empty()) return name;
  if (model_type == "gpt2") return "GPT2Tokenizer";
  const bool other_words = model_type.starts_with("qwen3_5");
  if (model_type.starts_with("qwen2") || (model_type.starts_with("qwen3") && !other_words))
    return "Qwen2Tokenizer";
  return model_type.empty() ? "tokenizer whose class no file names"
                            : "tokenizer of the model type " + model_type;
}

json read_merges(std::string_view text) {
  json merges = json::array();
  for (Lines lines(text); lines.next();) {
    std::string_view line = lines.line();
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (lines.number() > 1 || !line.starts_with("#version")) merges.push_back(line);
  }
  return merges;
}

json byte_level(bool prefix, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"use_regex", use_regex}};
}

}  // namespace

std::string merges_class(const SideTokens& side, const std::string& model_type,
                         const std::string& name) {
  const std::string kind = class_of(side, model_type);
  if (kind == "GPT2Tokenizer" || kind == kQwen2) return kind;
  fail("read " + name, "the vocab.json and merges.txt of a " + kind,
       "those of a GPT2Tokenizer or Qwen2Tokenizer",
       "write a tokenizer.json with transformers: AutoTokenizer.from_pretrained(FOLDER)."
       "save_pretrained(FOLDER)");
}

std::map<std::string, std::string> default_roles(const std::string& tokenizer_class) {
  const char* third = tokenizer_class == kQwen2 ? "pad_token" : "bos_token";
  return {{"unk_token", kEnd}, {"eos_token", kEnd}, {third, kEnd}};
}

json merges_as_json(std::string_view vocab, std::string_view merges, const std::string& name,
                    const std::string& tokenizer_class, bool prefix) {
  json root = {
      {"added_tokens", json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level(prefix, true)},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"}, {"vocab", parse_json(vocab, name)}, {"merges", read_merges(merges)}}}};
  if (tokenizer_class == kQwen2) {
    root["normalizer"] = {{"type", "NFC"}};
    root["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {{{"type", "Split"},
                                {"pattern", {{"Regex", kQwen2Pattern}}},
                                {"behavior", "Isolated"},
                                {"invert", false}},
                               byte_level(prefix, false)}}};
  }
  return root;
}

}  // namespace karat
