#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "core/file.h"
#include "core/threads.h"
#include "evaluate/testing.h"
#include "karat/evaluate.h"
#include "karat/runtime.h"
#include "run/twins.h"
#include "tests/shared.h"

namespace karat {
namespace {

using testing::Bigrams;
using testing::error_of;
using testing::kVocab;
using testing::letter;
using testing::random_letters;
using testing::TempFolder;

TEST_CASE("llamacpp512 scores positions 256 to 510 of windows that begin with BOS") {
  const Bigrams model(true);
  const std::string text = random_letters(512 * 3 + 100);
  const Evaluation result =
      evaluate_text(model.open(), {"t", text}, find_convention("llamacpp512"));
  // With BOS in front of the text, the token at place p of the stream is letter p − 1.
  double sum = 0;
  std::int64_t tokens = 0;
  for (std::size_t window = 0; window < 3; ++window)
    for (std::size_t p = 256; p <= 510; ++p, ++tokens)
      sum -= model.log_p(letter(text[window * 512 + p - 1]), letter(text[window * 512 + p]));
  CHECK(result.windows == 3);
  CHECK(result.tokens == tokens);
  CHECK(tokens == 3 * 255);
  CHECK(result.bos);
  CHECK(result.perplexity.nll == doctest::Approx(sum / double(tokens)).epsilon(1e-6));

  const auto windows = cut_windows(find_convention("llamacpp512"),
                                   Tokenizer::open(model.folder.path()), {"t", text}, 512);
  for (const Window& window : windows) CHECK(window.ids.front() == 0);
  CHECK(windows[1].ids[1] == letter(text[512]));
}

TEST_CASE("hf scores every prediction inside windows as long as the context") {
  for (const bool bos : {true, false}) {
    const Bigrams model(bos, 20);
    const std::string text = random_letters(50);
    const Evaluation result = evaluate_text(model.open(), {"t", text}, find_convention("hf"));
    std::vector<TokenId> stream;
    if (bos) stream.push_back(0);
    for (const char c : text) stream.push_back(letter(c));
    double sum = 0, squares = 0;
    for (const std::size_t begin : {0, 20})
      for (std::size_t i = begin; i < begin + 19; ++i) {
        const double nll = -model.log_p(stream[i], stream[i + 1]);
        sum += nll;
        squares += nll * nll;
      }
    CHECK(result.tokens == 38);
    CHECK(result.bos == bos);
    const double mean = sum / 38, variance = (squares - 38 * mean * mean) / 37;
    CHECK(result.perplexity.value == doctest::Approx(std::exp(mean)).epsilon(1e-6));
    CHECK(result.perplexity.standard_error ==
          doctest::Approx(std::exp(mean) * std::sqrt(variance / 38)).epsilon(1e-5));
  }
}

TEST_CASE("documents are scored alone, after BOS, up to the context") {
  const Bigrams model(true, 8);
  const std::string text =
      "abc\n<|endoftext|>\n \n<|endoftext|>\nabcdefghijkl\n<|endoftext|>z<|endoftext|>";
  const Evaluation result = evaluate_text(model.open(), {"t", text}, find_convention("documents"));
  double sum = 0;
  for (const std::string_view document : {"abc", "abcdefg", "z"}) {  // BOS + 7 letters fill 8
    TokenId before = 0;
    for (const char c : document) {
      sum -= model.log_p(before, letter(c));
      before = letter(c);
    }
  }
  CHECK(result.windows == 3);
  CHECK(result.tokens == 11);
  CHECK(result.perplexity.nll == doctest::Approx(sum / 11).epsilon(1e-6));
  const Evaluation one = evaluate_text(model.open(), {"t", text}, find_convention("documents"), 1);
  CHECK(one.tokens == 3);
}

TEST_CASE("divergence of two bigram models equals the sums") {
  const Bigrams original(true, 20, 1), candidate(true, 20, 2);
  const std::string text = random_letters(60);
  const LanguageModel p = original.open(), q = candidate.open();
  const Evaluation result = evaluate_text(q, {"t", text}, find_convention("hf"), 0, &p);
  REQUIRE(result.divergence);
  std::vector<double> all;
  int agreed = 0, shared = 0;
  double square = 0;
  const auto five = [](const Bigrams& model, TokenId now) {
    std::vector<TokenId> order(kVocab);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
      return model.logit(now, a) > model.logit(now, b);
    });
    return std::set<TokenId>(order.begin(), order.begin() + 5);
  };
  std::string stream = "`" + text;  // '`' stands before 'a', as BOS before token 1
  for (const std::size_t begin : {0, 20, 40})
    for (std::size_t i = begin; i < begin + 19; ++i) {
      const TokenId now = letter(stream[i]);
      double kl = 0;
      TokenId best_p = 0, best_q = 0;
      for (TokenId next = 0; next < kVocab; ++next) {
        kl += std::exp(original.log_p(now, next)) *
              (original.log_p(now, next) - candidate.log_p(now, next));
        if (original.logit(now, next) > original.logit(now, best_p)) best_p = next;
        if (candidate.logit(now, next) > candidate.logit(now, best_q)) best_q = next;
      }
      all.push_back(kl);
      agreed += best_p == best_q;
      const auto likely = five(candidate, now);
      for (const TokenId id : five(original, now)) shared += likely.contains(id);
      const TokenId came = letter(stream[i + 1]);
      square +=
          std::pow(std::exp(candidate.log_p(now, came)) - std::exp(original.log_p(now, came)), 2);
    }
  std::sort(all.begin(), all.end());
  double mean = 0;
  for (const double kl : all) mean += kl / 57;
  const Divergence& kl = *result.divergence;
  CHECK(kl.mean == doctest::Approx(mean).epsilon(1e-5));
  CHECK(kl.median == doctest::Approx(all[28]).epsilon(1e-5));
  CHECK(kl.percentile_90 == doctest::Approx(0.6 * all[50] + 0.4 * all[51]).epsilon(1e-5));
  CHECK(kl.percentile_99 == doctest::Approx(0.56 * all[55] + 0.44 * all[56]).epsilon(1e-5));
  CHECK(kl.percentile_999 == doctest::Approx(0.056 * all[55] + 0.944 * all[56]).epsilon(1e-5));
  CHECK(kl.maximum == doctest::Approx(all[56]).epsilon(1e-5));
  CHECK(kl.top5_agreement == doctest::Approx(shared / 5.0 / 57));
  CHECK(kl.probability_rms == doctest::Approx(std::sqrt(square / 57)).epsilon(1e-5));
  CHECK(kl.top1_agreement == doctest::Approx(agreed / 57.0));
  CHECK(kl.original.value ==
        doctest::Approx(evaluate_text(p, {"t", text}, find_convention("hf")).perplexity.value));
}

