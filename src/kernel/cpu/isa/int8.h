// What the units that multiply 8-bit activations share: the order of inputs and codes, and a row's
// scales. A block is 128 inputs; the 16 inputs whose codes meet in one 32-bit lane of its sum share
// a scale, so scales cost one multiplication a block.
#pragma once

#include "format/codec/column-trellis/code.h"
#include "kernel/cpu/isa/eight.h"

// A block's codes as `kRegisters` registers of type Bytes, the 16 inputs of lane l being inputs
// 8l … 8l + 7 and 64 + 8l … 64 + 8l + 7 of the block at 3 to 6 bits, 16l … 16l + 15 at 2 bits, and
// of each 32 inputs 4l … 4l + 3 at 8 bits (int8_scale). They lie in four quarters of 32 bytes, four
// bytes a lane:
//   quarter 2h + k, byte j of a lane: input 64h + 2j + k of those (3 to 6 bits),
//   quarter k, byte j: input 4j + k (2 bits), 32k + j (8 bits).
// These headers have BlockCodes, which loads them and whose kPlace says where in the registers each
// quarter lies, and block_sum, their products with the values of activations in the same order.
#if defined(__AVX512BW__) && !defined(KARAT_NARROW)
#include "kernel/cpu/isa/int8_avx512.h"
#elif defined(__AVX2__)
#include "kernel/cpu/isa/int8_avx2.h"
#else
#include "kernel/cpu/isa/int8_neon.h"
#endif

