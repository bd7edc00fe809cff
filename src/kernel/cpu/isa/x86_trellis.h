// Trellis-coded weights (format/trellis.h): eight states at a time from a tile's stream, and their
// values by the arithmetic of QTIP (arXiv 2406.11235).
#pragma once

#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

/// The states of the eight codes at p; reads at most 8 bytes. A state has 16 bits, so at 3 and 4
/// bits the last four take a word of their own, and at 5 bits every one does.
template <int bits>
inline __m256i load_states(const std::byte* p) {
  if constexpr (bits == 5) {
    const __m128i once = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    const __m256i order = _mm256_setr_epi32(0x03020100, 0x03020100, 0x04030201, 0x04030201,
                                            0x05040302, 0x06050403, 0x06050403, 0x07060504);
    const __m256i words = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(once), order);
    const __m256i shifts = _mm256_setr_epi32(0, 5, 2, 7, 4, 1, 6, 3);
    return _mm256_and_si256(_mm256_srlv_epi32(words, shifts), _mm256_set1_epi32(0xffff));
  }
  __m256i words = broadcast_word(p), shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
  if constexpr (bits == 3) {
    words = _mm256_blend_epi32(words, broadcast_word(p + 1), 0xf0);
    shifts = _mm256_setr_epi32(0, 3, 6, 9, 4, 7, 10, 13);
  } else if constexpr (bits == 4) {
    words = _mm256_blend_epi32(words, broadcast_word(p + 2), 0xf0);
    shifts = _mm256_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12);
  }
  return _mm256_and_si256(_mm256_srlv_epi32(words, shifts), _mm256_set1_epi32(0xffff));
}

/// The sum of four bytes; its value is (sum − 510) / 147.8005.
struct OneMad {
  static constexpr float kZero = 510, kStep = 1 / 147.8005f;
  static __m256 at(__m256i states) {
    const __m256i x = _mm256_add_epi32(_mm256_mullo_epi32(states, _mm256_set1_epi32(34038481)),
                                       _mm256_set1_epi32(76625530));
    const __m256i pairs = _mm256_maddubs_epi16(x, _mm256_set1_epi8(1));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

/// The same of the first twelve bits of a state.
struct OneMad12 {
  static constexpr float kZero = OneMad::kZero, kStep = OneMad::kStep;
  static __m256 at(__m256i states) {
    return OneMad::at(_mm256_and_si256(states, _mm256_set1_epi32(0xfff)));
  }
};

/// The sum of two halves.
struct ThreeInst {
  static constexpr float kZero = 0, kStep = 1;
  static __m256 at(__m256i states) {
    const __m256i x = _mm256_add_epi32(_mm256_mullo_epi32(states, _mm256_set1_epi32(89226354)),
                                       _mm256_set1_epi32(64248484));
    const __m256i halves =
        _mm256_xor_si256(_mm256_and_si256(x, _mm256_set1_epi32(static_cast<int>(0x8fff8fffu))),
                         _mm256_set1_epi32(996162400));
    const __m256 sums = _mm256_hadd_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
                                       _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)));
    // hadd leaves the pairs 0 1, 4 5, 2 3, 6 7.
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(sums), 0xd8));
  }
};

/// Bytes of the tiles of 16 rows, or of the `rows` last ones, that lie side by side.
[[maybe_unused]] inline std::int64_t band_bytes(const MatrixView& m, std::int64_t rows) {
  return m.in / kRows * (2 * rows * m.bits) + (m.in % kRows * rows * m.bits + 7) / 8;
}
/// The first tile of the band that begins at `row`; those after it are 2·rows·bits bytes apart.
[[maybe_unused]] inline const std::byte* band(const MatrixView& m, std::int64_t row) {
  return m.codes + row / kRows * band_bytes(m, kRows);
}

/// body(r, a, b) for each row r of a whole tile: its values, columns 0 to 7 and 8 to 15.
template <class Code, int bits, class Body>
inline void for_rows(const std::byte* tile, std::int64_t rows, const Body& body) {
  const std::byte* p = tile;
  for (std::int64_t r = 0; r + 1 < rows; ++r, p += 2 * bits)
    body(r, Code::at(load_states<bits>(p)), Code::at(load_states<bits>(p + bits)));
  std::byte end[8] = {};  // the stream is closed: what follows its last codes are its first
  std::memcpy(end, p + bits, bits);
  std::memcpy(end + bits, tile, 2);
  body(rows - 1, Code::at(load_states<bits>(p)), Code::at(load_states<bits>(end)));
}

/// The values of a tile of `columns` < 16 columns, one by one: [rows][kRows], the rest 0.
template <class Code>
inline void narrow_tile(const std::byte* tile, std::int64_t rows, std::int64_t columns, int bits,
                        float (*to)[kRows]) {
  const std::int64_t end = rows * columns * bits;
  std::memset(to, 0, sizeof(float) * kRows * kRows);
  for (std::int64_t t = 0; t < rows * columns; ++t) {
    int state = 0;
    for (std::int64_t i = 0, bit = t * bits; i < 16; ++i, bit = bit + 1 == end ? 0 : bit + 1)
      state |= (static_cast<int>(tile[bit / 8]) >> bit % 8 & 1) << i;
    to[t / columns][t % columns] = _mm256_cvtss_f32(Code::at(_mm256_set1_epi32(state)));
  }
}

/// Calls body(code, bits as a type) with what the matrix has.
template <int bits>
struct Bits {
  static constexpr int kBits = bits;
};
template <class Body>
inline void with_code(const MatrixView& m, const Body& body) {
  const auto with_bits = [&](auto code) {
    if (m.bits == 2) return body(code, Bits<2>{});
    if (m.bits == 3) return body(code, Bits<3>{});
    if (m.bits == 4) return body(code, Bits<4>{});
    body(code, Bits<5>{});
  };
  if (m.code == TrellisCode::one_mad) return with_bits(OneMad{});
  if (m.code == TrellisCode::one_mad_12) return with_bits(OneMad12{});
  with_bits(ThreeInst{});
}

}  // namespace
}  // namespace karat::KARAT_ISA
