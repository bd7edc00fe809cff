// Which parameters the runs determine, where the descent begins, and how far the choice of the
// validation text moves what it finds.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/rng.h"
#include "karat/error.h"
#include "karat/scaling.h"
#include "scaling/law.h"

namespace karat {
namespace {

constexpr std::size_t kTokensNeeded = 3;  // numbers of tokens that tell c / D^d from e

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// The runs as the law sees them.
struct Problem {
  LawShape shape;
  std::vector<LawPoint> points;
  std::vector<std::string> kinds;
  std::vector<double> tokens;                 // distinct, ascending
  double middle_size = 0, middle_tokens = 0;  // logarithms, taken off the points'
};

std::vector<std::string> kinds_of(const std::vector<ScalingRun>& runs) {
  std::vector<std::string> kinds = {""};
  for (const ScalingRun& run : runs)
    if (std::find(kinds.begin(), kinds.end(), run.kind) == kinds.end()) kinds.push_back(run.kind);
  return kinds;
}

void check_runs(const std::vector<ScalingRun>& runs, const ScalingOptions& options) {
  std::set<double> sizes;
  bool plain = false;
  for (const ScalingRun& run : runs) {
    sizes.insert(run.size);
    plain |= run.kind.empty();
    if (run.losses.size() != runs.front().losses.size())
      fail("scaling", fmt::format("{} with {} losses", run.name, run.losses.size()),
           fmt::format("{} as {} has", runs.front().losses.size(), runs.front().name));
    if (run.losses.empty() || !(mean_of(run.losses) > options.floor.value_or(0)))
      fail("scaling", run.name + " with a loss that is not above the floor",
           fmt::format("losses above {}", options.floor.value_or(0)));
  }
  const std::size_t needed = options.floor ? 2 : 3;
  if (sizes.size() < needed)
    fail("scaling", fmt::format("{} size{} of model", sizes.size(), sizes.size() == 1 ? "" : "s"),
         fmt::format("at least {}", needed),
         options.floor ? "a and b need two" : "a, b and e need three; with --floor two");
  if (!plain)
    fail("scaling", "no run without --quantize", "at least one",
         "eff says what a weight is worth beside an unquantized one");
}

Problem problem_of(const std::vector<ScalingRun>& runs, const ScalingOptions& options) {
  Problem problem;
  problem.kinds = kinds_of(runs);
  std::set<double> tokens;
  for (const ScalingRun& run : runs) {
    tokens.insert(run.tokens);
    problem.middle_size += std::log(run.size) / static_cast<double>(runs.size());
    problem.middle_tokens += std::log(run.tokens) / static_cast<double>(runs.size());
  }
  problem.tokens.assign(tokens.begin(), tokens.end());
  problem.shape.kinds = problem.kinds.size();
  problem.shape.floor = options.floor;
  problem.shape.data = tokens.size() >= (options.floor ? 2 : kTokensNeeded);
  if (!problem.shape.data) problem.shape.constants = options.floor ? 1 : tokens.size();
  for (const ScalingRun& run : runs) {
    const auto kind = std::find(problem.kinds.begin(), problem.kinds.end(), run.kind);
    const auto at = std::lower_bound(problem.tokens.begin(), problem.tokens.end(), run.tokens);
    problem.points.push_back(
        {.log_size = std::log(run.size) - problem.middle_size,
         .log_tokens = std::log(run.tokens) - problem.middle_tokens,
         .loss = mean_of(run.losses),
         .kind = static_cast<std::size_t>(kind - problem.kinds.begin()),
         .constant = problem.shape.constants == 1
                         ? 0
                         : static_cast<std::size_t>(at - problem.tokens.begin())});
  }
  return problem;
}

/// Parameters with these exponents, and these shares of the least loss in data term and constant.
LawParameters start_at(const Problem& problem, double b, double d, double data, double constant) {
  const LawShape& shape = problem.shape;
  LawParameters p(shape.parameters(), 0.0);
  double least = HUGE_VAL;
  for (const LawPoint& point : problem.points) least = std::min(least, point.loss);
  const double above = shape.floor ? least - *shape.floor : least;
  p[1] = b;
  p[0] = std::log(above * (1 - (shape.data ? data : 0) - (shape.floor ? 0 : constant)));
  if (shape.data) {
    p[2] = std::log(above * data);
    p[3] = d;
  }
  for (std::size_t i = shape.first_constant(); i < shape.first_kind(); ++i)
    p[i] = std::log(above * constant);
  return p;
}

LawFit best_fit(const Problem& problem) {
  LawFit best{{}, HUGE_VAL};
  const auto try_at = [&](const LawParameters& start) {
    const LawFit fit = descend_law(problem.shape, problem.points, start);
    if (fit.error < best.error) best = fit;
  };
  for (const double b : {0.05, 0.2, 0.5, 1.0})
    for (const double constant : {0.01, 0.3, 0.6}) {
      if (!problem.shape.data) {
        try_at(start_at(problem, b, 0, 0, constant));
        continue;
      }
      for (const double d : {0.1, 0.3, 0.8})
        for (const double data : {0.05, 0.3}) try_at(start_at(problem, b, d, data, constant));
    }
  return best;
}

/// What a parameter says in the units of the runs.
struct Translated {
  double a, b, c, d;
  std::vector<double> constants, efficiencies;
};
Translated translated(const Problem& problem, const LawParameters& p) {
  const LawShape& shape = problem.shape;
  Translated result{std::exp(p[0] + p[1] * problem.middle_size), p[1], 0, 0, {}, {1}};
  if (shape.data) {
    result.c = std::exp(p[2] + p[3] * problem.middle_tokens);
    result.d = p[3];
  }
  if (shape.floor) result.constants = {*shape.floor};
  for (std::size_t i = shape.first_constant(); i < shape.first_kind(); ++i)
    result.constants.push_back(std::exp(p[i]));
  for (std::size_t i = shape.first_kind(); i < shape.parameters(); ++i)
    result.efficiencies.push_back(std::exp(p[i]));
  return result;
}

/// The same runs whose losses are means over sequences drawn with replacement, the same for all.
Problem resampled(const Problem& problem, const std::vector<ScalingRun>& runs, Rng& rng) {
  Problem drawn = problem;
  const std::size_t count = runs.front().losses.size();
  std::vector<std::size_t> chosen(count);
  for (std::size_t& index : chosen) index = static_cast<std::size_t>(rng.below(count));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    double sum = 0;
    for (const std::size_t index : chosen) sum += runs[i].losses[index];
    drawn.points[i].loss = sum / static_cast<double>(count);
  }
  return drawn;
}

/// `get` of what was found, and its deviation among the resampled fits.
template <typename Get>
Estimate estimate(const Translated& found, const std::vector<Translated>& again, const Get& get) {
  std::vector<double> values;
  for (const Translated& one : again) values.push_back(get(one));
  double squares = 0;
  const double mean = values.empty() ? 0 : mean_of(values);
  for (const double value : values) squares += (value - mean) * (value - mean);
  const auto freedom = std::max(1.0, static_cast<double>(values.size()) - 1);
  return {get(found), std::sqrt(squares / freedom)};
}

void check_determined(const Problem& problem, const LawFit& fit) {
  const std::size_t unknowns = problem.shape.parameters();
  if (problem.points.size() < unknowns)
    fail("scaling", fmt::format("{} runs", problem.points.size()),
         fmt::format("at least {}, one for each of a, b, {}e and eff of each quantizer", unknowns,
                     problem.shape.data ? "c, d, " : ""));
  const auto open = undetermined(problem.shape, problem.points, fit.parameters);
  if (open.empty()) return;
  std::string names;
  for (const std::size_t parameter : open)
    names += (names.empty() ? "" : ", ") + problem.shape.name(parameter);
  fail("scaling", "runs that do not determine " + names,
       "sizes and numbers of tokens that vary apart from each other");
}

ScalingLaw law_of(const Problem& problem, const LawFit& fit, const std::vector<Translated>& again) {
  const Translated found = translated(problem, fit.parameters);
  const auto about = [&](const auto& get) { return estimate(found, again, get); };
  ScalingLaw law;
  law.a = about([](const Translated& t) { return t.a; });
  law.b = about([](const Translated& t) { return t.b; });
  if (problem.shape.data)
    law.data = {about([](const Translated& t) { return t.c; }),
                about([](const Translated& t) { return t.d; })};
  for (std::size_t i = 0; i < found.constants.size(); ++i)
    law.constants.emplace_back(problem.shape.data ? 0 : problem.tokens[i],
                               about([i](const Translated& t) { return t.constants[i]; }));
  for (std::size_t i = 0; i < problem.kinds.size(); ++i) {
    const auto runs = std::count_if(problem.points.begin(), problem.points.end(),
                                    [i](const LawPoint& point) { return point.kind == i; });
    law.kinds.push_back(
        {problem.kinds[i], about([i](const Translated& t) { return t.efficiencies[i]; }), runs});
  }
  for (const LawPoint& point : problem.points)
    law.fitted.push_back(predicted_loss(problem.shape, fit.parameters, point));
  if (!problem.shape.data)
    law.open.push_back(fmt::format(
        "c and d: they need {} numbers of tokens, here {} {}; c / D^d and e are one constant",
        problem.shape.floor ? 2 : kTokensNeeded, problem.tokens.size() == 1 ? "is" : "are",
        problem.tokens.size()));
  return law;
}

}  // namespace

ScalingLaw fit_scaling_law(const std::vector<ScalingRun>& runs, const ScalingOptions& options) {
  check_runs(runs, options);
  const Problem problem = problem_of(runs, options);
  const LawFit fit = best_fit(problem);
  check_determined(problem, fit);
  std::vector<Translated> again;
  Rng rng(options.seed);
  for (std::int64_t i = 0; i < options.resamples; ++i) {
    const Problem drawn = resampled(problem, runs, rng);
    again.push_back(
        translated(drawn, descend_law(drawn.shape, drawn.points, fit.parameters).parameters));
  }
  return law_of(problem, fit, again);
}

}  // namespace karat
