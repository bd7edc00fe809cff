// What a model predicts of a text: perplexity under a named convention, and how far a candidate's
// predictions are from its original's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "karat/language_model.h"
#include "karat/progress.h"

namespace karat {

/// How a text becomes scored predictions. Numbers of different conventions do not compare.
struct Convention {
  std::string_view name;
  std::string_view summary;
  enum class Cut {
    windows,   // the whole text encoded once, cut into windows; the incomplete last one is dropped
    documents  // split at <|endoftext|>; each document encoded alone, cut off at the context
  } cut = Cut::windows;
  std::int64_t window = 0;         // tokens; 0: the model's context
  bool bos_every_window = false;   // the first token of each window is replaced by BOS, if any
  bool second_half = false;        // scores only predictions made from position window/2 on
  std::int64_t least_windows = 1;  // a text with fewer is too short
};
std::span<const Convention> conventions();
/// Throws Error that lists the names when there is none of this one.
const Convention& find_convention(std::string_view name);

/// Tokens that a model sees at once. Position i >= first predicts token i + 1.
struct Window {
  std::vector<TokenId> ids;
  std::int64_t first = 0;
  std::int64_t scored() const { return static_cast<std::int64_t>(ids.size()) - 1 - first; }
};
struct NamedText {
  std::string name;  // for errors: the file
  std::string_view text;
};
/// Cuts `text` for a model of `context` positions; at most `limit` windows (0: all). Throws Error
/// when the text is too short or the convention's windows do not fit into the context.
std::vector<Window> cut_windows(const Convention& convention, const Tokenizer& tokenizer,
                                const NamedText& text, std::int64_t context,
                                std::int64_t limit = 0);

/// Natural logarithms throughout; one value per scored token, accumulated in double.
struct Perplexity {
  double value = 0;           // exp(mean negative log-likelihood)
  double standard_error = 0;  // value · s/√tokens with s the standard deviation of a token's
                              // negative log-likelihood: tokens are taken as independent
  double nll = 0;             // mean negative log-likelihood, nats per token
};
/// KL(original ‖ candidate) of the next-token distributions, nats per token.
struct Divergence {
  double mean = 0, standard_error = 0, median = 0, percentile_99 = 0, maximum = 0;
  double top1_agreement = 0;  // share of tokens where both find the same token most likely
  Perplexity original;
};
struct Evaluation {
  std::string convention = {};
  std::int64_t windows = 0, tokens = 0;  // tokens: scored predictions
  bool bos = false;                      // the tokenizer adds BOS
  Perplexity perplexity;
  std::optional<Divergence> divergence = {};  // with an original to compare with
};

/// Scores `model` on the windows and, when given, compares it with `original` on the same ones.
Evaluation evaluate(const LanguageModel& model, std::span<const Window> windows,
                    const LanguageModel* original = nullptr, const ProgressFn& progress = {});

/// The same from a text: cuts it by `convention` with the tokenizer of the model's folder.
Evaluation evaluate_text(const LanguageModel& model, const NamedText& text,
                         const Convention& convention, std::int64_t limit = 0,
                         const LanguageModel* original = nullptr, const ProgressFn& progress = {});

}  // namespace karat