TEST_CASE("a model does not diverge from itself, whatever the threads") {
  const TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  std::vector<Window> windows(3);
  Rng rng(4);
  for (Window& window : windows)
    for (int i = 0; i < 100; ++i) window.ids.push_back(static_cast<TokenId>(rng.below(40)));
  std::vector<double> values;
  for (const int threads : {1, 3}) {
    const ThreadScope scope(threads);
    const Evaluation result = evaluate(model, windows, &model);
    CHECK(result.divergence->mean == 0);
    CHECK(result.divergence->maximum == 0);
    CHECK(result.divergence->top1_agreement == 1);
    values.push_back(result.perplexity.value);
  }
  CHECK(values[0] == values[1]);
}

TEST_CASE("both activations in one run are two runs, and their difference is that of pairs") {
  nlohmann::json config = testing::tiny_config();
  config["hidden_size"] = 128;
  config["intermediate_size"] = 256;
  const testing::Twins twins({.bits = 4, .group = 128}, config);
  const LanguageModel model = LanguageModel::open(twins.packed.path());
  std::vector<Window> windows(3);
  Rng rng(4);
  for (Window& window : windows) window.ids = testing::random_ids(100, 40, rng);
  const auto one = [&](Activations used) {
    const Runtime::Scope scope(Runtime::current().with(used));
    return evaluate(model, windows);
  };
  const Evaluation both = evaluate(model, windows, EvaluateOptions{.both_activations = true});
  const Evaluation plain = one(Activations::f32), rounded = one(Activations::q8);
  CHECK(Runtime::current().activations() == Activations::f32);
  REQUIRE(both.rounded);
  CHECK(!plain.rounded);
  CHECK(both.perplexity.value == plain.perplexity.value);
  CHECK(both.rounded->perplexity.value == rounded.perplexity.value);
  CHECK(both.rounded->perplexity.standard_error == rounded.perplexity.standard_error);
  CHECK(rounded.perplexity.value != plain.perplexity.value);
  CHECK(both.rounded->difference ==
        doctest::Approx(rounded.perplexity.value - plain.perplexity.value));
  CHECK(both.rounded->standard_error > 0);
  CHECK(both.rounded->standard_error < 0.5 * plain.perplexity.standard_error);
  CHECK(both.rounded->nll_difference ==
        doctest::Approx(rounded.perplexity.nll - plain.perplexity.nll));
}

