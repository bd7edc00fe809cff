// Cutting a text into windows, one function for each kind of cut.
#include <algorithm>
#include <string>

#include "core/text.h"
#include "evaluate/default_convention.h"
#include "evaluate/documents.h"
#include "karat/error.h"
#include "karat/evaluate.h"

namespace karat {
namespace {

struct Cutting {
  const Convention& convention;
  const Tokenizer& tokenizer;
  const NamedText& text;
  std::int64_t length, context, limit;  // length: of a window

  bool full(std::size_t count) const {
    return limit > 0 && static_cast<std::int64_t>(count) >= limit;
  }
};

std::vector<TokenId> part(const std::vector<TokenId>& ids, std::int64_t begin, std::int64_t end) {
  return {ids.begin() + static_cast<std::ptrdiff_t>(begin),
          ids.begin() + static_cast<std::ptrdiff_t>(end)};
}

std::vector<Window> cut_documents(const Cutting& cut) {
  std::vector<Window> windows;
  for (const std::string_view raw : documents_of(cut.text)) {
    if (cut.full(windows.size())) break;
    std::vector<TokenId> ids = cut.tokenizer.encode(trimmed(raw));
    if (static_cast<std::int64_t>(ids.size()) > cut.context)
      ids.resize(static_cast<std::size_t>(cut.context));
    if (ids.size() >= 2) windows.push_back({std::move(ids), 0});
  }
  return windows;
}

std::int64_t length_of(const Convention& convention, std::int64_t context) {
  return convention.window == 0 ? context : convention.window;
}

/// "hf2048 or llamacpp512": what else cuts a text of `tokens` into windows side by side, of
/// `longest` tokens at most.
std::string windows_that_fit(std::int64_t tokens, std::int64_t context, std::int64_t longest) {
  std::string names;
  for (const Convention& other : conventions()) {
    const std::int64_t length = length_of(other, context);
    if (other.cut == Convention::Cut::windows && length <= longest &&
        length * other.least_windows <= tokens)
      names += (names.empty() ? "" : " or ") + std::string(other.name);
  }
  return names;
}

/// What to do about a text of `tokens`: a model's context may be longer than any text.
std::string shorter_windows(std::int64_t tokens, std::int64_t context) {
  const std::string names = windows_that_fit(tokens, context, context);
  return "give a longer text, or use " +
         (names.empty() ? std::string() : "the convention " + names + ", or ") +
         "the convention all, which takes those that fit";
}

std::vector<TokenId> whole_text(const Cutting& cut, std::int64_t least) {
  std::vector<TokenId> ids = cut.tokenizer.encode(cut.text.text);
  if (static_cast<std::int64_t>(ids.size()) < least)
    fail("text " + cut.text.name, std::to_string(ids.size()) + " tokens",
         "at least " + std::to_string(least) + " for the convention " +
             std::string(cut.convention.name),
         shorter_windows(static_cast<std::int64_t>(ids.size()), cut.context));
  return ids;
}

std::vector<Window> cut_side_by_side(const Cutting& cut) {
  const Convention& convention = cut.convention;
  const std::int64_t length = cut.length;
  const std::vector<TokenId> ids = whole_text(cut, length * convention.least_windows);
  std::vector<Window> windows;
  for (std::int64_t end = length; end <= static_cast<std::int64_t>(ids.size()); end += length) {
    if (cut.full(windows.size())) break;
    Window window{part(ids, end - length, end), convention.second_half ? length / 2 : 0};
    if (convention.bos_every_window && cut.tokenizer.bos())
      window.ids.front() = *cut.tokenizer.bos();
    windows.push_back(std::move(window));
  }
  return windows;
}

/// All but the first token of the text are predicted once, those after the first window with at
/// least length − stride tokens before them.
std::vector<Window> cut_strided(const Cutting& cut) {
  const std::int64_t stride = stride_of(cut.convention, cut.length);
  const std::vector<TokenId> ids = whole_text(cut, 2);
  const auto tokens = static_cast<std::int64_t>(ids.size());
  std::vector<Window> windows;
  std::int64_t predicted = 1;  // tokens that need no prediction any more: the first has none
  for (std::int64_t begin = 0; predicted < tokens && !cut.full(windows.size()); begin += stride) {
    const std::int64_t end = std::min(begin + cut.length, tokens);
    windows.push_back({part(ids, begin, end), predicted - 1 - begin});
    predicted = end;
  }
  return windows;
}

/// Windows of one document of lm-evaluation-harness: each predicts as many tokens as the model has
/// positions, given the token before them; the last reaches back to be as long.
void cut_rolling(std::vector<TokenId> ids, std::int64_t context, std::vector<Window>& windows) {
  const auto total = static_cast<std::int64_t>(ids.size()) - 1;  // the prefix is not predicted
  for (std::int64_t predicted = 0; predicted < total;) {
    const std::int64_t end = std::min(predicted + context, total);
    const std::int64_t begin = std::max<std::int64_t>(0, end - context);
    windows.push_back({part(ids, begin, end + 1), predicted - begin});
    predicted = end;
  }
}

CutText cut_whole_documents(const Cutting& cut, const std::filesystem::path& folder) {
  CutText result;
  const TokenId prefix = prefix_token(cut.tokenizer, folder);
  const std::string start = cut.tokenizer.decode({&prefix, 1}, false);
  for (const std::string_view document : documents_of(cut.text)) {
    if (cut.full(static_cast<std::size_t>(result.documents))) break;
    std::vector<TokenId> ids =
        cut.tokenizer.encode(document, start.empty() || !document.starts_with(start));
    ids.insert(ids.begin(), prefix);
    cut_rolling(std::move(ids), cut.context, result.windows);
    ++result.documents;
    result.words += count_words(document);
    result.bytes += static_cast<std::int64_t>(document.size());
  }
  return result;
}

CutText cut_any(const Cutting& cut, const std::filesystem::path& folder) {
  switch (cut.convention.cut) {
    case Convention::Cut::rolling:
      return cut_whole_documents(cut, folder);
    case Convention::Cut::documents:
      return {.windows = cut_documents(cut)};
    case Convention::Cut::strided:
      return {.windows = cut_strided(cut), .stride = stride_of(cut.convention, cut.length)};
    case Convention::Cut::windows:
      return {.windows = cut_side_by_side(cut)};
  }
  fail("convention", std::string(cut.convention.name), "a known way to cut");
}

}  // namespace

CutText cut_text(const Convention& convention, const Tokenizer& tokenizer,
                 const std::filesystem::path& folder, const NamedText& text, std::int64_t context,
                 std::int64_t limit) {
  if (limit < 0) fail("limit", std::to_string(limit), "a count", "0 takes the whole text");
  if (trimmed(text.text).empty()) fail("text " + text.name, "nothing but blanks", "text to score");
  const std::int64_t length = length_of(convention, context);
  if (length > context)
    fail("convention " + std::string(convention.name),
         "a model with a context of " + std::to_string(context),
         "a context of at least " + std::to_string(length), "use the convention hf");
  CutText cut = cut_any({convention, tokenizer, text, length, context, limit}, folder);
  if (cut.windows.empty()) fail("text " + text.name, "no document of two tokens", "at least one");
  cut.bos = describe_bos(convention, tokenizer);
  return cut;
}

std::vector<std::string> few_windows_notice(const NamedText& text, std::int64_t windows,
                                            std::int64_t context, std::int64_t limit) {
  constexpr std::int64_t kFew = 2;
  const std::string others = windows_that_fit(windows * context, context, context - 1);
  if (windows > kFew || (limit > 0 && windows >= limit) || others.empty()) return {};
  return {text.name + ": the convention " + std::string(kDefaultConvention) + " makes " +
          (windows == 1 ? "one window" : "two windows") + " of it, of " + std::to_string(context) +
          " tokens, this model's context; such a perplexity compares only with those of models "
          "of that context. The convention " +
          others + " compares with others"};
}

std::vector<Window> cut_windows(const Convention& convention, const Tokenizer& tokenizer,
                                const NamedText& text, std::int64_t context, std::int64_t limit) {
  return cut_text(convention, tokenizer, {}, text, context, limit).windows;
}

}  // namespace karat
