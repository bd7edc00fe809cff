// Scores windows one after the other; the logits of some rows exist at a time, never all.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "core/threads.h"
#include "evaluate/rows.h"
#include "karat/engine.h"
#include "karat/error.h"
#include "karat/evaluate.h"
#include "karat/runtime.h"

namespace karat {
namespace {

constexpr std::int64_t kLogits = 1 << 22;  // floats of logits held at once: 16 MiB
constexpr std::int64_t kMostRows = 256;

std::string count_text(std::int64_t n, const char* what) {
  return std::to_string(n) + what;
}

/// One model with room for the longest window.
class Reader {
 public:
  Reader(const LanguageModel& model, std::int64_t capacity, const Runtime& runtime)
      : engine_(model, {.room = capacity, .runtime = runtime}),
        sequence_(engine_.begin(capacity)) {}

  const Architecture& arch() const { return engine_.model().architecture(); }
  std::size_t vocab() const { return static_cast<std::size_t>(arch().vocab); }
  void read(std::span<const TokenId> ids) {
    engine_.rewind(sequence_, 0);
    states_ = engine_.step({sequence_, ids});
  }
  /// Logits [rows, vocab] of the positions from `first` on.
  std::span<const float> logits(std::int64_t first, std::int64_t rows) {
    const auto width = static_cast<std::size_t>(arch().hidden);
    logits_.resize(static_cast<std::size_t>(rows) * vocab());
    engine_.logits(std::span(states_).subspan(static_cast<std::size_t>(first) * width,
                                              static_cast<std::size_t>(rows) * width),
                   logits_);
    return logits_;
  }

 private:
  Engine engine_;
  SequenceId sequence_;
  std::vector<float> states_, logits_;
};

/// Who goes through a window.
struct Readers {
  Reader model;
  std::unique_ptr<Reader> original, rounded;
};

void score_window(const Window& window, Readers& readers, const EvaluateOptions& options,
                  RowSums& sums) {
  const auto ids = std::span(window.ids).first(window.ids.size() - 1);  // the last predicts nothing
  Reader* const original = readers.original.get();
  Reader* const rounded = readers.rounded.get();
  readers.model.read(ids);
  if (original) original->read(ids);
  if (rounded) rounded->read(ids);
  const std::size_t vocab = readers.model.vocab();
  const std::int64_t step =
      std::clamp<std::int64_t>(kLogits / static_cast<std::int64_t>(vocab), 1, kMostRows);
  for (std::int64_t first = window.first; first < static_cast<std::int64_t>(ids.size());
       first += step) {
    const std::int64_t rows = std::min(step, static_cast<std::int64_t>(ids.size()) - first);
    const auto logits = readers.model.logits(first, rows);
    const auto others = original ? original->logits(first, rows) : std::span<const float>{};
    const auto again = rounded ? rounded->logits(first, rows) : std::span<const float>{};
    const std::int64_t done = sums.nll().count();
    std::vector<RowScore> scores(static_cast<std::size_t>(rows));
    parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r)
        scores[r] = score_row(
            {done + static_cast<std::int64_t>(r),
             window.ids[static_cast<std::size_t>(first) + r + 1], logits.subspan(r * vocab, vocab),
             original ? others.subspan(r * vocab, vocab) : others, options.cache, options.recorder,
             rounded ? again.subspan(r * vocab, vocab) : again});
    });
    for (const RowScore& score : scores) sums.add(score, original || options.cache);
  }
}

void check_windows(std::span<const Window> windows) {
  if (windows.empty()) fail("evaluate", "no window", "at least one");
  for (const Window& window : windows)
    if (window.first < 0 || window.ids.empty() || window.scored() < 1)
      fail("evaluate", count_text(window.scored(), " scored tokens in a window"), "at least one");
}

/// Positions that the longest window takes: its last token is never read.
std::int64_t longest(std::span<const Window> windows) {
  std::size_t most = 0;
  for (const Window& window : windows) most = std::max(most, window.ids.size() - 1);
  return static_cast<std::int64_t>(most);
}

Perplexity per_unit(const Evaluation& result, double nll_error, std::int64_t units) {
  const double ratio = static_cast<double>(result.tokens) / static_cast<double>(units);
  const double nll = result.perplexity.nll * ratio, value = std::exp(nll);
  return {value, value * nll_error * ratio, nll};
}

}  // namespace

Evaluation evaluate(const LanguageModel& model, std::span<const Window> windows,
                    const EvaluateOptions& options) {
  check_windows(windows);
  const std::int64_t vocab = model.architecture().vocab;
  const LanguageModel* original = options.original;
  if (original && original->architecture().vocab != vocab)
    fail("evaluate against " + original->folder().string(),
         count_text(original->architecture().vocab, " tokens in its vocabulary"),
         count_text(vocab, " as in the model"), "compare a model with the one it was made from");

  const std::int64_t most = longest(windows);
  const Runtime current = Runtime::current();
  const Runtime used = options.both_activations ? current.with(Activations::f32) : current;
  Readers readers{Reader(model, most, used), {}, {}};
  if (original) readers.original = std::make_unique<Reader>(*original, most, used);
  if (options.both_activations)
    readers.rounded = std::make_unique<Reader>(model, most, current.with(Activations::q8));
  Progress meter("evaluate", static_cast<std::int64_t>(windows.size()), options.progress);
  RowSums sums;
  for (const Window& window : windows) {
    score_window(window, readers, options, sums);
    meter.step(1, "perplexity " + std::to_string(perplexity_of(sums.nll()).value));
  }
  Evaluation result{.windows = static_cast<std::int64_t>(windows.size()),
                    .tokens = sums.nll().count(),
                    .perplexity = perplexity_of(sums.nll())};
  if (original || options.cache) result.divergence = sums.divergence(vocab);
  result.rounded = sums.rounded();
  result.cache_check = options.cache ? options.cache->check() : sums.check(!original);
  return result;
}

Evaluation evaluate(const LanguageModel& model, std::span<const Window> windows,
                    const LanguageModel* original, const ProgressFn& progress) {
  return evaluate(model, windows, EvaluateOptions{.original = original, .progress = progress});
}

Evaluation evaluate_text(const LanguageModel& model, const NamedText& text,
                         const Convention& convention, std::int64_t limit,
                         const LanguageModel* original, const ProgressFn& progress) {
  const Tokenizer tokenizer = Tokenizer::open(model.folder());
  std::int64_t context = model.architecture().max_positions;
  if (original) context = std::min(context, original->architecture().max_positions);
  const CutText cut = cut_text(convention, tokenizer, model.folder(), text, context, limit);
  Evaluation result = evaluate(model, cut.windows, original, progress);
  describe_cut(result, convention, cut, tokenizer);
  return result;
}

void describe_cut(Evaluation& result, const Convention& convention, const CutText& cut,
                  const Tokenizer& tokenizer) {
  result.convention = convention.name;
  result.bos = tokenizer.bos().has_value();
  result.bos_handling = cut.bos;
  result.stride = cut.stride;
  if (convention.cut != Convention::Cut::rolling) return;
  const double error = result.perplexity.standard_error / result.perplexity.value;  // of the nll
  TextUnits units{cut.documents, cut.words, cut.bytes, per_unit(result, error, cut.words),
                  per_unit(result, error, cut.bytes)};
  units.bits_per_byte = units.byte.nll / std::log(2);
  units.bits_per_byte_error = units.byte.standard_error / units.byte.value / std::log(2);
  result.units = units;
}

}  // namespace karat
