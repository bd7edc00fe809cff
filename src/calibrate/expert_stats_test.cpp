// Statistics of experts that few tokens visited, against their closed form.
#include "calibrate/expert_stats.h"

#include <doctest/doctest.h>

#include "karat/error.h"
#include "model/testing.h"

using namespace karat;

namespace {

using Stats = std::map<std::string, LinearStats>;

/// Two inputs, three units, three experts: of 4, 1 and 0 tokens.
struct Scene {
  Block block;
  torch::Tensor few = torch::tensor({{1.0f, 2.0f}}), inner = torch::tensor({{3.0f, 0.0f, 1.0f}});
  torch::Tensor many = torch::randn({4, 2}), many_inner = torch::randn({4, 3});
  Stats stats;

  Scene() {
    block.mlp.router = Router{"router", 3, 2};
    for (const std::string e : {"0", "1", "2"})
      block.mlp.experts.push_back({{e + "g", 3, 2}, {e + "u", 3, 2}, {e + "d", 2, 3}});
    ExpertStats experts(block);
    const LinearObserver observe = experts.observer();
    const auto see = [&](std::size_t e, const torch::Tensor& x, const torch::Tensor& units) {
      const auto& [gate, up, down] = block.mlp.experts[e];
      for (const Linear* layer : {&gate, &up, &down})
        observe(*layer, layer == &down ? units : x, {});
      stats[gate.name] = stats[up.name] = of(x);
      stats[down.name] = of(units);
    };
    see(0, many, many_inner);
    see(1, few, inner);
    for (const Expert& expert : block.mlp.experts)
      for (const Linear* layer : {&expert.gate, &expert.up, &expert.down})
        stats[layer->name].fisher =
            torch::full({layer->out, layer->in}, layer->name[0] == '0'   ? 8.0f
                                                 : layer->name[0] == '1' ? 2.0f
                                                                         : 0.0f);
    experts.finish(stats);
  }
  static LinearStats of(const torch::Tensor& x) {
    const auto tokens = static_cast<double>(x.size(0));
    LinearStats stats;
    stats.hessian = torch::mm(x.t(), x) * (2 / tokens);
    stats.input_abs = x.abs().mean(0);
    return stats;
  }
};

bool close(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::allclose(a, b, 1e-5, 1e-6);
}

}  // namespace

TEST_CASE("what an expert lacks to as many tokens as it has inputs comes from the others") {
  torch::manual_seed(1);
  const Scene s;
  const auto all = torch::cat({s.many, s.few}), all_inner = torch::cat({s.many_inner, s.inner});
  const torch::Tensor mean = Scene::of(all).hessian, own = Scene::of(s.few).hessian;
  CHECK(close(s.stats.at("0g").hessian, Scene::of(s.many).hessian));
  CHECK(close(s.stats.at("1g").hessian, (own + mean) / 2));
  CHECK(close(s.stats.at("2g").hessian, mean));
  CHECK(close(s.stats.at("1g").input_abs, (s.few.abs().mean(0) + all.abs().mean(0)) / 2));
  for (const char* e : {"0", "1", "2"})
    CHECK(
        s.stats.at(std::string(e) + "u").hessian.is_same(s.stats.at(std::string(e) + "g").hessian));

  const torch::Tensor unit =
      torch::eye(3) * Scene::of(all_inner).hessian.diagonal().mean().item<float>();
  CHECK(close(s.stats.at("0d").hessian, Scene::of(s.many_inner).hessian));
  CHECK(close(s.stats.at("1d").hessian, (Scene::of(s.inner).hessian + 2 * unit) / 3));
  CHECK(close(s.stats.at("2d").hessian, unit));
  CHECK_FALSE(s.stats.at("2d").input_square.defined());  // nobody asked
}

TEST_CASE("experts of few tokens are told, and those without any have a Fisher information") {
  const Scene s;
  CHECK_FALSE(s.stats.at("0d").few_tokens);
  CHECK(s.stats.at("1g").few_tokens == 1);
  CHECK(s.stats.at("2u").few_tokens == 0);
  CHECK(close(s.stats.at("1g").fisher, torch::full({3, 2}, 2.0f)));
  CHECK(close(s.stats.at("2g").fisher, torch::full({3, 2}, 10.0f / 5)));
}

TEST_CASE("a sweep shows every expert, and refuses what mixtures do not have") {
  const FamilyFixture fixture("olmoe");
  CalibrationSet set;
  set.ids = fixture.ids().narrow(1, 0, 3).narrow(0, 0, 1);  // 9 visits of 6 experts
  const auto run = [&](const Needs& needs) {
    std::size_t shown = 0;
    sweep(fixture.arch, fixture.weights, set, {.needs = needs}, [&](BlockVisit& visit) {
      for (const Linear* linear : fixture.arch.blocks[visit.index].linears()) {
        const LinearStats stats = visit.stats_of(linear->name);
        CHECK((!needs.hessian || stats.hessian.size(0) == linear->in));
        CHECK((!needs.fisher || stats.fisher.abs().sum().item<double>() > 0));
        CHECK((!needs.gradient || stats.gradient.size(0) == linear->out));
        ++shown;
      }
    });
    CHECK(shown == 2 * (4 + 3 * 6));
  };
  run({.hessian = true});
  run({.gradient = true, .fisher = true, .hessian = true});
  CHECK_THROWS_WITH_AS(run({.token_weights = true}), doctest::Contains("got a mixture of experts"),
                       Error);
  CHECK_THROWS_WITH_AS(run({.factors = Sketch::tokens}),
                       doctest::Contains("got a mixture of experts"), Error);
}
