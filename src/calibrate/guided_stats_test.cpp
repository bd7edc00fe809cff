// GuidedQuant's statistics against the naive formula in double.
#include "calibrate/guided_stats.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>

#include "core/threads.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "model/testing.h"
#include "model/threads.h"

using namespace karat;

namespace {

using Stats = std::map<std::string, LinearStats>;
const Needs kBoth{.token_weights = true, .guided = true};

Stats run_sweep(const FamilyFixture& fixture, const torch::Tensor& ids,
                const SweepOptions& options) {
  CalibrationSet set;
  set.ids = ids;
  Stats stats;
  sweep(fixture.arch, fixture.weights, set, options,
        [&](BlockVisit& visit) { stats.insert(visit.stats.begin(), visit.stats.end()); });
  return stats;
}

torch::Tensor random_ids(const FamilyFixture& fixture, std::int64_t sequences, std::int64_t time) {
  torch::manual_seed(7);
  return torch::randint(fixture.arch.vocab, {sequences, time}, torch::kInt64);
}

/// Inputs and gradients of outputs, in double, of sequences one after the other.
struct Flow {
  torch::Tensor input = {}, gradient = {};

  torch::Tensor token_weights() const { return gradient.square().mean(1); }
  /// The sum of a token's outer products, one by one.
  torch::Tensor guided() const {
    const auto weights = token_weights();
    auto sum = torch::zeros({input.size(1), input.size(1)}, torch::kFloat64);
    for (std::int64_t t = 0; t < input.size(0); ++t)
      sum += weights[t] * torch::outer(input[t], input[t]);
    return 2 * sum / weights.sum();
  }
};
using Flows = std::map<std::string, Flow>;

/// The oracle: of each sequence, one graph of the whole model, in double unless said otherwise.
Flows whole_graph(const FamilyFixture& fixture, const torch::Tensor& ids,
                  torch::ScalarType type = torch::kFloat64) {
  const Architecture& arch = fixture.arch;
  Weights all = load_ends(arch, fixture.weights, torch::kCPU, type);
  for (std::size_t i = 0; i < arch.blocks.size(); ++i)
    all.merge(load_block(arch, fixture.weights, i, torch::kCPU, type));
  for (auto& [name, tensor] : all) tensor.requires_grad_();
  std::map<std::string, std::array<std::vector<torch::Tensor>, 2>> parts;
  for (std::int64_t s = 0; s < ids.size(0); ++s) {
    Weights outputs;
    const auto keep = [&](const Linear& layer, const torch::Tensor& x, const torch::Tensor& y) {
      parts[layer.name][0].push_back(x.detach());
      outputs[layer.name] = y;
    };
    auto x = embed(arch, all, ids.narrow(0, s, 1));
    for (std::size_t i = 0; i < arch.blocks.size(); ++i) x = block_forward(arch, i, all, x, keep);
    const auto loss = next_token_loss(arch, all, x, ids.narrow(0, s, 1));
    for (const auto& [name, y] : outputs)
      parts[name][1].push_back(torch::autograd::grad({loss}, {y}, {}, /*retain_graph=*/true)[0]);
  }
  Flows flows;
  for (const auto& [name, both] : parts)
    flows[name] = {torch::cat(both[0]).to(torch::kFloat64),
                   torch::cat(both[1]).to(torch::kFloat64)};
  return flows;
}

double error(const torch::Tensor& a, const torch::Tensor& b) {
  return relative_error(a.to(torch::kFloat64), b);
}

/// A layer y = x Wᵀ and the loss Σ y·slope, so that ∂L/∂y = slope.
struct OneLayer {
  Linear linear{"only", 129, 333};
  torch::Tensor x, slope, weight;

  OneLayer() {
    torch::manual_seed(3);
    x = torch::randn({1400, 333});
    slope = torch::randn({1400, 129}) * torch::rand({1400, 1});
    weight = torch::randn({129, 333}).requires_grad_();
  }
  LinearStats in_two_passes() const {
    GuidedStats guided(kBoth);
    for (const auto& [first, count] : {std::pair{0, 600}, std::pair{600, 800}}) {
      const auto input = x.narrow(0, first, count);
      const auto y = torch::mm(input, weight.t());
      guided.observer()(linear, input, y);
      torch::autograd::grad({(y * slope.narrow(0, first, count)).sum()}, {weight});
    }
    Stats stats;
    guided.finish(stats);
    return stats.at("only");
  }
  Flow flow() const { return {x.to(torch::kFloat64), slope.to(torch::kFloat64)}; }
};

}  // namespace

