#include "pipeline/widths.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "karat/error.h"
#include "pipeline/budget.h"
#include "pipeline/rounding.h"
#include "pipeline/sensitivity.h"

using namespace karat;

namespace {

using Losses = std::vector<double>;

/// Parts of `sizes` weights that may have codes of 2, 3 or 4 bits, each 6 dB better.
WidthChoices choices_of(const Losses& costs, const std::vector<std::int64_t>& sizes) {
  WidthChoices choices;
  for (std::size_t i = 0; i < costs.size(); ++i)
    for (const int bits : {2, 3, 4})
      choices["part" + std::to_string(i)].push_back(
          {bits, bits * sizes[i], costs[i] * std::pow(4.0, -bits)});
  return choices;
}

const WidthChoice& choice(const std::vector<WidthChoice>& part, int bits) {
  return *std::ranges::find_if(part, [=](const WidthChoice& one) { return one.bits == bits; });
}

struct Sum {
  std::int64_t price = 0;
  double loss = 0;
};
Sum sum_of(const WidthChoices& choices, const std::map<std::string, int>& bits) {
  Sum sum;
  for (const auto& [name, part] : choices) {
    sum.price += choice(part, bits.at(name)).price;
    sum.loss += choice(part, bits.at(name)).loss;
  }
  return sum;
}

/// The least loss of all mixes that fit.
double best_of_all(const WidthChoices& choices, std::int64_t most) {
  std::vector<const std::vector<WidthChoice>*> parts;
  for (const auto& [name, part] : choices) parts.push_back(&part);
  std::vector<std::size_t> picks(parts.size());
  double best = 1e30;
  while (true) {
    Sum sum;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      sum.price += (*parts[p])[picks[p]].price;
      sum.loss += (*parts[p])[picks[p]].loss;
    }
    if (sum.price <= most) best = std::min(best, sum.loss);
    std::size_t p = 0;
    while (p < parts.size() && ++picks[p] == parts[p]->size()) picks[p++] = 0;
    if (p == parts.size()) return best;
  }
}

}  // namespace

TEST_CASE("widths of parts of one size lose as little as the best of all mixes that fit") {
  const WidthChoices choices =
      choices_of({1, 3, 0.2, 40, 7, 0.01}, std::vector<std::int64_t>(6, 32));
  for (const std::int64_t most : {384, 460, 480, 576, 641, 748, 768}) {
    CAPTURE(most);
    const Sum sum = sum_of(choices, least_loss(choices, most));
    CHECK(sum.price <= most);
    CHECK(sum.loss == doctest::Approx(best_of_all(choices, most)));
  }
}

TEST_CASE("what a large part cannot have a small one gets") {
  const WidthChoices choices = choices_of({100, 1}, {384, 128});
  const auto bits = [&](double mean) {
    const auto found = least_loss(choices, static_cast<std::int64_t>(mean * 512));
    return std::pair(found.at("part0"), found.at("part1"));
  };
  CHECK(bits(2.0) == std::pair(2, 2));
  CHECK(bits(2.5) == std::pair(2, 4));  // three quarters of the weights are in the expensive one
  CHECK(bits(2.75) == std::pair(3, 2));
  CHECK(bits(3.5) == std::pair(4, 2));
  CHECK(bits(4.0) == std::pair(4, 4));
}

TEST_CASE("prices without a common divisor, and choices that are no bargain") {
  WidthChoices choices;
  choices["big"] = {{2, 1'000'003, 9}, {3, 1'500'007, 8}, {4, 2'000'029, 1}};  // 3 bits never pay
  for (int i = 0; i < 7; ++i)
    choices["small" + std::to_string(i)] = {
        {2, 10'007 + i, 1.0 + i}, {3, 15'013 + 3 * i, 0.3 + 0.2 * i}, {5, 24'989 - i, 0.1}};
  for (const std::int64_t most : {1'080'000, 1'130'000, 1'600'000, 2'090'000, 2'120'000}) {
    CAPTURE(most);
    const Sum sum = sum_of(choices, least_loss(choices, most));
    CHECK(sum.price <= most);
    CHECK(sum.loss <= best_of_all(choices, most - most / 200) + 1e-12);
  }
}

TEST_CASE("a sensitivity is what the errors of plain rounding add up to") {
  torch::manual_seed(1);
  Layer layer{.name = "layer", .weight = torch::randn({48, 64})};
  layer.stats.fisher = torch::rand({48, 1}).expand({48, 64}) * 1e-3;
  const auto sum = [](const torch::Tensor& x) { return x.sum(torch::kFloat64).item<double>(); };
  const Overrides wide{.grid = "uniform:group=0,widths=mixed", .size = "1GB"};
  SUBCASE("row by row in its own basis") {
    const Assembled recipe = assemble(find_method("rtn"), wide);
    SensitivityMeter meter(recipe, 11);
    meter.see(layer);
    const Sensitivity& found = meter.found().at("layer");
    for (const auto& [bits, grid] : recipe.widths.grids) {
      const torch::Tensor error = rounding_error(layer, grid);
      CHECK(found.loss(bits) ==
            doctest::Approx(0.5 * 10 * sum(layer.stats.fisher * error.square())).epsilon(0.1));
      CHECK(found.errors.at(bits) ==
            doctest::Approx(sum(error.square()) / sum(layer.weight.square())));
    }
  }
  SUBCASE("as of normal numbers under a rotation") {
    Overrides rotated = wide;
    rotated.transform = "hadamard";
    const Assembled recipe = assemble(find_method("rtn"), rotated);
    SensitivityMeter meter(recipe, 11);
    meter.see(layer);
    const Sensitivity& found = meter.found().at("layer");
    const torch::Tensor squares = layer.weight.square().mean(1, /*keepdim=*/true);
    CHECK(found.cost == doctest::Approx(0.5 * 10 * sum(layer.stats.fisher * squares)));
    for (const auto& [bits, grid] : recipe.widths.grids)
      CHECK(found.errors.at(bits) == doctest::Approx(normal_rounding_error(grid)));
    CHECK(found.errors.at(4) < found.errors.at(3) / 3);
  }
}

TEST_CASE("sizes are read with their units, and what is none is refused") {
  const auto bytes = [](const char* size) {
    return assemble(find_method("karat"), {.size = size}).budget->bytes;
  };
  CHECK(bytes("90MB") == 90e6);
  CHECK(bytes("1.5MiB") == 1.5 * 1048576);
  CHECK(bytes("0.25GB") == 250e6);
  CHECK(bytes("2GiB") == 2 * 1073741824.0);
  CHECK(assemble(find_method("karat"), {.file_bits = "4.5"}).budget->bits == 4.5);
  CHECK(size_text(93'486'112) == "93.487MB");
  for (const char* wrong :
       {"90", "MB", "90mb", "90 MB", "-1MB", "0MB", "nanMB", "1e40GB", "90MBx"}) {
    CAPTURE(wrong);
    CHECK_THROWS_WITH_AS(assemble(find_method("karat"), {.size = wrong}),
                         doctest::Contains("expected a number and its unit"), Error);
  }
}
