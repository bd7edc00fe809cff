// Trellis-coded weights (format/codec/trellis/stream.h): eight states at a time from a tile's
// stream, and their values by the arithmetic of QTIP (arXiv 2406.11235). With one token a tile's 16
// rows share the loads of x; the zero of 1MAD, the same for all weights, comes off at the end
// through Σ x.
#include "format/codec/trellis/stream.h"
#include "kernel/cpu/isa/outliers.h"
#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

static_assert(kTileSide == kRows);

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
  const auto code = static_cast<TrellisCode>(m.variant);
  if (code == TrellisCode::one_mad) return with_bits(OneMad{});
  if (code == TrellisCode::one_mad_12) return with_bits(OneMad12{});
  with_bits(ThreeInst{});
}

template <class Code, int bits>
inline void whole_tiles(const MatrixView& m, std::int64_t row, std::int64_t rows, const float* x,
                        __m256* acc) {
  const std::byte* tile = band(m, row);
  for (std::int64_t i = 0; i + kRows <= m.in; i += kRows, tile += 2 * rows * bits) {
    const __m256 low = _mm256_loadu_ps(x + i), high = _mm256_loadu_ps(x + i + kLanes);
    for_rows<Code, bits>(tile, rows, [&](std::int64_t r, __m256 a, __m256 b) {
      acc[r] = _mm256_fmadd_ps(b, high, _mm256_fmadd_ps(a, low, acc[r]));
    });
  }
}

/// Adds the last tile's products where it has fewer than 16 columns.
template <class Code, int bits>
void last_tile(const MatrixView& m, std::int64_t row, std::int64_t rows, const float* x,
               __m256* acc) {
  const std::int64_t columns = m.in % kRows, first = m.in - columns;
  if (columns == 0) return;
  alignas(32) float w[kRows][kRows];
  narrow_tile<Code>(band(m, row) + first / kRows * (2 * rows * bits), rows, columns, bits, w);
  for (std::int64_t i = 0; i < columns; i += kLanes) {
    const __m256 xs = _mm256_maskload_ps(x + first + i, first_lanes(least(columns - i, kLanes)));
    for (std::int64_t r = 0; r < rows; ++r)
      acc[r] = _mm256_fmadd_ps(_mm256_load_ps(w[r] + i), xs, acc[r]);
  }
}

template <class Code, int bits>
void trellis_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                  std::int64_t row_end) {
  const float zero = Code::kZero * *input.group_sums;
  for (std::int64_t row = row_begin; row < row_end; row += kRows) {
    const std::int64_t rows = least(kRows, m.out - row);
    __m256 acc[kRows];
    for (std::int64_t r = 0; r < kRows; ++r) acc[r] = _mm256_setzero_ps();
    whole_tiles<Code, bits>(m, row, rows, input.x, acc);
    last_tile<Code, bits>(m, row, rows, input.x, acc);
    for (std::int64_t r = 0; r < least(rows, row_end - row); ++r)
      y[row + r] = load_half(m.scales, row + r) * Code::kStep * (sum_lanes(acc[r]) - zero) +
                   outlier_dot(m, row + r, input.x);
  }
}

/// Inputs [begin, end), from a tile's first to a tile's last; rows past `rows` of its band, which a
/// band's tiles have, are unpacked too.
template <class Code, int bits>
void unpack_tiles(const MatrixView& m, std::int64_t row, std::int64_t begin, std::int64_t end,
                  Tile& to) {
  const std::int64_t rows = least(kRows, m.out - row);
  const __m256 zero = _mm256_set1_ps(Code::kZero);
  float scale[kRows];
  for (std::int64_t r = 0; r < rows; ++r) scale[r] = load_half(m.scales, row + r) * Code::kStep;
  const auto weights = [&](std::int64_t r, __m256 value) {
    return _mm256_mul_ps(_mm256_broadcast_ss(scale + r), _mm256_sub_ps(value, zero));
  };
  const std::byte* tile = band(m, row) + begin / kRows * (2 * rows * bits);
  std::int64_t i = 0;
  for (; begin + i + kRows <= end; i += kRows, tile += 2 * rows * bits)
    for_rows<Code, bits>(tile, rows, [&](std::int64_t r, __m256 a, __m256 b) {
      _mm256_store_ps(to.w[r] + i, weights(r, a));
      _mm256_store_ps(to.w[r] + i + kLanes, weights(r, b));
    });
  if (begin + i == end) return;
  alignas(32) float values[kRows][kRows];
  narrow_tile<Code>(tile, rows, end - begin - i, bits, values);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t k = 0; k < kRows; k += kLanes)
      _mm256_store_ps(to.w[r] + i + k, weights(r, _mm256_load_ps(values[r] + k)));
}

void one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
         std::int64_t row_end) {
  with_code(m, [&](auto code, auto bits) {
    trellis_rows<decltype(code), decltype(bits)::kBits>(m, input, y, row_begin, row_end);
  });
}

void unpack(const MatrixView& m, std::int64_t row, std::int64_t, std::int64_t begin,
            std::int64_t end, Tile& tile) {
  with_code(m, [&](auto code, auto bits) {
    unpack_tiles<decltype(code), decltype(bits)::kBits>(m, row, begin, end, tile);
  });
}

}  // namespace

extern const FormatKernels trellis_kernels;
const FormatKernels trellis_kernels = {one, unpack};

}  // namespace karat::KARAT_ISA
