#include "karat/scaling.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "core/rng.h"
#include "karat/error.h"

namespace karat {
namespace {

struct Truth {
  double a = 40, b = 0.3, c = 60, d = 0.25, e = 1.2;
  std::map<std::string, double> eff = {{"", 1}, {"w4", 0.7}, {"w2", 0.15}};

  ScalingRun run(const std::string& kind, double size, double tokens, double noise = 0,
                 std::uint64_t seed = 1) const {
    const double loss = a / std::pow(size * eff.at(kind), b) + c / std::pow(tokens, d) + e;
    ScalingRun result{.name = kind, .kind = kind, .size = size, .tokens = tokens, .losses = {}};
    Rng shared(99), own(seed);  // sequences are easy or hard for every model
    for (int i = 0; i < 64; ++i)
      result.losses.push_back(loss + 0.3 * (shared.uniform() - 0.5) +
                              noise * (own.uniform() - 0.5));
    double mean = 0;
    for (const double one : result.losses) mean += one / 64;
    if (noise == 0)
      for (double& one : result.losses) one += loss - mean;
    return result;
  }
};

std::string refused(const std::vector<ScalingRun>& runs, const ScalingOptions& options = {}) {
  try {
    fit_scaling_law(runs, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("a law without noise is found again, every parameter") {
  const Truth truth;
  std::vector<ScalingRun> runs;
  for (const auto& [kind, eff] : truth.eff)
    for (const double size : {1e5, 4e5, 1.6e6, 1e7})
      for (const double tokens : {1e6, 1e7, 1e8}) runs.push_back(truth.run(kind, size, tokens));
  const ScalingLaw law = fit_scaling_law(runs, {.resamples = 10});
  CHECK(law.a.value == doctest::Approx(truth.a).epsilon(1e-3));
  CHECK(law.b.value == doctest::Approx(truth.b).epsilon(1e-3));
  REQUIRE(law.data);
  CHECK(law.data->first.value == doctest::Approx(truth.c).epsilon(1e-3));
  CHECK(law.data->second.value == doctest::Approx(truth.d).epsilon(1e-3));
  REQUIRE(law.constants.size() == 1);
  CHECK(law.constants[0].second.value == doctest::Approx(truth.e).epsilon(1e-3));
  REQUIRE(law.kinds.size() == 3);
  for (const auto& kind : law.kinds) {
    CHECK(kind.efficiency.value == doctest::Approx(truth.eff.at(kind.kind)).epsilon(1e-3));
    CHECK(kind.runs == 12);
  }
  CHECK(law.open.empty());
}

TEST_CASE("one number of tokens: eff all the same, and said that c and d are not determined") {
  const Truth truth;
  std::vector<ScalingRun> runs;
  for (const double size : {1e5, 4e5, 1.6e6}) {
    runs.push_back(truth.run("", size, 1e7));
    runs.push_back(truth.run("w4", size, 1e7));
  }
  runs.push_back(truth.run("w2", 4e5, 1e7));  // one run is enough for eff
  const ScalingLaw law = fit_scaling_law(runs, {.resamples = 5});
  CHECK_FALSE(law.data);
  REQUIRE(law.constants.size() == 1);
  CHECK(law.constants[0].first == 1e7);
  CHECK(law.constants[0].second.value ==
        doctest::Approx(truth.e + truth.c / std::pow(1e7, truth.d)).epsilon(1e-3));
  for (const auto& kind : law.kinds)
    CHECK(kind.efficiency.value == doctest::Approx(truth.eff.at(kind.kind)).epsilon(1e-3));
  REQUIRE(law.open.size() == 1);
  CHECK(law.open[0].find("c and d") == 0);
}

TEST_CASE("the standard error of eff is about the spread of fits to other noise") {
  const Truth truth;
  std::vector<double> found;
  double error = 0;
  constexpr int kTimes = 12;
  for (std::uint64_t seed = 0; seed < kTimes; ++seed) {
    std::vector<ScalingRun> runs;
    std::uint64_t number = seed * 100;
    for (const double size : {1e5, 4e5, 1.6e6, 6.4e6})
      for (const char* kind : {"", "w4"})
        runs.push_back(truth.run(kind, size, 1e7, 0.05, ++number));
    const ScalingLaw law = fit_scaling_law(runs, {.resamples = 60, .seed = seed});
    found.push_back(law.kinds[1].efficiency.value);
    error += law.kinds[1].efficiency.error / kTimes;
  }
  double mean = 0, squares = 0;
  for (const double eff : found) mean += eff / kTimes;
  for (const double eff : found) squares += (eff - mean) * (eff - mean);
  const double spread = std::sqrt(squares / (kTimes - 1));
  MESSAGE("eff 0.7 found as ", mean, ", spread ", spread, ", standard error ", error);
  CHECK(mean == doctest::Approx(0.7).epsilon(0.1));
  CHECK(error > 0.4 * spread);
  CHECK(error < 2.5 * spread);
}

/// Final losses of QuEST's authors (arXiv 2502.05003, C4): bits -> loss at 30, 50, 100, 200, 430
/// and 800 M weights and 100 tokens a weight, then of 30, 50, 100 and 200 M at 25 and at 50.
struct Published {
  int bits;
  std::vector<double> hundred, few, fifty;
};

TEST_CASE("the published losses give the published eff") {
  const std::vector<double> sizes = {30482560,  49556736,  102777856,
                                     203188480, 443068288, 822151168};
  const std::vector<Published> table = {
      {16, {3.2071, 3.0678, 2.8860, 2.7288, 2.5708, 2.4610}, {}, {}},
      {4,
       {3.2721, 3.1351, 2.9477, 2.7818, 2.6138, 2.4950},
       {3.4618, 3.2917, 3.0965, 2.9251},
       {3.3524, 3.2042, 3.0109, 2.8413}},
      {3,
       {3.3719, 3.2263, 3.0368, 2.8613, 2.6784},
       {3.5378, 3.3638, 3.1657, 2.9894},
       {3.4352, 3.2830, 3.0892, 2.9145}},
      {2,
       {3.5740, 3.4410, 3.2355, 3.0457},
       {3.7187, 3.5418, 3.3282, 3.1446},
       {3.6291, 3.4780, 3.2719, 3.0852}},
      {1, {3.9449, 3.7907, 3.6014, 3.4229, 3.2241, 3.0793}, {}, {}}};
  std::vector<ScalingRun> runs;
  for (const Published& row : table) {
    const std::string kind = row.bits == 16 ? "" : std::to_string(row.bits);
    const auto add = [&](const std::vector<double>& losses, double ratio) {
      for (std::size_t i = 0; i < losses.size(); ++i)
        runs.push_back({.name = kind,
                        .kind = kind,
                        .size = sizes[i],
                        .tokens = sizes[i] * ratio,
                        .losses = {losses[i]}});
    };
    add(row.hundred, 100);
    add(row.few, 25);
    add(row.fifty, 50);
  }
  const ScalingLaw law = fit_scaling_law(runs, {.resamples = 2});
  REQUIRE(law.data);
  const std::map<std::string, double> published = {
      {"", 1}, {"4", 0.6918}, {"3", 0.4331}, {"2", 0.1519}, {"1", 0.0205}};
  for (const auto& kind : law.kinds) {
    MESSAGE("eff of ", kind.kind, " bits: ", kind.efficiency.value, ", published ",
            published.at(kind.kind));
    CHECK(kind.efficiency.value == doctest::Approx(published.at(kind.kind)).epsilon(0.05));
  }
}

TEST_CASE("what the runs do not determine is refused, by what is missing") {
  const Truth truth;
  std::vector<ScalingRun> two = {truth.run("", 1e5, 1e7), truth.run("", 1e6, 1e7),
                                 truth.run("w4", 1e5, 1e7), truth.run("w4", 1e6, 1e7)};
  CHECK(refused(two).find("2 sizes of model, expected at least 3; a, b and e need three") !=
        std::string::npos);
  const double rest = truth.e + truth.c / std::pow(1e7, truth.d);
  const ScalingLaw law = fit_scaling_law(two, {.floor = rest, .resamples = 2});
  CHECK(law.kinds[1].efficiency.value == doctest::Approx(0.7).epsilon(1e-3));
  CHECK(refused(two, {.floor = 99}).find("not above the floor") != std::string::npos);
  std::vector<ScalingRun> coded;
  for (const double size : {1e5, 1e6, 1e7}) coded.push_back(truth.run("w4", size, 1e7));
  CHECK(refused(coded).find("no run without --quantize") != std::string::npos);
  std::vector<ScalingRun> tied;  // few runs, and tokens in step with the sizes
  for (const double size : {1e5, 1e6, 1e7}) tied.push_back(truth.run("", size, 20 * size));
  CHECK(refused(tied).find("3 runs, expected at least 5") != std::string::npos);
  std::vector<ScalingRun> other = two;
  other.push_back(truth.run("", 1e7, 1e7));
  other.back().losses.pop_back();
  CHECK(refused(other).find("63 losses, expected 64") != std::string::npos);
}

}  // namespace
}  // namespace karat
