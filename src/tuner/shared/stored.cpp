#include "tuner/shared/stored.h"

#include <fmt/format.h>

#include "karat/error.h"

namespace karat {
namespace {

void check_stored_bits(const std::string& name, std::int64_t bits) {
  if (bits != 1 && bits != 7 && bits <= 8) return;
  fail("store a model of quantizer " + name, fmt::format("weights={}", bits),
       "weights of 2 to 6 or of 8 bits",
       bits == 16 ? "its weights are not quantized: karat quantize makes them smaller"
                  : "the packed format has no such codes");
}

}  // namespace

TrainingQuantizer::Stored stored_midrise(const std::string& name, const WeightLattice& lattice,
                                         std::int64_t activations, const std::string& inputs) {
  return [=](const Linear& layer, const torch::Tensor& weight, const torch::Tensor& known) {
    check_stored_bits(name, lattice.bits);
    const torch::NoGradGuard no_grad;
    const auto rows = lattice.turned(weight);
    const auto steps = (known.defined() ? known : lattice.steps(rows)).contiguous();
    PackedMatrix matrix;
    matrix.layout = {.format = "midrise",
                     .bits = static_cast<int>(lattice.bits),
                     .group = 0,
                     .hadamard = lattice.hadamard};
    if (activations <= 8) {
      matrix.layout.input_grid = inputs;
      matrix.layout.input_bits = static_cast<int>(activations);
    }
    matrix.out = layer.out;
    matrix.in = layer.in;
    const auto codes = lattice.codes(rows, steps).contiguous();
    const auto* bytes = codes.data_ptr<std::uint8_t>();
    matrix.codes.assign(bytes, bytes + codes.numel());
    const auto* scales = steps.data_ptr<float>();
    matrix.row_scales.assign(scales, scales + steps.numel());
    return matrix;
  };
}

}  // namespace karat
