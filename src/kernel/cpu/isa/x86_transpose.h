// Sixteen registers of sixteen lanes, transposed.
#pragma once

#include <immintrin.h>

#include "kernel/cpu/isa/isa.h"

namespace karat::KARAT_ISA {
namespace {

/// r[i] lane k <-> r[k] lane i, of 16 registers of 16 lanes.
inline void transpose(__m512i* r) {
  __m512i pairs[16], fours[16];
  KARAT_UNROLL
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  KARAT_UNROLL
  for (int i = 0; i < 16; i += 4) KARAT_UNROLL
  for (int k = 0; k < 2; ++k) {
    fours[i + 2 * k] = _mm512_unpacklo_epi64(pairs[i + k], pairs[i + 2 + k]);
    fours[i + 2 * k + 1] = _mm512_unpackhi_epi64(pairs[i + k], pairs[i + 2 + k]);
  }
  // fours[4i + c] has lanes c, 4 + c, 8 + c, 12 + c of rows 4i … 4i + 3.
  KARAT_UNROLL
  for (int c = 0; c < 4; ++c) {
    const __m512i even = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);
    const __m512i odd = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xdd);
    const __m512i more_even = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    const __m512i more_odd = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xdd);
    r[c] = _mm512_shuffle_i32x4(even, more_even, 0x88);
    r[4 + c] = _mm512_shuffle_i32x4(odd, more_odd, 0x88);
    r[8 + c] = _mm512_shuffle_i32x4(even, more_even, 0xdd);
    r[12 + c] = _mm512_shuffle_i32x4(odd, more_odd, 0xdd);
  }
}

}  // namespace
}  // namespace karat::KARAT_ISA
