// What a model predicts of a text: perplexity under a named convention, and how far a candidate's
// predictions are from its original's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "karat/language_model.h"
#include "karat/progress.h"
#include "karat/text_file.h"

namespace karat {

/// How a text becomes scored predictions. Numbers of different conventions do not compare.
struct Convention {
  std::string_view name;
  std::string_view summary;
  enum class Cut {
    windows,    // the whole text encoded once, cut into windows; the incomplete last one is dropped
    strided,    // windows that overlap: each scores what none before it has scored, to the last one
    documents,  // split at <|endoftext|>; each document encoded alone, cut off at the context
    rolling     // split likewise; each document in windows side by side, its first token predicted
                // too, from a prefix token (lm-evaluation-harness)
  } cut = Cut::windows;
  std::int64_t window = 0;         // tokens; 0: the model's context
  bool bos_every_window = false;   // the first token of each window is replaced by BOS, if any
  bool second_half = false;        // scores only predictions made from position window/2 on
  std::int64_t least_windows = 1;  // a text with fewer is too short
  std::int64_t stride = 0;         // strided: tokens from window to window; 0: half a window
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
  /// Its documents, for conventions that read them; empty: what <|endoftext|> separates.
  std::span<const std::string_view> documents = {};
};
/// What `text` holds, by its file's name. JSON records are documents. The views are those of
/// `text`.
NamedText named_text(const std::filesystem::path& file, const TextFile& text);
/// A text, cut; the counts are those of the documents of Cut::rolling.
struct CutText {
  std::vector<Window> windows = {};
  std::int64_t documents = 0;
  std::int64_t words = 0;  // pieces that runs of white space part, as Python's re.split counts them
  std::int64_t bytes = 0;  // of UTF-8
  std::int64_t stride = 0;  // of Cut::strided
  std::string bos = {};     // what stands in front of what, for the reader of a number
};
/// Cuts `text` for a model of `context` positions; at most `limit` windows or documents (0: all).
/// `folder` is the tokenizer's. Throws Error when the text is too short or the convention's windows
/// do not fit into the context.
CutText cut_text(const Convention& convention, const Tokenizer& tokenizer,
                 const std::filesystem::path& folder, const NamedText& text, std::int64_t context,
                 std::int64_t limit = 0);
/// Its windows, of any convention that needs no prefix token.
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
/// Of what a reader counts, whatever the tokenizer: exp(total nll / words), / bytes.
struct TextUnits {
  std::int64_t documents = 0, words = 0, bytes = 0;
  Perplexity word, byte;
  double bits_per_byte = 0, bits_per_byte_error = 0;
};
/// KL(original ‖ candidate) of the next-token distributions, nats per token.
struct Divergence {
  double mean = 0, standard_error = 0, median = 0;
  double percentile_90 = 0, percentile_99 = 0, percentile_999 = 0, maximum = 0;  // 999: 99.9 %
  double top1_agreement = 0;  // share of tokens where both find the same token most likely
  double top5_agreement = 0;  // mean share of the original's five likeliest among the candidate's
  /// RMS over tokens of p(candidate) − p(original) of the token that came.
  double probability_rms = 0;
  Perplexity original;
};
/// How well cached logits stand in for all of them.
struct CacheCheck {
  bool noise = false;  // against the original's own logits with noise; else against the candidate
  double exact = 0, cached = 0;  // mean KL, nats per token
  double deviation = 0;          // RMS over tokens of the difference
};
/// What activations of 8 bits (karat/runtime.h) change of the same predictions with FP32 ones.
struct RoundedActivations {
  Perplexity perplexity;  // with activations of 8 bits
  /// That perplexity, or negative log-likelihood, minus the one with FP32 activations. Standard
  /// errors are those of differences over the same tokens: what is hard for both cancels.
  double difference = 0, standard_error = 0;
  double nll_difference = 0, nll_standard_error = 0;
};
struct Evaluation {
  std::string convention = {};
  std::int64_t windows = 0, tokens = 0;  // tokens: scored predictions
  std::int64_t stride = 0;               // of strided windows
  bool bos = false;                      // the tokenizer adds BOS
  std::string bos_handling = {};         // where it stands
  Perplexity perplexity;
  std::optional<TextUnits> units = {};
  std::optional<Divergence> divergence = {};   // with an original to compare with
  std::optional<CacheCheck> cache_check = {};  // with logits cached or read from a cache
  std::optional<RoundedActivations> rounded = {};
};

class LogitCache;     // evaluate/logit_cache.h
class LogitRecorder;  // likewise
struct EvaluateOptions {
  const LanguageModel* original = nullptr;
  const LogitCache* cache = nullptr;  // stands in for the original
  LogitRecorder* recorder = nullptr;  // takes the original's logits; the model's without one
  /// The model goes through the text with FP32 activations, and again with those of 8 bits.
  bool both_activations = false;
  ProgressFn progress = {};
};
/// Scores `model` on the windows and, when given, compares it with an original on the same ones.
Evaluation evaluate(const LanguageModel& model, std::span<const Window> windows,
                    const EvaluateOptions& options);
Evaluation evaluate(const LanguageModel& model, std::span<const Window> windows,
                    const LanguageModel* original = nullptr, const ProgressFn& progress = {});

/// The same from a text: cuts it by `convention` with the tokenizer of the model's folder.
Evaluation evaluate_text(const LanguageModel& model, const NamedText& text,
                         const Convention& convention, std::int64_t limit = 0,
                         const LanguageModel* original = nullptr, const ProgressFn& progress = {});
/// What cutting and scoring say together.
void describe_cut(Evaluation& result, const Convention& convention, const CutText& cut,
                  const Tokenizer& tokenizer);

}  // namespace karat
