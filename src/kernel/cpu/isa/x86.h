// What the x86 units that multiply floats share: their names, loads of dense weights, and the
// scales and zeros of 16 rows.
#pragma once

#include "kernel/cpu/isa/eight.h"
#include "kernel/cpu/isa/x86_format.h"

namespace karat::KARAT_ISA {

void multiply_dense(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                    std::int64_t row_end);  // one token
void multiply_many(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                   std::int64_t row_end);

namespace {

using x86::kInputs, x86::kRows, x86::Stats, x86::Tile;

/// The set's kernels of a packed matrix's format, or nullptr.
[[maybe_unused]] inline const FormatKernels* format_of(const MatrixView& m,
                                                       const KernelInput& input) {
  return input.formats[m.format];
}

[[maybe_unused]] inline __m256 load_dense(MatrixView::Store store, const std::byte* data,
                                          std::int64_t i) {
  if (store == MatrixView::Store::f32)
    return _mm256_loadu_ps(reinterpret_cast<const float*>(data + 4 * i));
  if (store == MatrixView::Store::f16) return load_halves(data + 2 * i);
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + 2 * i));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

/// The first n < 8 weights of that address, then zeros, without reading past them.
[[maybe_unused]] inline __m256 load_dense_tail(MatrixView::Store store, const std::byte* data,
                                               std::int64_t i, std::int64_t n) {
  alignas(32) std::byte buffer[32] = {};
  const std::int64_t size = store == MatrixView::Store::f32 ? 4 : 2;
  std::memcpy(buffer, data + size * i, static_cast<std::size_t>(size * n));
  return load_dense(store, buffer, 0);
}

/// Four bytes at an address of any alignment, in every lane.
[[maybe_unused]] inline __m256i broadcast_word(const std::byte* p) {
  return _mm256_castps_si256(_mm256_broadcast_ss(reinterpret_cast<const float*>(p)));
}

/// s2 · (code − z2) of 16 rows from 6 bytes of codes and two halves. Rows 8 to 15 are bits 24 to
/// 47: bit 8 of the word at byte 2.
[[maybe_unused]] inline void second_level(const std::byte* codes, const std::byte* stats,
                                          float* to) {
  int halves;
  std::memcpy(&halves, stats, 4);
  const __m128 both = _mm_cvtph_ps(_mm_cvtsi32_si128(halves));
  const __m256 s2 = _mm256_broadcastss_ps(both);
  const __m256 z2 = _mm256_broadcastss_ps(_mm_movehdup_ps(both));
  const __m256i low = _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21), seven = _mm256_set1_epi32(7);
  const __m256i high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  const __m256i a = _mm256_and_si256(_mm256_srlv_epi32(broadcast_word(codes), low), seven);
  const __m256i b = _mm256_and_si256(_mm256_srlv_epi32(broadcast_word(codes + 2), high), seven);
  _mm256_store_ps(to, _mm256_mul_ps(s2, _mm256_sub_ps(_mm256_cvtepi32_ps(a), z2)));
  _mm256_store_ps(to + 8, _mm256_mul_ps(s2, _mm256_sub_ps(_mm256_cvtepi32_ps(b), z2)));
}

/// Transposes 8 × 8 floats: rows `stride` halves apart in the file, columns kRows floats apart in
/// `to`.
[[maybe_unused]] inline void transpose_8(const std::byte* data, std::int64_t stride, float* to) {
  __m256 pairs[8], quads[8];
  for (int i = 0; i < 8; i += 2) {
    const __m256 a = load_halves(data + 2 * i * stride),
                 b = load_halves(data + 2 * (i + 1) * stride);
    pairs[i] = _mm256_unpacklo_ps(a, b);      // columns 0, 1 | 4, 5 of two rows
    pairs[i + 1] = _mm256_unpackhi_ps(a, b);  // columns 2, 3 | 6, 7
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; ++k) {  // columns 2k | 2k + 4, then 2k + 1 | 2k + 5, of four rows
      quads[i + 2 * k] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0x44);
      quads[i + 2 * k + 1] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0xee);
    }
  for (int column = 0; column < 4; ++column) {
    const __m256 a = quads[column], b = quads[column + 4];
    _mm256_store_ps(to + column * kRows, _mm256_permute2f128_ps(a, b, 0x20));
    _mm256_store_ps(to + (column + 4) * kRows, _mm256_permute2f128_ps(a, b, 0x31));
  }
}

/// F16 [rows, groups] of the file to [group][row].
[[maybe_unused]] inline void transpose_halves(const std::byte* data, std::int64_t stride,
                                              std::int64_t rows, std::int64_t groups, float* to) {
  std::int64_t done = 0;
  if (rows == kRows)
    for (; done + 8 <= groups; done += 8)
      for (std::int64_t r = 0; r < kRows; r += 8)
        transpose_8(data + 2 * (r * stride + done), stride, to + done * kRows + r);
  for (std::int64_t r = 0; r < kRows; ++r)
    for (std::int64_t g = done; g < groups; ++g)
      to[g * kRows + r] = r < rows ? load_half(data, r * stride + g) : 0;
}

/// Scales and zeros of groups [begin, end) for the kRows rows from `row`, second level undone.
[[maybe_unused]] inline void load_stats(const MatrixView& m, std::int64_t row, std::int64_t begin,
                                        std::int64_t end, Stats& stats) {
  const std::int64_t rows = least(kRows, m.out - row), groups = end - begin;
  if (m.scale_codes != nullptr) {
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t cell = row / kRows * m.groups + begin + g;
      second_level(m.scale_codes + 6 * cell, m.scale_stats + 4 * cell, stats.scale + g * kRows);
      if (!m.symmetric)
        second_level(m.zero_codes + 6 * cell, m.zero_stats + 4 * cell, stats.zero + g * kRows);
    }
  } else {
    const std::int64_t first = row * m.groups + begin;
    transpose_halves(m.scales + 2 * first, m.groups, rows, groups, stats.scale);
    if (!m.symmetric) transpose_halves(m.zeros + 2 * first, m.groups, rows, groups, stats.zero);
  }
  if (m.symmetric)
    for (std::int64_t i = 0; i < groups * kRows; ++i) stats.zero[i] = m.fixed_zero;
}

}  // namespace
}  // namespace karat::KARAT_ISA
