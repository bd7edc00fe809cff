#include "load/gguf/pre_tokenizer.h"

#include <algorithm>

namespace karat {
namespace {

using nlohmann::json;

// The patterns are those of the models' own tokenizer.json.
#define KARAT_TAILS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define KARAT_REST R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define KARAT_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define KARAT_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define KARAT_WORD R"([^\r\n\p{L}\p{N}]?)"
constexpr std::string_view kLlama3 =
    KARAT_TAILS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" KARAT_REST;
constexpr std::string_view kQwen2 =
    KARAT_TAILS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" KARAT_REST;
constexpr std::string_view kQwen35 = KARAT_TAILS
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" KARAT_REST;
constexpr std::string_view kGpt4o = KARAT_WORD KARAT_UPPER
    "*" KARAT_LOWER "+" KARAT_TAILS "?|" KARAT_WORD KARAT_UPPER "+" KARAT_LOWER "*" KARAT_TAILS
    "?|"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" KARAT_REST;
constexpr std::string_view kTekken =
    KARAT_WORD KARAT_UPPER "*" KARAT_LOWER "+|" KARAT_WORD KARAT_UPPER "+" KARAT_LOWER
                           "*|"
                           R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" KARAT_REST;
#undef KARAT_TAILS
#undef KARAT_REST
#undef KARAT_UPPER
#undef KARAT_LOWER
#undef KARAT_WORD

constexpr GgufPreTokenizer kKnown[] = {
    {.name = "codeshell", .digits = true},
    {.name = "command-r", .digits = true},
    {.name = "dbrx", .pattern = kLlama3},
    {.name = "deepseek-r1-qwen", .pattern = kQwen2, .nfc = true},
    {.name = "exaone", .digits = true},
    {.name = "falcon3", .pattern = kLlama3, .whole_words = true, .bos = true},
    {.name = "gpt-2"},
    {.name = "gpt-4o", .pattern = kGpt4o},
    {.name = "granite-docling"},
    {.name = "jais"},
    {.name = "llama-bpe", .pattern = kLlama3, .whole_words = true, .bos = true},
    {.name = "llama-v3", .pattern = kLlama3, .whole_words = true, .bos = true},
    {.name = "llama3", .pattern = kLlama3, .whole_words = true, .bos = true},
    {.name = "llama4", .pattern = kGpt4o},
    {.name = "megrez", .pattern = kQwen2, .nfc = true},
    {.name = "minerva-7b", .digits = true},
    {.name = "mpt"},
    {.name = "olmo"},
    {.name = "phi-2"},
    {.name = "pixtral", .pattern = kLlama3, .whole_words = true, .bos = true},
    {.name = "qwen2", .pattern = kQwen2, .nfc = true},
    {.name = "qwen35", .pattern = kQwen35, .nfc = true},
    {.name = "refact", .digits = true},
    {.name = "smaug-bpe", .pattern = kLlama3},
    {.name = "smollm", .digits = true},
    {.name = "stablelm2", .pattern = kQwen2},
    {.name = "starcoder", .digits = true},
    {.name = "tekken", .pattern = kTekken, .whole_words = true},
    {.name = "trillion"},
};

json bytes(bool words, bool spaced) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", spaced}, {"use_regex", words}};
}

}  // namespace

json GgufPreTokenizer::normalizer() const {
  return nfc ? json{{"type", "NFC"}} : json();
}

json GgufPreTokenizer::pre_tokenizer(bool spaced) const {
  if (pattern.empty() && !digits) return bytes(true, spaced);
  const json first = digits ? json{{"type", "Digits"}, {"individual_digits", true}}
                            : json{{"type", "Split"},
                                   {"pattern", {{"Regex", pattern}}},
                                   {"behavior", "Isolated"},
                                   {"invert", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", json::array({first, bytes(pattern.empty(), spaced)})}};
}

const GgufPreTokenizer* find_gguf_pre_tokenizer(std::string_view name) {
  const auto* found = std::ranges::find(kKnown, name, &GgufPreTokenizer::name);
  return found == std::end(kKnown) ? nullptr : found;
}

std::vector<std::string_view> gguf_pre_tokenizers() {
  std::vector<std::string_view> names;
  for (const GgufPreTokenizer& known : kKnown) names.push_back(known.name);
  return names;
}

}  // namespace karat
