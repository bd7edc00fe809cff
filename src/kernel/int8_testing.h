// What the tests of products with 8-bit activations share: sums in double over what was rounded.
#pragma once

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "format/random_matrix.h"
#include "kernel/guarded.h"
#include "kernel/kernel.h"

namespace karat::testing {

struct RoundedInput {
  explicit RoundedInput(std::int64_t in) : blocks((in + kInt8Block - 1) / kInt8Block) {
    const auto count = static_cast<std::size_t>(blocks);
    values = static_cast<std::int8_t*>(std::aligned_alloc(64, count * kInt8Block));
    scales.resize(count * kInt8Scales);
    sums.resize(count * kInt8Block / 4);  // of any unit
  }
  ~RoundedInput() { std::free(values); }
  RoundedInput(const RoundedInput&) = delete;
  RoundedInput& operator=(const RoundedInput&) = delete;

  std::int64_t blocks;
  std::int8_t* values;
  std::vector<float> scales, sums;
};

/// One that has 8-bit kernels.
inline PackedLayout layout_of(int bits, std::int64_t group, bool symmetric = false) {
  return with_blocks({.bits = bits, .group = group, .symmetric = symmetric});
}

inline std::vector<float> draw(Rng& rng, std::int64_t n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& value : x) value = static_cast<float>(2 * rng.uniform() - 1);
  return x;
}

/// x̂ by the reference, whose values lie in the order of the inputs.
inline std::vector<float> rounded(const MatrixView& m, const std::vector<float>& x) {
  RoundedInput r(m.in);
  reference_kernels().round_input(m, x.data(), r.values, r.scales.data(), r.sums.data());
  std::vector<float> result;
  for (std::int64_t i = 0; i < m.in; ++i) {
    const std::int64_t block = i / kInt8Block;
    const auto scale =
        static_cast<std::size_t>(block * kInt8Scales + int8_scale(m, i % kInt8Block));
    result.push_back(r.scales[scale] * static_cast<float>(r.values[i]));
  }
  return result;
}

/// A packed matrix whose codes end at an unreadable page.
struct Packed {
  explicit Packed(const PackedMatrix& m) : tensors(pack_and_view(m)) {
    for (TensorView& view : tensors.views) {
      parts.emplace_back(view.span());
      view.data = parts.back().data();
    }
    const PackedView view = packed_view("m", m.layout, m.out, m.in, [&](std::string_view name) {
      return find_view(tensors.views, name);
    });
    weights = unpack(view);
    matrix = Matrix(view);
    PackedMatrix bare = m;
    bare.overlay = {};
    const PackedTensors without = pack_and_view(bare);
    dense = unpack(without.view);
  }
  PackedTensors tensors;
  std::vector<Guarded> parts;
  Matrix matrix;
  std::vector<float> weights, dense;  // [out, in], with and without outliers
};

/// Outputs further than 16 units of float rounding of the sum of magnitudes from the exact one.
/// `terms`: a bound of scale·code and scale·zero; `inexact`: of how far a weight may be off.
inline std::int64_t wrong_outputs(const KernelSet& set, const Packed& p, std::int64_t tokens,
                                  Rng& rng, double terms = 0.4, double inexact = 0) {
  const std::int64_t out = p.matrix.out(), in = p.matrix.in();
  const std::vector<float> x = draw(rng, tokens * in);
  std::vector<float> y(static_cast<std::size_t>(tokens * out), NAN);
  matmul(set, p.matrix, x.data(), tokens, y.data(), Activations::q8);
  std::int64_t wrong = 0;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::vector<float> own(x.begin() + t * in, x.begin() + (t + 1) * in);
    const std::vector<float> near = rounded(p.matrix, own);
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = 0, size = 0, slack = 0;
      for (std::int64_t i = 0; i < in; ++i) {
        const auto at = static_cast<std::size_t>(o * in + i), k = static_cast<std::size_t>(i);
        const double w = p.dense[at], kept = double(p.weights[at]) - w;
        sum += near[k] * w + own[k] * kept;
        size += std::fabs(own[k]) * (std::fabs(w) + std::fabs(kept) + terms);
        slack += std::fabs(near[k]) * inexact;
      }
      wrong += !(std::fabs(y[static_cast<std::size_t>(t * out + o)] - sum) <=
                 16 * 0x1p-24 * size + slack);
    }
  }
  return wrong;
}

}  // namespace karat::testing
