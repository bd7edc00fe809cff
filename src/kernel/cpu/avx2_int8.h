// What the units that multiply 8-bit activations share: the order of inputs and codes, and a row's
// scales. A block is 128 inputs. Codes of a block are four registers of bytes; the 16 inputs whose
// codes meet in one 32-bit lane of their sum share a scale, so scales cost one multiplication a
// block. Rules as at the head of avx2.h.
#pragma once

#include "kernel/cpu/avx2.h"

namespace karat::avx2 {

void round_input(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                 float* sums);
void multiply_one_int8(const MatrixView& m, const KernelInput& input, float* y,
                       std::int64_t row_begin, std::int64_t row_end);
void multiply_many_int8(const MatrixView& m, const KernelInput& input, float* y,
                        std::int64_t row_begin, std::int64_t row_end);

namespace {

constexpr std::int64_t kBlock = kInt8Block;  // inputs

/// The codes of a block as bytes in four registers. kOrder: which
/// of the 16 inputs of a lane its bytes in register 0, then 1 … are.
template <int bits>
struct BlockCodes;

/// Lane l has inputs 8l … 8l + 7 and 64 + 8l … 64 + 8l + 7. Register 2h + k, byte j: input 64h + 2j
/// + k.
template <>
struct BlockCodes<4> {
  static constexpr std::int64_t kBytes = 64;
  static void load(const std::byte* p, __m256i* q) {
    const __m256i low = _mm256_set1_epi8(15);
    KARAT_UNROLL
    for (int h = 0; h < 2; ++h) {
      const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * h));
      q[2 * h] = _mm256_and_si256(both, low);
      q[2 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
    }
  }
};

/// The same order: the eight codes of 24 bits become four even and four odd ones of a lane.
template <>
struct BlockCodes<3> {
  static constexpr std::int64_t kBytes = 48;

  /// 64 codes from 24 bytes; those of a lane begin `skip` bytes after its address.
  static void half(const std::byte* a, const std::byte* b, int skip, __m256i* q) {
    const __m256i bytes = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a))),
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)), 1);
    const __m256i spread =
        _mm256_add_epi8(_mm256_setr_epi8(0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11, 0, 1, 1,
                                         2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11),
                        _mm256_set1_epi8(static_cast<char>(skip)));
    // Bits 0 to 15 and 8 to 23 of the 24, the latter moved so that four codes begin at bit 0.
    const __m256i halves = _mm256_shuffle_epi8(bytes, spread);
    const __m256i fours = _mm256_blend_epi16(halves, _mm256_srli_epi16(halves, 4), 0xaa);
    const __m256i twos = _mm256_blendv_epi8(fours, _mm256_slli_epi16(fours, 2),
                                            _mm256_set1_epi16(static_cast<short>(0xff00)));
    const __m256i seven = _mm256_set1_epi8(7);
    q[0] = _mm256_and_si256(twos, seven);
    q[1] = _mm256_and_si256(_mm256_srli_epi16(twos, 3), seven);
  }
  static void load(const std::byte* p, __m256i* q) {
    half(p, p + 12, 0, q);
    half(p + 20, p + 32, 4, q + 2);  // so that no byte past the block's 48 is read
  }
};

/// Lane l has inputs 16l … 16l + 15. Register k, byte j: input 4j + k.
template <>
struct BlockCodes<2> {
  static constexpr std::int64_t kBytes = 32;
  static void load(const std::byte* p, __m256i* q) {
    const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i three = _mm256_set1_epi8(3);
    q[0] = _mm256_and_si256(four, three);
    q[1] = _mm256_and_si256(_mm256_srli_epi16(four, 2), three);
    q[2] = _mm256_and_si256(_mm256_srli_epi16(four, 4), three);
    q[3] = _mm256_and_si256(_mm256_srli_epi16(four, 6), three);
  }
};

/// Σ code·value of a block, in eight lanes. Four products of two pairs stay below 2^15: 4·2·15·127.
inline __m256 block_sum(const __m256i* q, const std::int8_t* x) {
  const auto values = [x](int k) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(x + 32 * k));
  };
  const __m256i a = _mm256_add_epi16(_mm256_maddubs_epi16(q[0], values(0)),
                                     _mm256_maddubs_epi16(q[1], values(1)));
  const __m256i b = _mm256_add_epi16(_mm256_maddubs_epi16(q[2], values(2)),
                                     _mm256_maddubs_epi16(q[3], values(3)));
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(1)));
}

/// Codes of the last block of a row, of which `available` bytes are there; the others read 0.
template <class Codes>
inline void load_last(const std::byte* p, std::int64_t available, __m256i* q) {
  alignas(32) std::byte buffer[Codes::kBytes] = {};
  std::memcpy(buffer, p, static_cast<std::size_t>(available));
  Codes::load(buffer, q);
}

/// n halves -> floats, then zeros up to a multiple of 8.
inline void halves_to_floats(const std::byte* from, std::int64_t n, float* to) {
  for (; n >= kLanes; n -= kLanes, from += 2 * kLanes, to += kLanes)
    _mm256_storeu_ps(to, load_halves(from));
  if (n == 0) return;
  std::byte buffer[16] = {};
  std::memcpy(buffer, from, static_cast<std::size_t>(2 * n));
  _mm256_storeu_ps(to, load_halves(buffer));
}

/// Scales, and scale·zero, of a row's blocks [begin, end), at most kRun; zeros up to a multiple
/// of 8.
constexpr std::int64_t kRun = 64;
struct RowScales {
  alignas(32) float scale[kRun], shift[kRun];
};

/// One value a block of `from` [groups], whose groups are whole blocks or the row.
inline void spread_groups(const MatrixView& m, const std::byte* from, std::int64_t begin,
                          std::int64_t end, float* to) {
  if (m.group == kBlock) return halves_to_floats(from + 2 * begin, end - begin, to);
  const std::int64_t blocks = m.groups == 1 ? end : m.group / kBlock;  // of a group
  std::int64_t b = begin;
  for (; b < end; ++b) to[b - begin] = load_half(from, b / blocks * (m.groups > 1));
  for (; (b - begin) % kLanes != 0; ++b) to[b - begin] = 0;
}

inline void load_scales(const MatrixView& m, std::int64_t row, std::int64_t begin, std::int64_t end,
                        RowScales& to) {
  spread_groups(m, m.scales + 2 * row * m.groups, begin, end, to.scale);
  if (!m.symmetric) spread_groups(m, m.zeros + 2 * row * m.groups, begin, end, to.shift);
  for (std::int64_t i = 0; i < end - begin; i += kLanes) {
    const __m256 zero = m.symmetric ? _mm256_set1_ps(m.fixed_zero) : _mm256_load_ps(to.shift + i);
    _mm256_store_ps(to.shift + i, _mm256_mul_ps(_mm256_load_ps(to.scale + i), zero));
  }
}

/// acc − Σ scale·zero·(Σ x) of n blocks.
inline __m256 subtract_zeros(const RowScales& scales, const float* sums, std::int64_t n,
                             __m256 acc) {
  for (std::int64_t i = 0; i < n; i += kLanes)
    acc = _mm256_fnmadd_ps(_mm256_load_ps(scales.shift + i), _mm256_loadu_ps(sums + i), acc);
  return acc;
}

/// Calls body(codes) with the BlockCodes of the matrix.
template <class Body>
inline void with_block_codes(const MatrixView& m, const Body& body) {
  if (m.bits == 2) return body(BlockCodes<2>{});
  if (m.bits == 3) return body(BlockCodes<3>{});
  body(BlockCodes<4>{});
}

}  // namespace
}  // namespace karat::avx2
