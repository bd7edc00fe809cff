// One token and bilevel statistics of groups of 16, 32 or 64 inputs. Sixteen rows share the
// second-level scales and zeros of a group, s2·(c − z2) and t2·(d − u2), and the activations' scale
// x̂ = v·w of 16 inputs, so what a row gives is Σ (c·s + m)·(Σ q·v + d·t + o) over sixteens of
// inputs, with s = s2·w, m = −s·z2, t = −t2·Σv and o = t2·u2·Σv in common.
#pragma once

#include "kernel/cpu/isa/outliers.h"
#include "kernel/cpu/isa/x86_sixteens.h"

namespace karat::KARAT_ISA {
namespace {

constexpr std::int64_t kSixteens = 512;  // of a row that are multiplied at a time
constexpr std::int64_t kStripRows = 16, kQuads = 4;

/// Rows of a quad have their three bits of a group in 12 bits of a half of a word.
constexpr int kQuadByte[kQuads] = {0, 1, 3, 4};  // where its 16 bits begin among the six bytes
constexpr int quad_shift(std::int64_t quad) {
  return 4 * static_cast<int>(quad % 2);
}

template <int bits>
inline Order sixteens_order(std::int64_t of_group) {
  std::int32_t lanes[kLanes];
  for (int l = 0; l < kLanes; ++l)
    lanes[l] = static_cast<std::int32_t>(sixteen_of<bits>(l) / of_group);
  return order_of(lanes);
}

/// What rows share of sixteens of inputs, by blocks, in the order of their lanes.
struct InputSixteens {
  alignas(64) float scale[kSixteens], sum[kSixteens];  // w, and Σ v

  template <int bits>
  void set(const Int8Input& x, std::int64_t begin, std::int64_t end) {
    const Order order = sixteens_order<bits>(1);
    Bytes ones[kRegisters];
    for (Bytes& one : ones) one = all_bytes(1);
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t at = (b - begin) * kLanes;
      store(scale + at, in_order(load(x.scales + b * kLanes), order));
      store(sum + at, sixteen_sums<OneRow, bits>(ones, x.values + b * kBlock));
    }
  }
};

/// Second-level statistics of a strip of 16 rows: eight groups from one on, and what a matrix
/// without zeros of its own has in their place.
class StripStatistics {
 public:
  StripStatistics(const MatrixView& m, std::int64_t strip)
      : m_(m),
        first_(strip * m.groups),
        left_((m.out + kStripRows - 1) / kStripRows * m.groups - first_) {}

  struct Group8 {
    const std::byte *codes[2], *stats[2];  // of scales, of zeros
  };
  /// Eight groups from `group` on, and two bytes after their codes; past the matrix's last, zeros.
  /// Those of the next strip are requested.
  Group8 eight(std::int64_t group) {
    const std::int64_t at = first_ + group;
    Group8 found;
    const std::byte* const codes[] = {m_.scale_codes,
                                      m_.symmetric ? m_.scale_codes : m_.zero_codes};
    const std::byte* const stats[] = {m_.scale_stats,
                                      m_.symmetric ? m_.scale_stats : m_.zero_stats};
    for (int k = 0; k < 2; ++k) {
      found.codes[k] = codes[k] + 6 * at;
      found.stats[k] = stats[k] + 4 * at;
      __builtin_prefetch(found.codes[k] + 6 * m_.groups, 0, 3);
      __builtin_prefetch(found.stats[k] + 4 * m_.groups, 0, 3);
      if (group + kLanes >= left_) copy(k, left_ - group, found);
    }
    return found;
  }

 private:
  void copy(int k, std::int64_t n, Group8& found) {
    std::memset(codes_[k], 0, sizeof codes_[k]);
    std::memset(stats_[k], 0, sizeof stats_[k]);
    if (n > 0) {
      std::memcpy(codes_[k], found.codes[k], static_cast<std::size_t>(6 * least(n, kLanes)));
      std::memcpy(stats_[k], found.stats[k], static_cast<std::size_t>(4 * least(n, kLanes)));
    }
    found.codes[k] = codes_[k];
    found.stats[k] = stats_[k];
  }

  const MatrixView& m_;
  std::int64_t first_, left_;  // groups
  std::byte codes_[2][6 * kLanes + 2], stats_[2][4 * kLanes];
};

/// Of a strip of rows and the sixteens of a block, in the order of their lanes: s, m, t / 2^16, o,
/// and words with the codes of four rows, those of zeros in the upper half.
struct SharedBlock {
  alignas(64) float scale[kLanes], minus[kLanes], slope[kLanes], offset[kLanes];
  std::uint32_t words[kQuads][kLanes];
};

struct SharedSixteens {
  SharedBlock blocks[kSixteens / kLanes];