TEST_CASE("token weights and guided Hessians equal whole-graph autograd in double") {
  const SerialTorch serial;  // once instead of at every call
  for (const auto& entry : std::filesystem::directory_iterator(kFamilies)) {
    CAPTURE(entry.path().filename().string());
    const FamilyFixture fixture(entry.path().filename());
    if (fixture.arch.mixture()) continue;  // expert_stats_test.cpp
    const auto ids = random_ids(fixture, 3, 13);
    const auto flows = whole_graph(fixture, ids);
    const auto backward = run_sweep(fixture, ids, {.needs = kBoth});
    SweepOptions options{.needs = {.guided = true}};
    options.token_weights = [&](const auto& layer) { return backward.at(layer).token_weights; };
    const auto forward = run_sweep(fixture, ids, options);
    CHECK(backward.size() == flows.size());
    CHECK(forward.size() == flows.size());
    // Norms of q and k take out what lies along them, and most digits with it: of single precision
    // a sweep may lose no more there than one graph does.
    const auto single = whole_graph(fixture, ids, torch::kFloat32);
    for (const auto& [layer, flow] : flows) {
      CAPTURE(layer);
      const double lost = error(single.at(layer).token_weights(), flow.token_weights());
      CHECK(lost < 1e-4);
      CHECK(error(backward.at(layer).token_weights, flow.token_weights()) <
            std::max(1e-5, 2 * lost));
      CHECK(error(backward.at(layer).guided, flow.guided()) < 1e-5);
      CHECK(error(forward.at(layer).guided, flow.guided()) < 1e-5);
      CHECK_FALSE(backward.at(layer).gradient.defined());
      CHECK_FALSE(forward.at(layer).token_weights.defined());
      CHECK_FALSE(forward.at(layer).hessian.defined());
    }
  }
}

TEST_CASE("layers with one input have their own guided Hessian; other statistics come along") {
  const FamilyFixture fixture("llama3");
  const auto ids = random_ids(fixture, 2, 9);
  const Needs rest{.gradient = true, .fisher = true, .hessian = true, .input_square = true};
  const auto alone = run_sweep(fixture, ids, {.needs = kBoth});
  const auto without = run_sweep(fixture, ids, {.needs = rest});
  const auto all = run_sweep(fixture, ids, {.needs = kBoth | rest});
  for (const auto& [layer, stats] : all) {
    CAPTURE(layer);
    CHECK(stats.guided.equal(alone.at(layer).guided));
    CHECK(stats.token_weights.equal(alone.at(layer).token_weights));
    CHECK(stats.gradient.equal(without.at(layer).gradient));
    CHECK(stats.fisher.equal(without.at(layer).fisher));
    CHECK(stats.hessian.equal(without.at(layer).hessian));
    CHECK(stats.input_square.equal(without.at(layer).input_square));
  }
  const Attention& attention = fixture.arch.blocks[0].attention;
  CHECK(relative_error(all.at(attention.q.name).guided, all.at(attention.v.name).guided) > 1e-2);
  CHECK(relative_error(all.at(attention.q.name).guided, all.at(attention.q.name).hessian) > 1e-2);
}

TEST_CASE("equal token weights make the guided Hessian the plain one") {
  const FamilyFixture fixture("qwen3");
  const auto ids = random_ids(fixture, 2, 9);
  SweepOptions options{.needs = {.hessian = true, .guided = true}};
  options.token_weights = [](const auto&) { return torch::full({18}, 3e-12f); };
  for (const auto& [layer, stats] : run_sweep(fixture, ids, options))
    CHECK(relative_error(stats.guided, stats.hessian) < 1e-5);
}

TEST_CASE("guided statistics are right for a wide layer, and the same on any number of threads") {
  const OneLayer layer;
  const int before = thread_count();
  std::vector<LinearStats> results;
  for (const int threads : {1, 2, 3}) {
    set_torch_threads(threads);
    const ThreadScope scope(threads);
    const SerialTorch serial;
    results.push_back(layer.in_two_passes());
  }
  set_torch_threads(before);
  for (const auto& result : results) {
    CHECK(result.guided.equal(results[0].guided));
    CHECK(result.token_weights.equal(results[0].token_weights));
  }
  CHECK(error(results[0].token_weights, layer.flow().token_weights()) < 1e-6);
  CHECK(error(results[0].guided, layer.flow().guided()) < 1e-5);
}

TEST_CASE("guided statistics that cannot be had are refused by name") {
  const FamilyFixture fixture("llama3");
  const auto ids = random_ids(fixture, 2, 9);
  const auto forward = [&](const torch::Tensor& weights) {
    SweepOptions options{.needs = {.guided = true}};
    if (weights.defined()) options.token_weights = [weights](const auto&) { return weights; };
    run_sweep(fixture, ids, options);
  };
  CHECK_NOTHROW(forward(torch::ones({18})));
  CHECK_THROWS_WITH_AS(forward({}), doctest::Contains("without token weights"), Error);
  for (const std::int64_t count : {0, 9, 17, 19, 27})
    CHECK_THROWS_WITH_AS(forward(torch::ones({count})),
                         doctest::Contains("token weights, expected 18"), Error);
  CHECK_THROWS_WITH_AS(forward(torch::zeros({18})), doctest::Contains("model.layers.0."), Error);
  CHECK_THROWS_WITH_AS(forward(torch::full({18}, std::numeric_limits<float>::infinity())),
                       doctest::Contains("infinite"), Error);
  // Nothing that goes into the attention of block 1 comes out.
  const Block& block = fixture.arch.blocks[1];
  SweepOptions dead{.needs = kBoth};
  dead.edit = [&](std::size_t index, Weights& weights) {
    if (index == 1) weights.at(block.attention.o.name + ".weight").zero_();
  };
  CHECK_THROWS_WITH_AS(run_sweep(fixture, ids, dead),
                       doctest::Contains("model.layers.1.self_attn.k_proj"), Error);
}
