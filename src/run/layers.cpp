#include "run/layers.h"

#include <cmath>

#include "core/threads.h"
#include "kernel/kernel.h"

namespace karat {
namespace {

constexpr std::int64_t kRowGrain = 8;
constexpr std::int64_t kValueGrain = 1 << 14;

void add_bias(const LinearWeights& linear, std::int64_t tokens, float* y) {
  if (linear.bias.empty()) return;
  const KernelSet& set = kernels();
  const std::int64_t out = linear.matrix.out();
  for (std::int64_t t = 0; t < tokens; ++t) set.axpy(1, linear.bias.data(), y + t * out, out);
}

void relu(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] < 0 ? 0 : x[i];
}

void relu2(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] < 0 ? 0 : x[i] * x[i];
}

}  // namespace

void apply(const LinearWeights& linear, const float* x, std::int64_t tokens, float* y) {
  matmul(linear.matrix, x, tokens, y);
  add_bias(linear, tokens, y);
}

void apply(std::span<const LinearWeights* const> layers, const float* x, std::int64_t tokens,
           std::span<std::vector<float>> y) {
  std::vector<MatrixProduct> products;
  for (std::size_t i = 0; i < layers.size(); ++i)
    products.push_back({&layers[i]->matrix.view(), y[i].data()});
  matmul(products, x, tokens);
  for (std::size_t i = 0; i < layers.size(); ++i) add_bias(*layers[i], tokens, y[i].data());
}

void apply(const NormWeights& norm, const float* x, std::int64_t rows, float* y) {
  const KernelSet& set = kernels();
  const std::int64_t width = norm.size, all = static_cast<std::int64_t>(norm.weight.size());
  parallel_for(rows, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* weight = norm.weight.data() + r * width % all;
      if (norm.kind == Norm::Kind::rms)
        set.rms_norm(x + r * width, weight, norm.eps, y + r * width, width);
      else
        set.layer_norm(x + r * width, weight, norm.bias.data() + r * width % all, norm.eps,
                       y + r * width, width);
    }
  });
}

void activate(Activation activation, float* x, std::int64_t n, const float* factors) {
  const KernelSet& set = kernels();
  const auto function = activation == Activation::silu    ? set.silu
                        : activation == Activation::gelu  ? set.gelu
                        : activation == Activation::relu  ? relu
                        : activation == Activation::relu2 ? relu2
                                                          : set.gelu_tanh;
  parallel_for(n, kValueGrain, [&](std::int64_t begin, std::int64_t end) {
    function(x + begin, end - begin);
    for (std::int64_t i = begin; i < end && factors != nullptr; ++i) x[i] *= factors[i];
  });
}

void add_scaled(float scale, const float* y, float* x, std::int64_t n) {
  const KernelSet& set = kernels();
  parallel_for(n, kValueGrain, [&](std::int64_t begin, std::int64_t end) {
    set.axpy(scale, y + begin, x + begin, end - begin);
  });
}

RopeTable::RopeTable(std::span<const Rope> ropes, std::span<const std::int64_t> positions) {
  for (const Rope& rope : ropes) {
    Angles angles{static_cast<std::int64_t>(rope.frequencies.size()), rope.interleaved, {}, {}};
    angles.cosines.reserve(positions.size() * rope.frequencies.size());
    angles.sines.reserve(positions.size() * rope.frequencies.size());
    for (const std::int64_t position : positions)
      for (const float frequency : rope.frequencies) {
        const float angle = static_cast<float>(position) * frequency;
        angles.cosines.push_back(rope.factor * std::cos(angle));
        angles.sines.push_back(rope.factor * std::sin(angle));
      }
    ropes_.push_back(std::move(angles));
  }
}

void RopeTable::rotate(std::size_t rope, float* head, std::int64_t token) const {
  const auto& [count, interleaved, cosines, sines] = ropes_[rope];
  const float* cosine = cosines.data() + token * count;
  const float* sine = sines.data() + token * count;
  const auto turn = [&](std::int64_t i, float& first, float& second) {
    const float a = first, b = second;
    first = a * cosine[i] - b * sine[i];
    second = b * cosine[i] + a * sine[i];
  };
  if (interleaved)
    for (std::int64_t i = 0; i < count; ++i) turn(i, head[2 * i], head[2 * i + 1]);
  else
    for (std::int64_t i = 0; i < count; ++i) turn(i, head[i], head[count + i]);
}

}  // namespace karat