  template <int bits>
  void set(const MatrixView& m, std::int64_t strip, const InputSixteens& x, std::int64_t begin,
           std::int64_t end) {
    StripStatistics statistics(m, strip);
    const std::int64_t of_group = m.group / 16;  // sixteens
    const Order order = sixteens_order<bits>(of_group);
    const Eight lift = all(bits == 8 ? kByteZero : 0), zero = all(m.fixed_zero);
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t at = (b - begin) * kLanes;
      const auto eight = statistics.eight(b * kLanes / of_group);
      SharedBlock& to = blocks[b - begin];
      set_words<bits>(eight.codes, of_group, to);
      Eight s2, z2, t2, u2;
      load_pairs(eight.stats[0], s2, z2);
      load_pairs(eight.stats[1], t2, u2);
      const Eight s = mul(in_order(s2, order), load(x.scale + at)), sums = load(x.sum + at);
      store(to.scale, s);
      store(to.minus, mul(s, sub(all(0), in_order(z2, order))));
      const Eight t = m.symmetric ? all(0) : mul(in_order(t2, order), sums);
      store(to.slope, mul(t, all(-0x1p-16f)));
      const Eight own = m.symmetric ? mul(zero, sums) : mul(sub(all(0), in_order(u2, order)), t);
      store(to.offset, sub(mul(lift, sums), own));
    }
  }

 private:
  template <int bits>
  static void set_words(const std::byte* const* codes, std::int64_t of_group, SharedBlock& to) {
    constexpr const int* k = kQuadByte;
    const auto group = [&](int lane) {  // its six bytes, two more, and those of its zeros
      const std::int64_t g = 6 * (sixteen_of<bits>(lane) / of_group);
      return _mm_castpd_si128(_mm_loadh_pd(
          _mm_castsi128_pd(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes[0] + g))),
          reinterpret_cast<const double*>(codes[1] + g)));
    };
    const __m256i by_quad = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(k[0], k[0] + 1, k[0] + 8, k[0] + 9, k[1], k[1] + 1, k[1] + 8, k[1] + 9,  //
                      k[2], k[2] + 1, k[2] + 8, k[2] + 9, k[3], k[3] + 1, k[3] + 8, k[3] + 9));
    __m256i r[4];
    KARAT_UNROLL
    for (int i = 0; i < 4; ++i)
      r[i] = _mm256_shuffle_epi8(_mm256_set_m128i(group(4 + i), group(i)), by_quad);
    const __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpacklo_epi32(r[2], r[3]);
    const __m256i c = _mm256_unpackhi_epi32(r[0], r[1]), d = _mm256_unpackhi_epi32(r[2], r[3]);
    const __m256i quads[] = {_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b),
                             _mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d)};
    KARAT_UNROLL
    for (int j = 0; j < 4; ++j)
      _mm256_store_si256(reinterpret_cast<__m256i*>(to.words[j]), quads[j]);
  }
};

/// The blocks [begin, end) of a strip's rows.
struct SixteensRun {
  const MatrixView& m;
  const Int8Input& x;
  const SharedSixteens& shared;
  std::int64_t begin, end;
};

/// What a block gives to n registers of rows.
template <class V, int bits, int n>
inline void add_sixteens(const typename V::Ints (*q)[4], const std::int8_t* x,
                         const SharedBlock& shared, std::int64_t quad,
                         const typename V::Ints* shifts, typename V::Floats* acc) {
  const auto word = V::repeat(static_cast<const void*>(shared.words[quad]));
  const auto low = V::all(7), high = V::all(7 << 16);
  const auto scale = V::repeat(shared.scale), minus = V::repeat(shared.minus),
             slope = V::repeat(shared.slope), offset = V::repeat(shared.offset);
  KARAT_UNROLL
  for (int i = 0; i < n; ++i) {
    const auto codes = V::right(word, shifts[i]);
    const auto c = V::to_floats(V::bits_and(codes, low));
    const auto d = V::to_floats(V::bits_and(codes, high));
    const auto sums = V::add(sixteen_sums<V, bits>(q[i], x), offset);
    acc[i] = V::fma(V::fma(c, scale, minus), V::fma(d, slope, sums), acc[i]);
  }
}

