// Codes of 3, 5 and 6 bits in blocks of 128 inputs (docs/format.md, section 2), a block at a time.
#pragma once

#include "kernel/cpu/isa/x86_eight.h"

namespace karat::KARAT_ISA {
namespace {

/// The quarters of a block, a byte a code: inputs 0, 2 … 62; 1, 3 … 63; and those + 64.
template <int bits>
void load_quarters(const std::byte* p, __m256i* q);

/// Those of 4 bits a code.
template <>
[[maybe_unused]] inline void load_quarters<4>(const std::byte* p, __m256i* q) {
  const __m256i low = _mm256_set1_epi8(15);
  KARAT_UNROLL
  for (int h = 0; h < 2; ++h) {
    __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * h));
    hold(both);
    q[2 * h] = _mm256_and_si256(both, low);
    q[2 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
  }
}

/// Bits 4 and 5 of all quarters lie in the last 32 bytes, two of each quarter a byte.
template <>
[[maybe_unused]] inline void load_quarters<6>(const std::byte* p, __m256i* q) {
  load_quarters<4>(p, q);
  __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 64));
  hold(high);
  const __m256i two = _mm256_set1_epi8(0x30);
  q[0] = _mm256_or_si256(q[0], _mm256_and_si256(_mm256_slli_epi16(high, 4), two));
  q[1] = _mm256_or_si256(q[1], _mm256_and_si256(_mm256_slli_epi16(high, 2), two));
  q[2] = _mm256_or_si256(q[2], _mm256_and_si256(high, two));
  q[3] = _mm256_or_si256(q[3], _mm256_and_si256(_mm256_srli_epi16(high, 2), two));
}

/// Bit 4 of all quarters lies in the last 16 bytes: one of each quarter in the lower half of a
/// byte, those 16 codes further on in its upper half.
template <>
[[maybe_unused]] inline void load_quarters<5>(const std::byte* p, __m256i* q) {
  load_quarters<4>(p, q);
  const __m256i halves =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 64)));
  const __m256i high = _mm256_srlv_epi64(halves, _mm256_setr_epi64x(0, 0, 4, 4));
  const __m256i one = _mm256_set1_epi8(0x10);
  q[0] = _mm256_or_si256(q[0], _mm256_and_si256(_mm256_slli_epi16(high, 4), one));
  q[1] = _mm256_or_si256(q[1], _mm256_and_si256(_mm256_slli_epi16(high, 3), one));
  q[2] = _mm256_or_si256(q[2], _mm256_and_si256(_mm256_slli_epi16(high, 2), one));
  q[3] = _mm256_or_si256(q[3], _mm256_and_si256(_mm256_slli_epi16(high, 1), one));
}

template <>
[[maybe_unused]] inline void load_quarters<3>(const std::byte* p, __m256i* q) {
  __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  hold(a);
  const __m256i nibbles = _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 32)));  // lower ones, then upper ones
  const __m256i b = _mm256_srlv_epi64(nibbles, _mm256_setr_epi64x(0, 0, 4, 4));
  const __m256i seven = _mm256_set1_epi8(7);
  const __m256i low = _mm256_and_si256(_mm256_srli_epi16(a, 6), _mm256_set1_epi8(3));
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(b, 1), _mm256_set1_epi8(4));
  q[0] = _mm256_and_si256(a, seven);
  q[1] = _mm256_and_si256(_mm256_srli_epi16(a, 3), seven);
  q[2] = _mm256_or_si256(low, high);
  q[3] = _mm256_and_si256(b, seven);
}

/// The last codes of a row, of 3 bits in a stream beside blocks, in quarters; those past the
/// `available` bytes read 0.
[[maybe_unused]] inline void load_last_quarters(const std::byte* p, std::int64_t available,
                                                __m256i* q) {
  constexpr std::int64_t kHalf = 24;  // bytes of 64 codes: three for eight of them
  const __m256i threes = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,  //
                                          4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1);
  const auto spread = [](__m256i v) {  // codes 0, 2, 4, 6 of each lane
    __m256i bytes = _mm256_and_si256(v, _mm256_set1_epi32(7));
    KARAT_UNROLL
    for (int j = 1; j < 4; ++j)
      bytes = _mm256_or_si256(
          bytes, _mm256_and_si256(_mm256_slli_epi32(v, 2 * j), _mm256_set1_epi32(7 << 8 * j)));
    return bytes;
  };
  KARAT_UNROLL
  for (int h = 0; h < 2; ++h) {
    const std::int64_t n = available - kHalf * h;
    const std::byte* from = p + kHalf * h;
    std::byte buffer[kHalf] = {};
    if (n < kHalf) {
      if (n > 0) std::memcpy(buffer, from, static_cast<std::size_t>(n));
      from = buffer;
    }
    const __m256i v = _mm256_shuffle_epi8(
        _mm256_set_m128i(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8)),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))),
        threes);
    q[2 * h] = spread(v);
    q[2 * h + 1] = spread(_mm256_srli_epi32(v, 3));
  }
}

/// The block's codes in order, a byte each, to 128 bytes at an address that 32 divides.
template <int bits>
inline void unpack_block(const std::byte* p, std::byte* to) {
  __m256i q[4];
  load_quarters<bits>(p, q);
  KARAT_UNROLL
  for (int h = 0; h < 2; ++h) {
    const __m256i a = _mm256_unpacklo_epi8(q[2 * h], q[2 * h + 1]);  // inputs 0 …, 32 …
    const __m256i b = _mm256_unpackhi_epi8(q[2 * h], q[2 * h + 1]);  // inputs 16 …, 48 …
    auto* half = reinterpret_cast<__m256i*>(to + 64 * h);
    _mm256_store_si256(half, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_store_si256(half + 1, _mm256_permute2x128_si256(a, b, 0x31));
  }
}

}  // namespace
}  // namespace karat::KARAT_ISA
