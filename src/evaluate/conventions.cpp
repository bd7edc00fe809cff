// The conventions under which perplexities are quoted.
#include <array>
#include <string>

#include "karat/error.h"
#include "karat/evaluate.h"

namespace karat {
namespace {

// hf2048: the evaluation of GPTQ (Frantar et al. 2022) and most papers after it.
// llamacpp512: llama-perplexity with its default context. It runs windows of 512 whose first token
// it replaces by BOS, and scores the logits at positions 256 … 510, which predict the tokens at
// 257 … 511: 255 per window. It refuses texts of fewer than two windows. One difference remains: it
// reads "<|endoftext|>" and its like in the text as characters, Karat's tokenizer as one token.
// strided: the guide to perplexity of Hugging Face's transformers documentation.
// lm-eval: loglikelihood_rolling of lm-evaluation-harness 0.4.13 with a `hf` model.
constexpr std::array kConventions{
    Convention{.name = "hf2048",
               .summary = "windows of 2048 tokens side by side, every prediction inside one scored",
               .window = 2048},
    Convention{.name = "hf", .summary = "as hf2048, with windows as long as the model's context"},
    Convention{.name = "llamacpp512",
               .summary = "as llama-perplexity: windows of 512 begun by BOS, second half scored",
               .window = 512,
               .bos_every_window = true,
               .second_half = true,
               .least_windows = 2},
    Convention{.name = "strided",
               .summary = "overlapping windows of the model's context, each scoring what is new",
               .cut = Convention::Cut::strided},
    Convention{.name = "documents",
               .summary = "text split at <|endoftext|>, each document scored alone after BOS",
               .cut = Convention::Cut::documents},
    Convention{
        .name = "lm-eval",
        .summary = "as lm-evaluation-harness: documents whole, per word, byte, and bits/byte",
        .cut = Convention::Cut::rolling},
};

}  // namespace

std::span<const Convention> conventions() {
  return kConventions;
}

const Convention& find_convention(std::string_view name) {
  std::string names;
  for (const Convention& convention : kConventions) {
    if (convention.name == name) return convention;
    names += (names.empty() ? "" : ", ") + std::string(convention.name);
  }
  fail("convention", std::string(name), "one of " + names);
}

}  // namespace karat