/// Adds a run of n·V::kRows rows of a quad to acc [n]. Four rows are read side by side; what lies
/// kAhead bytes further on is requested in the order of memory, a line after the other.
template <class V, int bits, int n>
[[gnu::noinline]] void run_rows(const SixteensRun& run, const std::byte* const* rows,
                                std::int64_t quad, int row, typename V::Floats* acc) {
  constexpr std::int64_t kBytes = BlockCodes<bits>::kBytes, kAhead = 8192, kLine = 64;
  constexpr int kRows = n * V::kRows;
  const std::int64_t whole = least(run.end, run.m.in / kBlock) - run.begin;
  const std::byte* at[kRows];
  typename V::Ints shifts[n], q[n][4];
  typename V::Floats sums[n];
  int counts[kRows];
  for (int r = 0; r < kRows; ++r) {
    at[r] = rows[row + r] + run.begin * kBytes;
    counts[r] = quad_shift(quad) + 3 * (row + r);
  }
  KARAT_UNROLL
  for (int i = 0; i < n; ++i) {
    shifts[i] = V::of_rows(counts + i * V::kRows);
    sums[i] = acc[i];
  }
  const SharedBlock* shared = run.shared.blocks;
  const std::int8_t* x = run.x.values + run.begin * kBlock;
  const std::byte* next = at[0] + kAhead;
  for (std::int64_t b = 0; b < whole; ++b, x += kBlock, next += kRows * kBytes) {
    KARAT_UNROLL
    for (int k = 0; k < (kRows * kBytes + kLine - 1) / kLine; ++k)
      __builtin_prefetch(next + kLine * k, 0, 2);
    KARAT_UNROLL
    for (int i = 0; i < n; ++i) V::template load<bits>(at + i * V::kRows, b * kBytes, q[i]);
    add_sixteens<V, bits, n>(q, x, shared[b], quad, shifts, sums);
  }
  if (run.begin + whole < run.end) {
    const std::int64_t left = run.m.row_bytes - (run.begin + whole) * kBytes;
    for (int i = 0; i < n; ++i)
      V::template load_end<bits>(at + i * V::kRows, whole * kBytes, left, q[i]);
    add_sixteens<V, bits, n>(q, x, shared[whole], quad, shifts, sums);
  }
  KARAT_UNROLL
  for (int i = 0; i < n; ++i) acc[i] = sums[i];
}

/// Adds a run of up to four rows from `row` on to acc [4]; what others than `count` give is not
/// defined.
template <int bits>
void run_quad(const SixteensRun& run, std::int64_t row, std::int64_t count, Eight* acc) {
  const std::byte* rows[kQuads];
  for (int r = 0; r < 4; ++r) rows[r] = run.m.codes + (row + (r < count ? r : 0)) * run.m.row_bytes;
  const std::int64_t quad = row % kStripRows / 4;
#if defined(__AVX512BW__)
  if constexpr (bits <= 4) {
    __m512 sums[2];
    for (int i = 0; i < 2; ++i)
      sums[i] = _mm512_insertf32x8(_mm512_castps256_ps512(acc[2 * i]), acc[2 * i + 1], 1);
    run_rows<TwoRows, bits, 2>(run, rows, quad, 0, sums);
    for (int i = 0; i < 2; ++i) TwoRows::row_sums(sums[i], acc + 2 * i);
    return;
  }
#endif
  for (int r = 0; r < 4; ++r) run_rows<OneRow, bits, 1>(run, rows, quad, r, acc + r);
}

/// Rows of a matrix whose activations have a scale for sixteen inputs in a row.
template <int bits>
void bilevel_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                  std::int64_t row_end) {
  constexpr std::int64_t kBlocks = kSixteens / kLanes;
  const Int8Input& x = *input.int8;
  InputSixteens own;
  SharedSixteens shared;
  if (x.blocks <= kBlocks) own.set<bits>(x, 0, x.blocks);
  FourOutliers::Plan plan(m);
  for (std::int64_t strip = row_begin; strip < row_end; strip += kStripRows) {
    const std::int64_t end = least(strip + kStripRows, row_end);
    Eight acc[kStripRows];
    for (Eight& one : acc) one = all(0);
    for (std::int64_t b = 0; b < x.blocks; b += kBlocks) {
      const SixteensRun run{m, x, shared, b, least(b + kBlocks, x.blocks)};
      if (x.blocks > kBlocks) own.set<bits>(x, run.begin, run.end);
      shared.set<bits>(m, strip / kStripRows, own, run.begin, run.end);
      for (std::int64_t row = strip; row < end; row += 4)
        run_quad<bits>(run, row, least(4, end - row), acc + (row - strip));
    }
    for (std::int64_t row = strip; row < end; row += 4) {
      const Eight* sums = acc + (row - strip);
      const Four dense = sum_lanes(sums[0], sums[1], sums[2], sums[3]);
      alignas(16) float four[4];
      if (row + 4 <= end) {
        FourOutliers outliers(m, row, input.x, plan);
        store_four(y + row, add_four(dense, outliers.sums()));
        continue;
      }
      store_four(four, dense);
      for (std::int64_t r = row; r < end; ++r) y[r] = four[r - row] + outlier_dot(m, r, input.x);
    }
  }
}

/// multiply_one_units() of a matrix with scales_in_rows().
inline void multiply_bilevel_one(const MatrixView& m, const KernelInput& input, float* y,
                                 std::int64_t row_begin, std::int64_t row_end) {
  with_block_codes(m, [&](auto codes) {
    bilevel_rows<decltype(codes)::kBits>(m, input, y, row_begin, row_end);
  });
}

}  // namespace
}  // namespace karat::KARAT_ISA
