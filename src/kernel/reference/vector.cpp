// Norms, activations and exponentials by their definitions, summed in double; the reference table.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernel/reference/reference.h"

namespace karat {
namespace reference {
namespace {

void group_sums(const float* x, std::int64_t in, std::int64_t group, float* sums) {
  for (std::int64_t begin = 0; begin < in; begin += group) {
    double sum = 0;
    for (std::int64_t i = begin; i < std::min(begin + group, in); ++i) sum += x[i];
    *sums++ = static_cast<float>(sum);
  }
}

float dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return static_cast<float>(sum);
}

void axpy(float alpha, const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += alpha * x[i];
}

ExpSum exponentials(float* x, std::int64_t n) {
  const float top = *std::max_element(x, x + n);
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - top);
  return {top, static_cast<float>(sum)};
}

void rms_norm(const float* x, const float* weight, float eps, float* y, std::int64_t n) {
  double squares = 0;
  for (std::int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] * scale) * weight[i];
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, float* y,
                std::int64_t n) {
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(n);
  for (std::int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = static_cast<float>((x[i] - mean) * scale) * weight[i] + bias[i];
}

void silu(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] / (1 + std::exp(-x[i]));
}

void gelu(float* x, std::int64_t n) {
  constexpr float root = std::numbers::sqrt2_v<float> / 2;
  for (std::int64_t i = 0; i < n; ++i) x[i] = 0.5f * x[i] * (1 + std::erf(x[i] * root));
}

void gelu_tanh(float* x, std::int64_t n) {
  const float scale = std::sqrt(2 / std::numbers::pi_v<float>);
  for (std::int64_t i = 0; i < n; ++i) {
    const float inner = scale * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
    x[i] = 0.5f * x[i] * (1 + std::tanh(inner));
  }
}

}  // namespace
}  // namespace reference

const KernelSet& reference_kernels() {
  static const KernelSet set = {
      .isa = "reference",
      .matmul = reference::matmul,
      .matmul_int8 = reference::matmul,  // looks at the input itself
      .round_input = reference::round_input,
      .group_sums = reference::group_sums,
      .multiply_add = reference::multiply_add,
      .dot = reference::dot,
      .axpy = reference::axpy,
      .exponentials = reference::exponentials,
      .rms_norm = reference::rms_norm,
      .layer_norm = reference::layer_norm,
      .silu = reference::silu,
      .gelu = reference::gelu,
      .gelu_tanh = reference::gelu_tanh,
  };
  return set;
}

}  // namespace karat
