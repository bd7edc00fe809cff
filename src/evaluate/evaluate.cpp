// Scores windows one after the other; the logits of some rows exist at a time, never all.
#include <algorithm>
#include <memory>
#include <string>

#include "core/threads.h"
#include "evaluate/scores.h"
#include "evaluate/statistics.h"
#include "karat/error.h"
#include "karat/evaluate.h"

namespace karat {
namespace {

constexpr std::int64_t kLogits = 1 << 22;  // floats of logits held at once: 16 MiB
constexpr std::int64_t kMostRows = 256;

std::string count_text(std::int64_t n, const char* what) {
  return std::to_string(n) + what;
}

/// One model with a session as long as the longest window.
class Reader {
 public:
  Reader(const LanguageModel& model, std::int64_t capacity)
      : model_(model), session_(model, capacity) {}

  void read(std::span<const TokenId> ids) {
    session_.rewind(0);
    states_ = session_.forward(ids);
  }
  /// Logits [rows, vocab] of the positions from `first` on.
  std::span<const float> logits(std::int64_t first, std::int64_t rows) {
    const auto width = static_cast<std::size_t>(model_.architecture().hidden);
    logits_.resize(static_cast<std::size_t>(rows * model_.architecture().vocab));
    model_.logits(std::span(states_).subspan(static_cast<std::size_t>(first) * width,
                                             static_cast<std::size_t>(rows) * width),
                  logits_);
    return logits_;
  }

 private:
  const LanguageModel& model_;
  Session session_;
  std::vector<float> states_, logits_;
};

struct RowScore {
  double nll = 0, original_nll = 0, divergence = 0;
  bool agree = false;
};

/// Sums in token order, whatever the threads did.
struct Sums {
  Mean nll, original_nll, divergence;
  std::vector<float> divergences;
  std::int64_t agreements = 0;

  void add(const RowScore& row, bool compared) {
    nll.add(row.nll);
    if (!compared) return;
    original_nll.add(row.original_nll);
    divergence.add(row.divergence);
    divergences.push_back(static_cast<float>(row.divergence));
    agreements += row.agree;
  }
};

RowScore score_row(std::span<const float> logits, std::span<const float> original, TokenId next) {
  const LogSoftmax q = log_softmax(logits);
  RowScore score{.nll = negative_log_likelihood(logits, q, next)};
  if (original.empty()) return score;
  const LogSoftmax p = log_softmax(original);
  score.original_nll = negative_log_likelihood(original, p, next);
  score.divergence = kl_divergence(original, p, logits, q);
  score.agree = p.best == q.best;
  return score;
}

void score_window(const Window& window, std::size_t vocab, Reader& model, Reader* original,
                  Sums& sums) {
  const auto ids = std::span(window.ids).first(window.ids.size() - 1);  // the last predicts nothing
  model.read(ids);
  if (original) original->read(ids);
  const std::int64_t step =
      std::clamp<std::int64_t>(kLogits / static_cast<std::int64_t>(vocab), 1, kMostRows);
  for (std::int64_t first = window.first; first < static_cast<std::int64_t>(ids.size());
       first += step) {
    const std::int64_t rows = std::min(step, static_cast<std::int64_t>(ids.size()) - first);
    const auto logits = model.logits(first, rows);
    const auto others = original ? original->logits(first, rows) : std::span<const float>{};
    std::vector<RowScore> scores(static_cast<std::size_t>(rows));
    parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r)
        scores[r] = score_row(logits.subspan(r * vocab, vocab),
                              original ? others.subspan(r * vocab, vocab) : others,
                              window.ids[static_cast<std::size_t>(first) + r + 1]);
    });
    for (const RowScore& score : scores) sums.add(score, original != nullptr);
  }
}

void check_windows(std::span<const Window> windows) {
  if (windows.empty()) fail("evaluate", "no window", "at least one");
  for (const Window& window : windows)
    if (window.first < 0 || window.ids.empty() || window.scored() < 1)
      fail("evaluate", count_text(window.scored(), " scored tokens in a window"), "at least one");
}

Divergence summarize(Sums& sums) {
  return {.mean = sums.divergence.value(),
          .standard_error = sums.divergence.standard_error(),
          .median = quantile(sums.divergences, 0.5),
          .percentile_99 = quantile(sums.divergences, 0.99),
          .maximum = quantile(sums.divergences, 1),
          .top1_agreement =
              static_cast<double>(sums.agreements) / static_cast<double>(sums.divergence.count()),
          .original = perplexity_of(sums.original_nll)};
}

}  // namespace

Evaluation evaluate(const LanguageModel& model, std::span<const Window> windows,
                    const LanguageModel* original, const ProgressFn& progress) {
  check_windows(windows);
  const std::int64_t vocab = model.architecture().vocab;
  if (original && original->architecture().vocab != vocab)
    fail("evaluate against " + original->folder().string(),
         count_text(original->architecture().vocab, " tokens in its vocabulary"),
         count_text(vocab, " as in the model"), "compare a model with the one it was made from");
  std::size_t longest = 0;
  for (const Window& window : windows) longest = std::max(longest, window.ids.size());

  Reader reader(model, static_cast<std::int64_t>(longest));
  std::unique_ptr<Reader> other;
  if (original) other = std::make_unique<Reader>(*original, static_cast<std::int64_t>(longest));
  Progress meter("evaluate", static_cast<std::int64_t>(windows.size()), progress);
  Sums sums;
  for (const Window& window : windows) {
    score_window(window, static_cast<std::size_t>(vocab), reader, other.get(), sums);
    meter.step(1, "perplexity " + std::to_string(perplexity_of(sums.nll).value));
  }
  Evaluation result{.windows = static_cast<std::int64_t>(windows.size()),
                    .tokens = sums.nll.count(),
                    .perplexity = perplexity_of(sums.nll)};
  if (original) result.divergence = summarize(sums);
  return result;
}

Evaluation evaluate_text(const LanguageModel& model, const NamedText& text,
                         const Convention& convention, std::int64_t limit,
                         const LanguageModel* original, const ProgressFn& progress) {
  const Tokenizer tokenizer = Tokenizer::open(model.folder());
  std::int64_t context = model.architecture().max_positions;
  if (original) context = std::min(context, original->architecture().max_positions);
  const auto windows = cut_windows(convention, tokenizer, text, context, limit);
  Evaluation result = evaluate(model, windows, original, progress);
  result.convention = convention.name;
  result.bos = tokenizer.bos().has_value();
  return result;
}

}  // namespace karat
