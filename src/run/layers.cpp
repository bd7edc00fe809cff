#include "run/layers.h"

#include <cmath>
#include <numeric>

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
  const auto width = static_cast<std::int64_t>(norm.weight.size());
  parallel_for(rows, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      if (norm.kind == Norm::Kind::rms)
        set.rms_norm(x + r * width, norm.weight.data(), norm.eps, y + r * width, width);
      else
        set.layer_norm(x + r * width, norm.weight.data(), norm.bias.data(), norm.eps, y + r * width,
                       width);
  });
}

void activate(Activation activation, float* x, std::int64_t n) {
  const KernelSet& set = kernels();
  const auto function = activation == Activation::silu   ? set.silu
                        : activation == Activation::gelu ? set.gelu
                                                         : set.gelu_tanh;
  parallel_for(n, kValueGrain,
               [&](std::int64_t begin, std::int64_t end) { function(x + begin, end - begin); });
}

namespace {

std::vector<std::int64_t> consecutive(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

}  // namespace

RopeTable::RopeTable(const Rope& rope, std::span<const std::int64_t> positions)
    : half_(static_cast<std::int64_t>(rope.frequencies.size())),
      cosines_(positions.size() * rope.frequencies.size()),
      sines_(cosines_.size()) {
  std::size_t at = 0;
  for (const std::int64_t position : positions)
    for (const float frequency : rope.frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      cosines_[at] = std::cos(angle);
      sines_[at++] = std::sin(angle);
    }
}

RopeTable::RopeTable(const Rope& rope, std::int64_t position, std::int64_t tokens)
    : RopeTable(rope, consecutive(position, tokens)) {}

void RopeTable::rotate(float* head, std::int64_t token) const {
  const float* cosine = cosines_.data() + token * half_;
  const float* sine = sines_.data() + token * half_;
  for (std::int64_t i = 0; i < half_; ++i) {
    const float a = head[i], b = head[half_ + i];
    head[i] = a * cosine[i] - b * sine[i];
    head[half_ + i] = b * cosine[i] + a * sine[i];
  }
}

}  // namespace karat
