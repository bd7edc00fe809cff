// The functions of the set that multiply 8-bit activations, and how these are rounded.
#include "kernel/cpu/isa/int8_round.h"

namespace karat::KARAT_ISA {

void round_input(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                 float* sums) {
  if (has_small_units(m)) return round_units(m, x, values, scales, sums);
  with_block_codes(m, [&](auto codes) {
    using Codes = decltype(codes);
    const auto add_up = [&](const std::int8_t* block, const float* own) {
      *sums++ = block_total(block, own);
    };
    if (m.input_grid != nullptr)
      round_blocks(x, m.in, values, scales, round_block<Codes, true>, add_up);
    else
      round_blocks(x, m.in, values, scales, round_block<Codes, false>, add_up);
  });
}

void fill_int8(KernelSet& set) {
  set.round_input = round_input;
  set.matmul_int8 = [](const MatrixView& m, const KernelInput& input, float* y, std::int64_t begin,
                       std::int64_t end) {
    (input.tokens == 1 ? multiply_one_int8 : multiply_many_int8)(m, input, y, begin, end);
  };
}

}  // namespace karat::KARAT_ISA
