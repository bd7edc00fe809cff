#include "evaluate/logit_cache.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/file.h"
#include "core/rng.h"
#include "core/threads.h"
#include "evaluate/statistics.h"
#include "evaluate/testing.h"
#include "karat/text_evaluation.h"

namespace karat {
namespace {

using testing::Bigrams;
using testing::error_of;
using testing::random_letters;
using testing::TempFolder;

/// Logits that fall off as a language model's do, and the same with noise.
struct TwoRows {
  explicit TwoRows(std::size_t vocab, std::uint64_t seed, double noise) : p(vocab), q(vocab) {
    Rng rng(seed);
    for (std::size_t i = 0; i < vocab; ++i) {
      p[i] = static_cast<float>(-2 * std::log(double(1 + rng.below(vocab))) + rng.uniform());
      q[i] = p[i] + static_cast<float>(noise * (rng.uniform() - 0.5) * std::sqrt(12.0));
    }
  }
  double exact() const { return kl_divergence(p, log_softmax(p), q, log_softmax(q)); }
  std::vector<float> p, q;
};

/// What the likeliest tokens and the others as one tell, exactly.
double lumped_divergence(const TwoRows& rows, std::span<const TokenId> ids, std::int64_t top) {
  const LogSoftmax p = log_softmax(rows.p), q = log_softmax(rows.q);
  double sum = 0, rest_p = 1, rest_q = 1;
  for (const TokenId id : ids.first(static_cast<std::size_t>(top))) {
    const double log_p = -negative_log_likelihood(rows.p, p, id);
    const double log_q = -negative_log_likelihood(rows.q, q, id);
    sum += std::exp(log_p) * (log_p - log_q);
    rest_p -= std::exp(log_p);
    rest_q -= std::exp(log_q);
  }
  return sum + rest_p * std::log(rest_p / rest_q);
}

TEST_CASE("codes of log p are finest near 0 and end at −32") {
  for (const double log_p : {0.0, -1e-6, -0.01, -1.0, -7.3, -31.9}) {
    CAPTURE(log_p);
    CHECK(std::abs(decode_log(log_code(log_p)) - log_p) <= 5e-4 * std::sqrt(-log_p) + 1e-8);
  }
  CHECK(decode_log(log_code(-INFINITY)) == -32);
  CHECK(log_code(-40) == 65535);
}

TEST_CASE("a row of at most 5 % of the logits in F16") {
  for (const std::int64_t vocab : {460, 512, 4096, 32000, 65536, 65537, 151936}) {
    CAPTURE(vocab);
    const RowShape shape = row_shape(vocab);
    const std::int64_t entry = vocab <= kWideVocab ? 4 : 6;
    CHECK(double(6 + entry * shape.entries()) <= 0.05 * 2 * double(vocab));
    CHECK(shape.top >= 5);
    CHECK(shape.sampled >= 1);
  }
  CHECK(row_shape(7).top == 7);
  CHECK(row_shape(7).sampled == 0);
}

TEST_CASE("a row that holds every token gives the exact KL") {
  const TwoRows rows(7, 3, 0.5);
  const LogSoftmax p = log_softmax(rows.p), q = log_softmax(rows.q);
  const CachedRow row = cache_row(rows.p, p, 2, row_shape(7), 0);
  CHECK(row.nll == doctest::Approx(negative_log_likelihood(rows.p, p, 2)));
  CHECK(kl_divergence(row, row_shape(7), rows.q, q) == doctest::Approx(rows.exact()).epsilon(1e-4));
  CHECK(top_five(row, row_shape(7)) == top_five(rows.p));
}

TEST_CASE("the estimate of KL is unbiased over draws, and close in the mean over rows") {
  const RowShape shape = row_shape(512);
  const TwoRows rows(512, 5, 0.4);
  const LogSoftmax p = log_softmax(rows.p), q = log_softmax(rows.q);
  Mean draws;
  for (std::uint64_t seed = 0; seed < 4000; ++seed)
    draws.add(kl_divergence(cache_row(rows.p, p, 0, shape, seed), shape, rows.q, q));
  CHECK(std::abs(draws.value() - rows.exact()) < 4 * draws.standard_error());
  CHECK(draws.standard_error() > 0);

  Mean exact, cached, lumped;
  for (std::uint64_t i = 0; i < 400; ++i) {
    const TwoRows other(512, 100 + i, 0.1);
    const LogSoftmax of_p = log_softmax(other.p), of_q = log_softmax(other.q);
    const CachedRow row = cache_row(other.p, of_p, 0, shape, i);
    exact.add(other.exact());
    cached.add(kl_divergence(row, shape, other.q, of_q));
    lumped.add(lumped_divergence(other, row.ids, shape.top));
  }
  CHECK(std::abs(cached.value() / exact.value() - 1) < 0.05);
  CHECK(lumped.value() < 0.95 * exact.value());  // without the drawn tokens a good part is missed
}

TEST_CASE("systematic draws meet tokens as often as their probability says") {
  const TwoRows rows(64, 8, 0);
  const RowShape shape{8, 4};
  const LogSoftmax p = log_softmax(rows.p);
  std::vector<double> drawn(64), expected(64);
  const CachedRow first = cache_row(rows.p, p, 0, shape, 0);
  double rest = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    const auto top = std::span(first.ids).first(8);
    if (std::find(top.begin(), top.end(), static_cast<TokenId>(i)) != top.end()) continue;
    expected[i] = std::exp(double(rows.p[i]) - p.log_sum);
    rest += expected[i];
  }
  constexpr int kRounds = 20000;
  for (std::uint64_t seed = 0; seed < kRounds; ++seed) {
    const CachedRow row = cache_row(rows.p, p, 0, shape, seed);
    for (const TokenId id : std::span(row.ids).subspan(8))
      drawn[static_cast<std::size_t>(id)] += 0.25 / kRounds;
  }
  for (std::size_t i = 0; i < 64; ++i)
    CHECK(std::abs(drawn[i] - expected[i] / rest) < 4 * std::sqrt(0.25 * 0.25 / kRounds));
  CHECK(std::accumulate(drawn.begin(), drawn.end(), 0.0) == doctest::Approx(1));
}

/// An original and a candidate of 28 letters, a text, and a cache of the original's logits.
struct CacheFiles {
  CacheFiles() {
    folder.write("text.txt", random_letters(60));
    job = {.model = original.folder.path(), .text = folder / "text.txt", .save_logits = file()};
    saved = evaluate_text(job);
    job = {.model = candidate.folder.path(), .text = folder / "text.txt", .logits = file()};
  }
  std::filesystem::path file() const { return folder / "logits"; }
  std::string refusal() const {
    return error_of([&] { evaluate_text(job); });
  }
  TempFolder folder;
  Bigrams original{true, 20, 1}, candidate{true, 20, 2};
  TextJob job;
  TextEvaluation saved;
};

TEST_CASE("cached logits stand in for the original") {
  CacheFiles files;
  CHECK(files.saved.evaluations.at(0).cache_check->noise);
  CHECK(files.saved.evaluations.at(0).cache_check->exact > 0);
  const TextEvaluation cached = evaluate_text(files.job);
  files.job.logits.clear();
  files.job.original = files.original.folder.path();
  files.job.save_logits = files.folder / "second";
  const TextEvaluation exact = evaluate_text(files.job);
  const Divergence& a = cached.evaluations.at(0).divergence.value();
  const Divergence& b = exact.evaluations.at(0).divergence.value();
  CHECK(a.original.value == doctest::Approx(b.original.value).epsilon(1e-6));
  CHECK(a.top1_agreement == b.top1_agreement);
  CHECK(a.top5_agreement == b.top5_agreement);
  CHECK(a.probability_rms == doctest::Approx(b.probability_rms).epsilon(1e-5));
  const CacheCheck& check = exact.evaluations.at(0).cache_check.value();
  CHECK(!check.noise);
  CHECK(check.exact == doctest::Approx(b.mean));
  CHECK(check.cached == doctest::Approx(a.mean));
  CHECK(std::abs(a.mean / b.mean - 1) < 0.2);  // 57 tokens, models that have nothing in common
  CHECK(cached.logits->original_sha256 == exact.logits->original_sha256);
  CHECK(cached.logits->original_sha256.size() == 64);
}

TEST_CASE("the bytes of a cache do not depend on the number of threads") {
  CacheFiles files;
  std::vector<std::string> bytes;
  for (const int threads : {1, 3}) {
    const ThreadScope scope(threads);
    evaluate_text({.model = files.original.folder.path(),
                   .text = files.folder / "text.txt",
                   .save_logits = files.file(),
                   .replace = true});
    bytes.push_back(read_text(files.file()));
  }
  CHECK(bytes[0] == bytes[1]);
}

TEST_CASE("caches that are damaged, foreign or in the way are refused") {
  CacheFiles files;
  const std::string whole = read_text(files.file());
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{300}, whole.size() / 2, whole.size() - 1}) {
    files.folder.write("logits", std::string_view(whole).substr(0, size));
    CHECK(files.refusal().find("logits") != std::string::npos);
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = whole;
    const std::size_t at = changed.find(from);
    REQUIRE(at != changed.npos);
    files.folder.write("logits", changed.replace(at, to.size(), to));
    return files.refusal();
  };
  CHECK(with("\"karat_logits\":\"1\"", "\"karat_logits\":\"2\"").find("another version") !=
        std::string::npos);
  CHECK(with("\"karat_logits\"", "\"karat_models\"").find("no cache of logits") !=
        std::string::npos);
  CHECK(with("\"top\":\"6\"", "\"top\":\"5\"").find("right type and shape") != std::string::npos);
  CHECK(with("\"top\":\"6\"", "\"top\":\"x\"").find("top that is no number") != std::string::npos);
  CHECK(with("\"stride\":\"0\"", "\"stride\":\"5\"").find("another stride") != std::string::npos);
  std::string ids = whole;  // the last tensors are ids, log_p and rest, two bytes an entry
  for (std::size_t i = whole.size() - 57 * 2 * (1 + 8 + 8); i < whole.size(); ++i) ids[i] = '\xff';
  files.folder.write("logits", ids);
  CHECK(files.refusal().find("ids below 28") != std::string::npos);

  files.folder.write("logits", whole);
  files.job.limit = 2;
  CHECK(files.refusal().find("another limit") != std::string::npos);
  files.job.limit = 0;
  files.job.conventions = "strided";
  CHECK(files.refusal().find("another convention") != std::string::npos);
  files.job.conventions = "hf";
  files.folder.write("text.txt", random_letters(61));
  CHECK(files.refusal().find("logits of another text") != std::string::npos);
  files.folder.write("text.txt", random_letters(60));
  CHECK(files.refusal() == "no error");
  files.candidate.folder.write("tokenizer.json", testing::letters_tokenizer(false));
  CHECK(files.refusal().find("another tokenizer") != std::string::npos);

  TextJob save{.model = files.original.folder.path(),
               .text = files.folder / "text.txt",
               .save_logits = files.file()};
  CHECK(error_of([&] { evaluate_text(save); }).find("--force") != std::string::npos);
  save.save_logits = files.folder / "nowhere/logits";
  CHECK(error_of([&] { evaluate_text(save); }).find("nowhere") != std::string::npos);
  save.save_logits = files.folder / "new";
  save.conventions = "hf,strided";
  CHECK(error_of([&] { evaluate_text(save); }).find("2 conventions") != std::string::npos);
  save.logits = files.file();
  CHECK(error_of([&] { evaluate_text(save); }).find("to read and to write") != std::string::npos);
}

}  // namespace
}  // namespace karat