TEST_CASE("progress counts windows and can stop the work") {
  const Bigrams model(true, 20);
  const std::string text = random_letters(80);
  std::vector<std::int64_t> done;
  evaluate_text(model.open(), {"t", text}, find_convention("hf"), 0, nullptr,
                [&](const ProgressEvent& event) {
                  CHECK(event.total == 4);
                  done.push_back(event.done);
                  return true;
                });
  CHECK(done == std::vector<std::int64_t>{1, 2, 3, 4});
  CHECK_THROWS_AS(evaluate_text(model.open(), {"t", text}, find_convention("hf"), 0, nullptr,
                                [](const ProgressEvent&) { return false; }),
                  Interrupted);
}

TEST_CASE("texts and models that do not fit a convention are refused") {
  const Bigrams model(true);
  const auto refusal = [&](const char* convention, const std::string& text,
                           std::int64_t limit = 0) {
    return error_of([&] {
      evaluate_text(model.open(), {"mine.txt", text}, find_convention(convention), limit);
    });
  };
  CHECK(refusal("hf", "").find("mine.txt") != std::string::npos);
  CHECK(refusal("hf", " \n ").find("nothing but blanks") != std::string::npos);
  CHECK(refusal("hf", "abc").find("text mine.txt: got 4 tokens, expected at least 512") !=
        std::string::npos);
  CHECK(refusal("hf", "abc").ends_with("or use the convention all, which takes those that fit"));
  CHECK(refusal("llamacpp512", random_letters(1022)).find("at least 1024") != std::string::npos);
  CHECK(refusal("llamacpp512", random_letters(1022)).find("use the convention hf, or") !=
        std::string::npos);
  CHECK(refusal("llamacpp512", random_letters(1023)) == "no error");
  CHECK(refusal("hf2048", random_letters(3000)).find("use the convention hf") != std::string::npos);
  CHECK(refusal("documents", "<|endoftext|>").find("mine.txt") != std::string::npos);
  CHECK(refusal("hf", "abc", -1).find("limit") != std::string::npos);
  CHECK(refusal("mine", "abc").find("llamacpp512") != std::string::npos);

  std::filesystem::remove(model.folder / "tokenizer.json");
  CHECK(refusal("hf", "abc").find("tokenizer") != std::string::npos);
  const Bigrams same(true);
  const TempFolder other;
  testing::write_tiny_llama(other.path());
  const LanguageModel original = LanguageModel::open(other.path());
  CHECK(
      error_of([&] {
        evaluate_text(same.open(), {"t", random_letters(900)}, find_convention("hf"), 0, &original);
      }).find("40 tokens in its vocabulary") != std::string::npos);
}

// The numbers of tools/reference_perplexity.py (transformers in float64); 4.0820 over 37068 tokens
// is also what the model's own description gives for the documents.
TEST_CASE("stories260K scores as in transformers" * doctest::test_suite("shared")) {
  const auto folder = testing::shared("models/stories260K/hf");
  const auto sample = testing::shared("data/text/tinystories_sample/tinystories_sample.txt");
  if (testing::missing(folder) || testing::missing(sample)) return;
  const LanguageModel model = LanguageModel::open(folder);
  const std::string text = read_text(sample);
  struct Expected {
    const char* convention;
    std::int64_t tokens;
    double perplexity, standard_error;
    std::int64_t windows = 100;
  };
  for (const Expected& expected : {Expected{"documents", 37068, 4.081994519, 0.036597477},
                                   Expected{"hf", 51100, 8.519650102, 0.114496703},
                                   Expected{"llamacpp512", 25500, 9.900994009, 0.187334975},
                                   Expected{"strided", 25855, 9.109796777, 0.177315243},
                                   Expected{"lm-eval", 37943, 4.430843623, 0.041577297, 107}}) {
    CAPTURE(expected.convention);
    const Evaluation result =
        evaluate_text(model, {"stories", text}, find_convention(expected.convention), 100);
    CHECK(result.tokens == expected.tokens);
    CHECK(result.windows == expected.windows);
    CHECK(std::abs(result.perplexity.value - expected.perplexity) < 5e-5);
    CHECK(std::abs(result.perplexity.standard_error - expected.standard_error) < 5e-5);
  }
}

}  // namespace
}  // namespace karat
