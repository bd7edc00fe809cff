// What the bench verb shows: the speed of a model's steps, each the fastest of some repeats, since
// other processes only ever add time.
#include "karat/bench.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "core/counters.h"
#include "core/process.h"
#include "core/rng.h"
#include "karat/error.h"

namespace karat {
namespace {

double seconds_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Bench {
 public:
  Bench(const std::filesystem::path& folder, const BenchOptions& options,
        const ProgressFn& listener)
      : folder_(folder), options_(options), listener_(listener) {}

  BenchResult run() {
    result_.load_seconds = fastest([&] { load_and_run(); }, "load");
    const LanguageModel model = LanguageModel::open(folder_);
    contexts_ = fitting_contexts(model);
    result_.warnings = model.architecture().warnings;
    result_.mapped_bytes = model.files().file_bytes();
    result_.weight_bytes = model.bytes_per_token();
    prefill(model);
    measure_memory();
    for (const std::int64_t context : contexts_) {
      decode(model, context);
      measure_memory();
    }
    return result_;
  }

 private:
  void load_and_run() const {
    Engine engine(LanguageModel::open(folder_), {.room = 1, .cache = options_.cache});
    const TokenId first = 0;
    engine.next_logits({engine.begin(1), {&first, 1}});
  }

  std::vector<std::int64_t> fitting_contexts(const LanguageModel& model) const {
    const Architecture& arch = model.architecture();
    std::vector<std::int64_t> fitting;
    for (const std::int64_t context : options_.contexts)
      if (context > 0 && context + options_.decode <= arch.max_positions)
        fitting.push_back(context);
    if (fitting.empty() || options_.prompt > arch.max_positions)
      fail("bench", "contexts that are all longer",
           "one of at most " + std::to_string(arch.max_positions - options_.decode) +
               " tokens, and a prompt that fits");
    return fitting;
  }

  static std::vector<TokenId> random_ids(const LanguageModel& model, std::int64_t count) {
    Rng rng(0);
    std::vector<TokenId> ids;
    for (std::int64_t i = 0; i < count; ++i)
      ids.push_back(
          static_cast<TokenId>(rng.below(static_cast<std::uint64_t>(model.architecture().vocab))));
    return ids;
  }

  void prefill(const LanguageModel& model) {
    if (options_.prompt == 0) return;
    const std::vector<TokenId> ids = random_ids(model, options_.prompt);
    Engine engine(model, {.room = options_.prompt, .cache = options_.cache});
    const SequenceId sequence = engine.begin(options_.prompt);
    const double taken = fastest(
        [&] {
          engine.rewind(sequence, 0);
          engine.next_logits({sequence, ids});
        },
        "prefill");
    result_.prefill_tokens_per_second = static_cast<double>(options_.prompt) / taken;
    note_memory();
  }

  void decode(const LanguageModel& model, std::int64_t context) {
    const std::int64_t room = context + options_.decode;
    Engine engine(model, {.room = room, .cache = options_.cache});
    const SequenceId sequence = engine.begin(room);
    const std::vector<TokenId> before = random_ids(model, context);
    engine.step({sequence, before});
    const std::vector<TokenId> ids = random_ids(model, options_.decode);
    const Counters counters;
    const double taken = fastest(
        [&] {
          engine.rewind(sequence, context);
          for (const TokenId& id : ids) engine.next_logits({sequence, {&id, 1}});
        },
        "decode " + std::to_string(context));
    const double rate = static_cast<double>(options_.decode) / taken;
    const std::size_t seen = cache_bytes_per_token(model.architecture(), options_.cache) *
                             static_cast<std::size_t>(context + options_.decode / 2);
    result_.cache_bytes = cache_bytes_per_token(model.architecture(), options_.cache) *
                          static_cast<std::size_t>(room);
    result_.decode.push_back(
        {context, rate, rate * static_cast<double>(result_.weight_bytes + seen) * 1e-9});
    result_.uncounted = counters.refusal();
    if (result_.uncounted.empty()) {
      const Counts counts = counters.read();
      const double weights =
          static_cast<double>(model.weights_per_token() * options_.decode) * options_.repeats;
      result_.decode.back().instructions_per_weight =
          static_cast<double>(counts.instructions) / weights;
      result_.decode.back().cycles_per_weight = static_cast<double>(counts.cycles) / weights;
    }
    note_memory();
  }

  /// Before and after each decoding: what memory gives moves with what neighbours ask of it.
  void measure_memory() {
    Progress progress("bandwidth", 1, listener_);
    result_.read_bandwidth = std::max(result_.read_bandwidth, read_bandwidth());
    progress.step();
  }

  double fastest(const auto& work, const std::string& stage) {
    Progress progress(stage, options_.repeats, listener_);
    double best = 1e30;
    for (int i = 0; i < options_.repeats; ++i) {
      best = std::min(best, seconds_of(work));
      progress.step();
    }
    return best;
  }

  /// The system keeps no peak of the memory that no file backs.
  void note_memory() {
    const auto now = static_cast<std::size_t>(process_bytes("RssAnon").value_or(0));
    result_.private_bytes = std::max(result_.private_bytes, now);
  }

  std::filesystem::path folder_;
  BenchOptions options_;
  ProgressFn listener_;
  BenchResult result_;
  std::vector<std::int64_t> contexts_;
};

}  // namespace

BenchResult bench(const std::filesystem::path& folder, const BenchOptions& options,
                  const ProgressFn& progress) {
  if (options.prompt < 0 || options.decode < 1 || options.repeats < 1)
    fail("bench", "a prompt below 0, or nothing to decode or repeat", "positive numbers");
  const Runtime::Scope scope(Runtime::current().with(options.activations));
  return Bench(folder, options, progress).run();
}

}  // namespace karat
