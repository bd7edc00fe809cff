// Matrices of a GGUF type: blocks become floats as they are multiplied, the most used types in
// registers (x86_gguf.h), others through their own decoder.
#include "kernel/cpu/isa/x86_gguf.h"

namespace karat::KARAT_ISA {
namespace {

const std::byte* block_of(const MatrixView& m, std::int64_t row, std::int64_t input) {
  return m.codes + row * m.row_bytes + input / m.group * (m.row_bytes / m.groups);
}

/// A type without decoder of its own here.
struct AnyType {
  template <class Take>
  static void decode(const MatrixView& m, const std::byte* block, const Take& take) {
    alignas(64) float w[kInputs];
    m.decode(block, w);
    for (std::int64_t i = 0; i < m.group; i += 32) {
      take(Sum<0>(), i, load_sixteen(w + i));
      take(Sum<1>(), i + 16, load_sixteen(w + i + 16));
    }
  }
};
template <class Type>
struct OfType {
  template <class Take>
  static void decode(const MatrixView&, const std::byte* block, const Take& take) {
    Type::decode(block, take);
  }
};

/// body(the decoder of the matrix's type).
template <class Body, class First, class... Rest>
void with_decoder(const MatrixView& m, const Body& body, First, Rest... rest) {
  if (m.variant == First::kNumber) return body(OfType<First>());
  if constexpr (sizeof...(rest) > 0)
    with_decoder(m, body, rest...);
  else
    body(AnyType());
}
template <class Body>
void with_decoder(const MatrixView& m, const Body& body) {
  with_decoder(m, body, GgufQ4_0(), GgufQ4_1(), GgufQ8_0(), GgufQ4K(), GgufQ5K(), GgufQ6K(),
               GgufIq4Nl(), GgufIq4Xs());
}

template <class Decoder>
void rows_dot(const MatrixView& m, const float* x, float* y, std::int64_t row_begin,
              std::int64_t row_end) {
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    Sixteen sums[2] = {all_16(0), all_16(0)};
    for (std::int64_t begin = 0; begin < m.in; begin += m.group)
      Decoder::decode(m, block_of(m, row, begin), [&](auto which, std::int64_t i, Sixteen weights) {
        Sixteen& sum = sums[which.kNumber];
        sum = fma(weights, load_sixteen(x + begin + i), sum);
      });
    y[row] = sum_of(sums[0], sums[1]);
  }
}

void one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
         std::int64_t row_end) {
  with_decoder(
      m, [&](auto decoder) { rows_dot<decltype(decoder)>(m, input.x, y, row_begin, row_end); });
}

void unpack(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end, Tile& tile) {
  with_decoder(m, [&](auto decoder) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t at = begin; at < end; at += m.group)
        decltype(decoder)::decode(m, block_of(m, row + r, at),
                                  [&](auto, std::int64_t i, Sixteen weights) {
                                    store_sixteen(tile.w[r] + (at - begin) + i, weights);
                                  });
  });
}

}  // namespace

extern const FormatKernels blocks_kernels;
const FormatKernels blocks_kernels = {one, unpack};

}  // namespace karat::KARAT_ISA