namespace karat::KARAT_ISA {

void round_input(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                 float* sums);
void multiply_one_int8(const MatrixView& m, const KernelInput& input, float* y,
                       std::int64_t row_begin, std::int64_t row_end);
/// These three of a matrix whose units are smaller than blocks.
void round_units(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                 float* sums);
void multiply_one_units(const MatrixView& m, const KernelInput& input, float* y,
                        std::int64_t row_begin, std::int64_t row_end);
void multiply_many_units(const MatrixView& m, const KernelInput& input, float* y,
                         std::int64_t row_begin, std::int64_t row_end);
/// The second of a matrix that has MatrixView::columns.
void multiply_one_columns(const MatrixView& m, const KernelInput& input, float* y,
                          std::int64_t row_begin, std::int64_t row_end);
void multiply_many_int8(const MatrixView& m, const KernelInput& input, float* y,
                        std::int64_t row_begin, std::int64_t row_end);

namespace {

constexpr std::int64_t kBlock = kInt8Block;  // inputs
static_assert(kBlock == kCodeBlock);

/// Of eight codes in a stream, the first, third, fifth and seventh, a byte each.
template <int bits>
inline std::uint32_t spread_four(std::uint64_t eight) {
  std::uint64_t four = 0;
  KARAT_UNROLL
  for (int j = 0; j < 4; ++j) four |= (eight >> 2 * bits * j & ((1u << bits) - 1)) << 8 * j;
  return static_cast<std::uint32_t>(four);
}

/// The last codes of a row where they are a stream beside blocks, in quarters. They may take as
/// many bytes as a block, so callers count inputs.
template <class Codes>
inline void load_stream(const std::byte* p, std::int64_t available, Bytes* q) {
  constexpr int bits = Codes::kBits;
  alignas(64) std::byte quarters[kBlock] = {};
  for (std::int64_t at = 0; bits * at < available; ++at) {  // eight codes: four of two quarters
    std::uint64_t eight = 0;
    const std::int64_t left = available - bits * at;
    if (left >= bits)
      std::memcpy(&eight, p + bits * at, bits);
    else
      std::memcpy(&eight, p + bits * at, static_cast<std::size_t>(left));
    for (int k = 0; k < 2; ++k) {
      const std::uint32_t four = spread_four<bits>(eight >> bits * k);
      const std::int64_t place = Codes::kPlace[at / 8 * 2 + k];
      std::memcpy(quarters + 32 * place + at % 8 * 4, &four, 4);
    }
  }
  std::memcpy(q, quarters, sizeof quarters);
}
/// Codes of the last block of a row, of which `available` bytes are there; the others read 0. Where
/// its Codes have a faster way, they have load_end().
template <class Codes>
inline void load_last(const std::byte* p, std::int64_t available, Bytes* q) {
  if constexpr (requires { Codes::load_end(p, available, q); })
    return Codes::load_end(p, available, q);
  if constexpr (8 % Codes::kBits != 0) return load_stream<Codes>(p, available, q);
  alignas(64) std::byte buffer[Codes::kBytes] = {};
  std::memcpy(buffer, p, static_cast<std::size_t>(available));
  Codes::load(buffer, q);
}

/// Scales, and scale·zero, of a row's blocks [begin, end), at most kRun; zeros up to a multiple
/// of 8.
constexpr std::int64_t kRun = 64;
struct RowScales {
  alignas(32) float scale[kRun], shift[kRun];
};

/// One value a block of `from` [groups], whose groups are whole blocks or the row.
[[maybe_unused]] inline void spread_groups(const MatrixView& m, const std::byte* from,
                                           std::int64_t begin, std::int64_t end, float* to) {
  if (m.group == kBlock) {
    for (std::int64_t b = begin; b < end; b += kLanes)
      store(to + b - begin, load_first_halves(from + 2 * b, end - b));
    return;
  }
  const std::int64_t blocks = m.groups == 1 ? end : m.group / kBlock;  // of a group
  std::int64_t b = begin;
  for (; b < end; ++b) to[b - begin] = load_half(from, b / blocks * (m.groups > 1));
  for (; (b - begin) % kLanes != 0; ++b) to[b - begin] = 0;
}

/// Of a column trellis: one scale a row, and the sum of table entries that stands for 0.
[[maybe_unused]] inline void load_column_scales(const MatrixView& m, std::int64_t row,
                                                std::int64_t blocks, RowScales& to) {
  const float scale = load_half(m.scales, row) * m.columns->step;
  for (std::int64_t i = 0; i < blocks; ++i) to.scale[i] = scale;
  for (std::int64_t i = blocks; i % kLanes != 0; ++i) to.scale[i] = 0;
  const Eight zero = all(static_cast<float>(m.columns->zero));
  for (std::int64_t i = 0; i < blocks; i += kLanes)
    store(to.shift + i, mul(load(to.scale + i), zero));
}

[[maybe_unused]] inline void load_scales(const MatrixView& m, std::int64_t row, std::int64_t begin,
                                         std::int64_t end, RowScales& to) {
  if (m.columns != nullptr) return load_column_scales(m, row, end - begin, to);
  spread_groups(m, m.scales + 2 * row * m.groups, begin, end, to.scale);
  if (!m.symmetric) spread_groups(m, m.zeros + 2 * row * m.groups, begin, end, to.shift);
  const Eight offset = all(m.bits == 8 ? kByteZero : 0);
  for (std::int64_t i = 0; i < end - begin; i += kLanes) {
    const Eight zero = m.symmetric ? all(m.fixed_zero) : load(to.shift + i);
    store(to.shift + i, mul(load(to.scale + i), sub(zero, offset)));
  }
}

/// acc − Σ scale·zero·(Σ x) of n blocks.
[[maybe_unused]] inline Wide::Vector subtract_zeros(const RowScales& scales, const float* sums,
                                                    std::int64_t n, Wide::Vector acc) {
  Eight eight = first_eight(acc);
  for (std::int64_t i = 0; i < n; i += kLanes)
    eight = fnma(load(scales.shift + i), load(sums + i), eight);
  return with_first_eight(acc, eight);
}

/// How the sums of a block are had in parts, eight lanes each: of a part, lane l has the inputs
/// k·l … k·l + k − 1, k = kLaneInputs.
template <class Codes>
struct Parts {
  static constexpr int kParts = Codes::kBits == 2 ? 1 : Codes::kBits == 8 ? 4 : 2;
  static constexpr std::int64_t kInputs = kBlock / kParts, kLaneInputs = kInputs / kLanes;
#if !defined(__AVX512BW__) || defined(KARAT_NARROW)
  /// Σ byte·value of part p in eight lanes.
  static Eight sum(const Bytes* q, const std::int8_t* x, int p) {
    if constexpr (kParts == 1) return block_sum<4>(q, x);
    if constexpr (kParts == 4) return to_floats(wide_sum(q[p], x + 32 * p));
    return to_floats(part_sum<false>(q + 2 * p, x + 64 * p));
  }
#endif
};

/// Calls body(codes) with the BlockCodes of the matrix.
template <class Body>
inline void with_block_codes(const MatrixView& m, const Body& body) {
  if (m.bits == 2) return body(BlockCodes<2>{});
  if (m.bits == 3) return body(BlockCodes<3>{});
  if (m.bits == 5) return body(BlockCodes<5>{});
  if (m.bits == 6) return body(BlockCodes<6>{});
  if (m.bits == 8) return body(BlockCodes<8>{});
  body(BlockCodes<4>{});
}

}  // namespace
}  // namespace karat::KARAT_ISA
