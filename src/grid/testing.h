// What tests of grids share.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>

#include "core/rng.h"
#include "karat/axes.h"

namespace karat::testing {

inline Grid grid_of(Grid (*factory)(Options&), const std::string& text) {
  Options options("grid", text);
  Grid grid = factory(options);
  options.finish();
  return grid;
}

/// Normal numbers (Box-Muller) [rows, columns], scaled so that their mean square is 1.
inline torch::Tensor normal(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Rng rng(seed);
  torch::Tensor x = torch::empty({rows, columns});
  for (std::int64_t i = 0; i < x.numel(); ++i)
    x.data_ptr<float>()[i] = static_cast<float>(std::sqrt(-2 * std::log(1 - rng.uniform())) *
                                                std::cos(2 * std::numbers::pi * rng.uniform()));
  return x / x.square().mean().sqrt();
}
inline std::vector<float> normal(std::int64_t n, std::uint64_t seed) {
  const torch::Tensor x = normal(1, n, seed);
  return {x.data_ptr<float>(), x.data_ptr<float>() + n};
}

}  // namespace karat::testing
