#include "pipeline/widths.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace karat;

namespace {

/// Cost 1, 4, 16, … times a constant: layer i has Fisher information scale[i] everywhere.
void see_layers(WidthChooser& chooser, const std::vector<double>& scale,
                const std::vector<std::int64_t>& inputs) {
  for (std::size_t i = 0; i < scale.size(); ++i) {
    Layer layer{.name = "layer" + std::to_string(i), .weight = torch::full({4, inputs[i]}, 0.5)};
    layer.stats.fisher = torch::full({4, inputs[i]}, scale[i]);
    chooser.see(layer);
  }
}

Widths widths_of(double mean) {
  return {.mean = mean, .grids = {{2, {}}, {3, {}}, {4, {}}}};
}

double cost(const std::vector<double>& scale, const std::vector<int>& bits) {
  double sum = 0;
  for (std::size_t i = 0; i < scale.size(); ++i) sum += scale[i] * std::pow(4.0, -bits[i]);
  return sum;
}

/// The least cost of all ways to give layers of one size 2, 3 or 4 bits.
double least_cost(const std::vector<double>& scale, double mean) {
  double best = 1e30;
  std::vector<int> bits(scale.size(), 2);
  while (true) {
    int sum = 0;
    for (const int b : bits) sum += b;
    if (sum <= mean * static_cast<double>(scale.size()) + 1e-9)
      best = std::min(best, cost(scale, bits));
    std::size_t i = 0;
    while (i < bits.size() && ++bits[i] > 4) bits[i++] = 2;
    if (i == bits.size()) return best;
  }
}

}  // namespace

TEST_CASE("widths of layers of one size cost as little as the best of all that fit") {
  const std::vector<double> scale = {1, 3, 0.2, 40, 7, 0.01};
  const std::vector<std::int64_t> inputs(scale.size(), 8);
  WidthChooser chooser;
  see_layers(chooser, scale, inputs);
  for (const double mean : {2.0, 2.4, 2.5, 3.0, 3.34, 3.9, 4.0}) {
    CAPTURE(mean);
    std::vector<int> bits;
    for (const auto& [name, one] : chooser.choose(widths_of(mean))) bits.push_back(one.bits);
    CHECK(cost(scale, bits) == doctest::Approx(least_cost(scale, mean)));
  }
}

TEST_CASE("the mean counts weights, and what a large layer cannot have a small one gets") {
  WidthChooser chooser;
  see_layers(chooser, {100, 1}, {96, 32});
  const auto bits = [&](double mean) {
    const LayerWidths found = chooser.choose(widths_of(mean));
    return std::pair(found.at("layer0").bits, found.at("layer1").bits);
  };
  CHECK(bits(2.0) == std::pair(2, 2));
  CHECK(bits(2.5) == std::pair(2, 4));  // three quarters of the weights are in the expensive one
  CHECK(bits(2.75) == std::pair(3, 2));
  CHECK(bits(3.5) == std::pair(4, 2));
  CHECK(bits(4.0) == std::pair(4, 4));
  CHECK(chooser.choose(widths_of(3)).at("layer0").sensitivity == doctest::Approx(100 * 0.25));
}
