#include "tuner/shared/stored.h"

#include <fmt/format.h>

#include <cmath>

#include "karat/error.h"
#include "tuner/shared/estimator.h"

namespace karat {
namespace {

void check_stored_bits(const std::string& name, std::int64_t bits) {
  if (bits != 1 && bits != 7 && bits <= 8) return;
  fail("store a model of quantizer " + name, fmt::format("weights={}", bits),
       "weights of 2 to 6 or of 8 bits",
       bits == 16 ? "its weights are not quantized: karat quantize makes them smaller"
                  : "the packed format has no such codes");
}

/// Codes 0 … 2^bits − 1 of levels that are numbered −2^(bits−1) + ½ and up.
std::vector<std::uint8_t> codes_of(const torch::Tensor& levels, std::int64_t bits) {
  const double lowest = std::ldexp(1.0, static_cast<int>(bits) - 1) - 0.5;
  const auto bytes = (levels + lowest).round().to(torch::kUInt8).contiguous();
  const auto* data = bytes.data_ptr<std::uint8_t>();
  return {data, data + bytes.numel()};
}

}  // namespace

TrainingQuantizer::Stored stored_midrise(const std::string& name, const OperandBits& bits,
                                         std::int64_t hadamard, const std::string& inputs,
                                         const RowSteps& steps) {
  return [=](const Linear& layer, const torch::Tensor& weight) {
    check_stored_bits(name, bits.weights);
    const torch::NoGradGuard no_grad;
    const auto rows = hadamard > 0 ? block_hadamard(weight, hadamard) : weight;
    const auto step = steps(rows).contiguous();
    PackedMatrix matrix;
    matrix.layout = {.format = "midrise",
                     .bits = static_cast<int>(bits.weights),
                     .group = 0,
                     .hadamard = hadamard};
    if (bits.activations <= 8) {
      matrix.layout.input_grid = inputs;
      matrix.layout.input_bits = static_cast<int>(bits.activations);
    }
    matrix.out = layer.out;
    matrix.in = layer.in;
    matrix.codes =
        codes_of(nearest_levels(rows / step, signed_levels(bits.weights, false)), bits.weights);
    const auto* scales = step.data_ptr<float>();
    matrix.row_scales.assign(scales, scales + step.numel());
    return matrix;
  };
}

}  // namespace karat
