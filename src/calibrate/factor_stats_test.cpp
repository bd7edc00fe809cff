// Factors of the Fisher information against the gradients of whole graphs in double.
#include "calibrate/factor_stats.h"

#include <doctest/doctest.h>

#include "core/threads.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "model/testing.h"
#include "model/threads.h"

using namespace karat;

namespace {

using Stats = std::map<std::string, LinearStats>;

Stats factor_sweep(const FamilyFixture& fixture, const torch::Tensor& ids, const Needs& needs) {
  CalibrationSet set;
  set.ids = ids;
  Stats stats;
  sweep(fixture.arch, fixture.weights, set, {.needs = needs},
        [&](BlockVisit& visit) { stats.insert(visit.stats.begin(), visit.stats.end()); });
  return stats;
}

torch::Tensor some_ids(const FamilyFixture& fixture, std::int64_t sequences, std::int64_t time) {
  torch::manual_seed(5);
  return torch::randint(fixture.arch.vocab, {sequences, time}, torch::kInt64);
}

/// Σ over sequences or tokens of GᵀG and GGᵀ, in double.
struct Grams {
  torch::Tensor input, output;
  void add(const torch::Tensor& gradient) {  // [out, in]
    if (!input.defined()) {
      input = torch::zeros({gradient.size(1), gradient.size(1)}, torch::kFloat64);
      output = torch::zeros({gradient.size(0), gradient.size(0)}, torch::kFloat64);
    }
    input += gradient.t().matmul(gradient);
    output += gradient.matmul(gradient.t());
  }
};

/// The first token whose cumulative probability passes the draw, in double.
torch::Tensor labels_of(const torch::Tensor& logits, const torch::Tensor& draws) {
  const torch::Tensor passed = torch::softmax(logits.detach(), 1).cumsum(1) > draws.unsqueeze(1);
  return (~passed).sum(1);
}

/// The oracle: of each sequence one graph of the whole model in double, with the labels drawn.
std::map<std::string, Grams> whole_graph(const FamilyFixture& fixture, const torch::Tensor& ids,
                                         Sketch sketch) {
  const Architecture& arch = fixture.arch;
  Weights all = load_ends(arch, fixture.weights, torch::kCPU, torch::kFloat64);
  for (std::size_t i = 0; i < arch.blocks.size(); ++i)
    all.merge(load_block(arch, fixture.weights, i, torch::kCPU, torch::kFloat64));
  for (auto& [name, tensor] : all) tensor.requires_grad_();
  std::map<std::string, Grams> grams;
  for (std::int64_t s = 0; s < ids.size(0); ++s) {
    std::map<std::string, std::pair<torch::Tensor, torch::Tensor>> seen;
    const auto see = [&](const Linear& layer, const torch::Tensor& x, const torch::Tensor& y) {
      seen[layer.name] = {x.detach(), y};
    };
    auto x = embed(arch, all, ids.narrow(0, s, 1));
    for (std::size_t i = 0; i < arch.blocks.size(); ++i) x = block_forward(arch, i, all, x, see);
    const auto rows = logits(arch, all, x)[0].narrow(0, 0, ids.size(1) - 1);
    const auto labels = labels_of(rows, label_draws(ids.narrow(0, s, 1)));
    const auto loss = torch::nll_loss(torch::log_softmax(rows, 1), labels);
    for (const auto& [name, both] : seen) {
      const auto g = torch::autograd::grad({loss}, {both.second}, {}, /*retain_graph=*/true)[0];
      if (sketch == Sketch::sequences)
        grams[name].add(torch::autograd::grad({loss}, {all.at(name + ".weight")}, {}, true)[0]);
      else
        for (std::int64_t t = 0; t < g.size(0); ++t)
          grams[name].add(torch::outer(g[t], both.first[t]));
    }
  }
  return grams;
}

double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return relative_error(a.to(torch::kFloat64), b);
}

}  // namespace

TEST_CASE("factors equal whole-graph autograd in double with the labels drawn") {
  const SerialTorch serial;  // once instead of at every call
  for (const auto& entry : std::filesystem::directory_iterator(kFamilies))
    for (const Sketch sketch : {Sketch::tokens, Sketch::sequences}) {
      CAPTURE(entry.path().filename().string());
      const FamilyFixture fixture(entry.path().filename());
      if (fixture.arch.mixture()) continue;  // expert_stats_test.cpp
      const auto ids = some_ids(fixture, 3, 11);
      const auto expected = whole_graph(fixture, ids, sketch);
      const auto found = factor_sweep(fixture, ids, {.factors = sketch});
      CHECK(found.size() == expected.size());
      for (const auto& [layer, grams] : expected) {
        CAPTURE(layer);
        const LinearStats& stats = found.at(layer);
        CHECK(distance(stats.input_factor, grams.input * (10 / 3.0)) < 1e-4);
        CHECK(distance(stats.output_factor, grams.output / grams.output.trace()) < 1e-4);
        CHECK_FALSE(stats.gradient.defined());
      }
    }
}

