// The conventions under which perplexities are quoted, and how each cuts a text.
#include <algorithm>
#include <array>
#include <string>

#include "karat/error.h"
#include "karat/evaluate.h"

namespace karat {
namespace {

constexpr std::string_view kSeparator = "<|endoftext|>";
constexpr std::string_view kBlank = " \t\r\n";

// hf2048: the evaluation of GPTQ (Frantar et al. 2022) and most papers after it.
// llamacpp512: llama-perplexity with its default context. It runs windows of 512 whose first token
// it replaces by BOS, and scores the logits at positions 256 … 510, which predict the tokens at
// 257 … 511: 255 per window. It refuses texts of fewer than two windows. One difference remains: it
// reads "<|endoftext|>" and its like in the text as characters, Karat's tokenizer as one token.
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
    Convention{.name = "documents",
               .summary = "text split at <|endoftext|>, each document scored alone after BOS",
               .cut = Convention::Cut::documents},
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::vector<Window> cut_documents(const Tokenizer& tokenizer, std::string_view text,
                                  std::int64_t context, std::int64_t limit) {
  std::vector<Window> windows;
  while (!text.empty() && (limit == 0 || static_cast<std::int64_t>(windows.size()) < limit)) {
    const std::size_t end = text.find(kSeparator);
    const std::string_view document = trimmed(text.substr(0, end));
    text = end == text.npos ? std::string_view{} : text.substr(end + kSeparator.size());
    if (document.empty()) continue;
    std::vector<TokenId> ids = tokenizer.encode(document);
    if (static_cast<std::int64_t>(ids.size()) > context)
      ids.resize(static_cast<std::size_t>(context));
    if (ids.size() >= 2) windows.push_back({std::move(ids), 0});
  }
  return windows;
}

std::vector<Window> cut_stream(const Convention& convention, const Tokenizer& tokenizer,
                               const NamedText& text, std::int64_t length, std::int64_t limit) {
  const std::vector<TokenId> ids = tokenizer.encode(text.text);
  const auto tokens = static_cast<std::int64_t>(ids.size());
  if (tokens < length * convention.least_windows)
    fail("text " + text.name, std::to_string(tokens) + " tokens",
         "at least " + std::to_string(length * convention.least_windows) + " for the convention " +
             std::string(convention.name),
         "give a longer text");
  std::int64_t count = tokens / length;
  if (limit > 0) count = std::min(count, limit);
  std::vector<Window> windows;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(i * length);
    Window window{{begin, begin + static_cast<std::ptrdiff_t>(length)},
                  convention.second_half ? length / 2 : 0};
    if (convention.bos_every_window && tokenizer.bos()) window.ids.front() = *tokenizer.bos();
    windows.push_back(std::move(window));
  }
  return windows;
}

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

std::vector<Window> cut_windows(const Convention& convention, const Tokenizer& tokenizer,
                                const NamedText& text, std::int64_t context, std::int64_t limit) {
  if (limit < 0) fail("limit", std::to_string(limit), "a count", "0 takes the whole text");
  if (trimmed(text.text).empty()) fail("text " + text.name, "nothing but blanks", "text to score");
  const std::int64_t length = convention.window == 0 ? context : convention.window;
  if (length > context)
    fail("convention " + std::string(convention.name),
         "a model with a context of " + std::to_string(context),
         "a context of at least " + std::to_string(length), "use the convention hf");
  std::vector<Window> windows = convention.cut == Convention::Cut::documents
                                    ? cut_documents(tokenizer, text.text, context, limit)
                                    : cut_stream(convention, tokenizer, text, length, limit);
  if (windows.empty()) fail("text " + text.name, "no document of two tokens", "at least one");
  return windows;
}

}  // namespace karat
