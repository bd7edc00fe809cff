// Tuners on the plainest block there is, one layer: the oracle is arithmetic by hand.
#include <doctest/doctest.h>

#include <cmath>

#include "karat/error.h"
#include "tuner/shared/groups.h"
#include "tuner/testing.h"

namespace karat {

Tuner signround_tuner(Options&);
Tuner block_ap_tuner(Options&);

namespace {

const std::vector<std::pair<std::string, Tuner (*)(Options&)>> kTuners{
    {"signround", signround_tuner}, {"block-ap", block_ap_tuner}};

}  // namespace

TEST_CASE("a rounding that is known by hand is found") {
  // Inputs that always agree: only the sum of the weights counts, 0.75 here of 0.45 and 0.3. Each
  // alone is nearest to 0; the best sum of whole numbers is 1, and V of the first gets there first.
  TunedLayer layer{.name = "layer", .grid = even_grid(0, 3), .start = {}};
  layer.start = {.codes = torch::tensor({{0, 0}}, torch::kUInt8),
                 .params = {{torch::ones({1, 1}), torch::zeros({1, 1})}},
                 .weight = torch::tensor({{0.45f, 0.3f}})};
  const TunedLoss loss = linear_loss(torch::ones({1, 1, 2}), layer.start.weight);
  const Tuner tuner = tuner_of(signround_tuner, "iterations=50,clip=0");
  const Solution found = tuner.in_turn[0].tune({layer}, loss).at(0);
  CHECK(torch::equal(found.codes, torch::tensor({{1, 0}}, torch::kUInt8)));
  CHECK(loss_of(loss, found, 2) == doctest::Approx(0.0625));
}

TEST_CASE("tuned layers are never worse than those that tuning began with, and mostly better") {
  for (const auto& [name, factory] : kTuners)
    for (const int seed : {1, 2, 3}) {
      CAPTURE(name);
      torch::manual_seed(seed);
      const torch::Tensor weight = torch::randn({8, 20});  // the last group is narrower
      const TunedLayer layer = rounded(weight, 8, 3);
      const TunedLoss loss = linear_loss(correlated(6, 16, 20), weight);
      const double before = loss_of(loss, layer.start, 8);
      for (const char* text : {"iterations=60,batch=2", "iterations=3,batch=2,lr=1"}) {
        const Solution found = tuner_of(factory, text).in_turn[0].tune({layer}, loss).at(0);
        CHECK(loss_of(loss, found, 8) <= before * 1.000001);
      }
      const Solution found =
          tuner_of(factory, "iterations=200").in_turn[0].tune({layer}, loss).at(0);
      CHECK(loss_of(loss, found, 8) < 0.85 * before);
      CHECK(found.params.size() == 3);
      CHECK(found.codes.max().item<int>() <= 3);
    }
}

TEST_CASE("ranges that are learned beat rounding that is learned alone where a weight stands out") {
  torch::manual_seed(4);
  torch::Tensor weight = 0.1 * torch::randn({16, 32});
  weight.select(1, 0).fill_(1);
  torch::Tensor x = torch::randn({8, 16, 32});
  x.select(2, 0).mul_(0.01);  // it hardly matters
  const TunedLayer layer = rounded(weight, 32, 3);
  const TunedLoss loss = linear_loss(x, weight);
  const auto tuned = [&](const std::string& text) {
    return loss_of(loss, tuner_of(signround_tuner, text).in_turn[0].tune({layer}, loss).at(0), 32);
  };
  CHECK(tuned("iterations=100") < 0.5 * tuned("iterations=100,clip=0"));
}

TEST_CASE("kept weights stay as they are") {
  for (const auto& [name, factory] : kTuners) {
    CAPTURE(name);
    torch::manual_seed(5);
    const torch::Tensor weight = torch::randn({4, 16});
    TunedLayer layer = rounded(weight, 8, 3);
    layer.start.kept = torch::rand({4, 16}) < 0.3;
    const TunedLoss loss = linear_loss(correlated(4, 8, 16), weight);
    const Solution found = tuner_of(factory, "iterations=20").in_turn[0].tune({layer}, loss).at(0);
    CHECK(torch::equal(found.weight, weight));
    CHECK(torch::equal(found.kept, layer.start.kept));
    CHECK(loss_of(loss, found, 8) < loss_of(loss, layer.start, 8));
  }
}

TEST_CASE("a group of zeros stays zeros") {
  for (const auto& [name, factory] : kTuners) {
    CAPTURE(name);
    torch::manual_seed(6);
    torch::Tensor weight = torch::randn({4, 16});
    weight.slice(1, 0, 8).zero_();
    TunedLayer layer = rounded(weight, 8, 3);
    layer.start.params[0] = {torch::zeros({4, 1}), torch::zeros({4, 1})};
    layer.start.codes.slice(1, 0, 8).zero_();
    const TunedLoss loss = linear_loss(correlated(4, 8, 16), weight);
    const Solution found = tuner_of(factory, "iterations=20").in_turn[0].tune({layer}, loss).at(0);
    CHECK(decoded(found, 8).slice(1, 0, 8).abs().max().item<float>() < 1e-3f);
    CHECK(std::isfinite(loss_of(loss, found, 8)));
  }
}

TEST_CASE("gradients of a line and of weights are those of the surrogate whose rounding is held") {
  torch::manual_seed(7);
  const torch::Tensor weight = torch::randn({3, 12});
  const GroupedLayer layer = grouped_layer(rounded(weight, 6, 3));
  const torch::Tensor slope = torch::randn({3, 12});
  const torch::Tensor v = (1.3 * layer.weight).to(torch::kFloat64).requires_grad_();
  GroupLines lines{layer.lines.scale.to(torch::kFloat64).requires_grad_(),
                   (layer.lines.zero + 0.2).to(torch::kFloat64).requires_grad_()};
  const torch::Tensor place = (v / lines.scale + lines.zero).detach();
  const torch::Tensor inside = (place >= 0) & (place <= 3), codes = place.round().clamp(0, 3);
  const auto value = [&](const torch::Tensor& v, const GroupLines& lines) {
    const torch::Tensor moved = v / lines.scale + lines.zero - place + codes;
    const torch::Tensor w = (torch::where(inside, moved, codes) - lines.zero) * lines.scale;
    return (layer.flat(w) * slope).sum();
  };
  const torch::Tensor made = (decoded_weights(layer, v, lines) * slope).sum();
  CHECK(made.item<double>() == doctest::Approx(value(v, lines).item<double>()));
  const auto gradients = torch::autograd::grad({made}, {v, lines.scale, lines.zero});
  const double h = 1e-6;
  const std::vector<torch::Tensor> leaves{v.detach(), lines.scale.detach(), lines.zero.detach()};
  for (std::size_t k = 0; k < leaves.size(); ++k)
    for (std::int64_t i = 0; i < leaves[k].numel(); ++i) {
      const auto at = [&](double step) {
        std::vector<torch::Tensor> moved;
        for (const torch::Tensor& leaf : leaves) moved.push_back(leaf.clone());
        moved[k].view(-1)[i] += step;
        return value(moved[0], {moved[1], moved[2]}).item<double>();
      };
      CHECK(gradients[k].reshape(-1)[i].item<double>() ==
            doctest::Approx((at(h) - at(-h)) / (2 * h)).epsilon(1e-5));
    }
}

TEST_CASE("a loss that is not finite and a grid without even levels are refused by name") {
  for (const auto& [name, factory] : kTuners) {
    CAPTURE(name);
    const std::string owner = "tuner " + name;
    torch::manual_seed(8);
    const torch::Tensor weight = torch::randn({4, 16});
    TunedLoss loss = linear_loss(correlated(4, 8, 16), weight);
    loss.gradients = [](const auto& w, const auto&, const auto& take) {
      take(0, torch::zeros_like(w(0)));
      return NAN;
    };
    const Tuner tuner = tuner_of(factory, "iterations=5");
    CHECK_THROWS_WITH_AS(tuner.in_turn[0].tune({rounded(weight, 8, 3)}, loss),
                         doctest::Contains((owner + ": got a loss that is not finite").c_str()),
                         Error);
    CHECK_THROWS_WITH_AS(tuner.check(Grid{}), doctest::Contains(owner.c_str()), Error);
    CHECK_NOTHROW(tuner.check(even_grid(8, 3)));
  }
}

}  // namespace karat