TEST_CASE("long sequences and short ones give what their gradient does") {
  torch::manual_seed(2);
  const Linear linear{"only", 40, 70};
  for (const std::int64_t time : {9, 600}) {
    const auto x = torch::randn({time, 70}), slope = torch::randn({time, 40});
    const auto weight = torch::randn({40, 70}).requires_grad_();
    std::vector<LinearStats> results;
    const int before = thread_count();
    for (const int threads : {1, 2, 3}) {
      set_torch_threads(threads);
      const ThreadScope scope(threads);
      const SerialTorch serial;
      FactorStats factors(Sketch::sequences);
      const auto y = torch::mm(x, weight.t());
      factors.observer()(linear, x, y);
      torch::autograd::grad({(y * slope).sum()}, {weight});
      Stats stats;
      factors.finish(stats);
      results.push_back(stats.at("only"));
    }
    set_torch_threads(before);
    Grams grams;
    grams.add(slope.t().matmul(x).to(torch::kFloat64));
    CHECK(distance(results[0].input_factor, grams.input * static_cast<double>(time - 1)) < 1e-5);
    CHECK(distance(results[0].output_factor, grams.output / grams.output.trace()) < 1e-5);
    for (const LinearStats& result : results) {
      CHECK(result.input_factor.equal(results[0].input_factor));
      CHECK(result.output_factor.equal(results[0].output_factor));
    }
  }
}

TEST_CASE("labels are drawn as the model's probabilities say, and the loss stays the text's") {
  const SerialTorch serial;  // once instead of at every call
  const FamilyFixture fixture("llama3");
  const Architecture& arch = fixture.arch;
  const torch::Tensor ids = some_ids(fixture, 1, 2).expand({1, 2});
  const Weights ends = fixture.leaves();
  const auto x = torch::randn({1, 2, arch.hidden}).requires_grad_();
  const auto gradient = [&](const torch::Tensor& draws) {
    return torch::autograd::grad({next_token_loss(arch, ends, x, ids, draws)}, {x})[0];
  };
  const auto at = [](double draw) { return torch::full({1}, draw, torch::kFloat64); };
  CHECK(next_token_loss(arch, ends, x, ids, at(0.3)).equal(next_token_loss(arch, ends, x, ids)));
  // Evenly spread draws take every label as often as the model says, and then the mean gradient
  // of the loss, whose expectation is 0, all but vanishes.
  torch::Tensor sum = torch::zeros_like(x), squares = torch::zeros({});
  constexpr int kDraws = 500;
  for (int i = 0; i < kDraws; ++i) {
    const torch::Tensor one = gradient(at((i + 0.5) / kDraws));
    sum += one;
    squares += one.square().sum();
  }
  const double length = std::sqrt(squares.item<double>() / kDraws);
  CHECK((sum / kDraws).norm().item<double>() < 0.05 * length);
  CHECK(relative_error(gradient(at(0)), gradient(at(1 - 1e-9))) > 0.1);
  const torch::Tensor draws = label_draws(some_ids(fixture, 1, 500));
  CHECK(draws.size(0) == 499);
  CHECK(draws.min().item<double>() >= 0);
  CHECK(draws.max().item<double>() < 1);
  CHECK(draws.mean().item<double>() == doctest::Approx(0.5).epsilon(0.1));
  CHECK_FALSE(draws.narrow(0, 0, 9).equal(label_draws(some_ids(fixture, 1, 10))));
}

TEST_CASE("factors want a sweep of their own, and a gradient") {
  const FamilyFixture fixture("llama3");
  const auto ids = some_ids(fixture, 2, 9);
  CHECK_THROWS_WITH_AS(factor_sweep(fixture, ids, {.fisher = true, .factors = Sketch::tokens}),
                       doctest::Contains("drawn labels and of the text's"), Error);
  FactorStats factors(Sketch::tokens);
  const auto x = torch::ones({3, 2}), weight = torch::ones({4, 2}).requires_grad_();
  const auto y = torch::mm(x, weight.t());
  factors.observer()(Linear{"only", 4, 2}, x, y);
  torch::autograd::grad({(y * 0).sum()}, {weight});
  Stats stats;
  CHECK_THROWS_WITH_AS(factors.finish(stats),
                       doctest::Contains("factors of only: got no gradient at any token"), Error);
}
