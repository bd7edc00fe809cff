// Products with 8-bit activations of matrices whose groups are smaller than a block, or whose codes
// stand for values. A block's sum is had in parts (int8.h), each with a register of scales: no two
// units meet in a lane. Registers have 32 bytes in every set (KARAT_NARROW).
#pragma once

#include "kernel/cpu/isa/int8.h"

namespace karat::KARAT_ISA {
namespace {

// What codes stand for: ŵ = scale·(factor·V + first − zero), V being whole numbers. of_row() of a
// kind gives a Row, which has the Codes that are loaded; bytes(q, to), the kBytes registers that a
// block's codes become; and sum(bytes, x, p), Σ V·value of a part.

/// Codes that are their own values.
template <int bits>
struct OwnValues {
  using Row = OwnValues;
  using Codes = BlockCodes<bits>;
  static constexpr int kBytes = kRegisters;
  static constexpr float kFactor = 1, kFirst = bits == 8 ? kByteZero : 0;

  OwnValues of_row(std::int64_t) const { return *this; }
  float factor() const { return kFactor; }
  float first() const { return kFirst; }
  static void bytes(const Bytes* q, Bytes* to) {
    KARAT_UNROLL
    for (int k = 0; k < kBytes; ++k) to[k] = q[k];
  }
  static Eight sum(const Bytes* b, const std::int8_t* x, int p) {
    return Parts<Codes>::sum(b, x, p);
  }
};

/// Sixteen values in steps of 1 / 4095 of their range or, if that is exact, of a power of two:
/// V = 64·high + low, both below 64 so that their products fit 16 bits.
struct Sixteen12 {
  using Codes = BlockCodes<4>;
  static constexpr int kBytes = 2 * kRegisters;
  static constexpr float kMost = 4095;

  float factor() const { return step; }
  float first() const { return least_value; }
  void bytes(const Bytes* q, Bytes* to) const {
    KARAT_UNROLL
    for (int k = 0; k < kRegisters; ++k) {
      to[k] = look_up(high, q[k]);
      to[kRegisters + k] = look_up(low, q[k]);
    }
  }
  static Eight sum(const Bytes* b, const std::int8_t* x, int p) {
    const Sums upper = part_sum<false>(b + 2 * p, x + 64 * p);
    const Sums lower = part_sum<false>(b + kRegisters + 2 * p, x + 64 * p);
    return to_floats(add_sums(times_64(upper), lower));
  }

  /// In steps of `step_`.
  void set(const float* values, float least_, float step_) {
    least_value = least_;
    step = step_;
    std::uint8_t bytes[2][16];
    const float factor = step > 0 ? 1 / step : 0;
    for (int i = 0; i < 16; ++i) {
      const int v = static_cast<int>((values[i] - least_) * factor + 0.5f);
      bytes[0][i] = static_cast<std::uint8_t>(v / 64);
      bytes[1][i] = static_cast<std::uint8_t>(v % 64);
    }
    high = load_table(bytes[0]);
    low = load_table(bytes[1]);
  }
  static void range(const float* values, float& least_, float& range) {
    float most = least_ = values[0];
    for (int i = 1; i < 16; ++i) {
      least_ = values[i] < least_ ? values[i] : least_;
      most = values[i] > most ? values[i] : most;
    }
    range = most - least_;
  }

  float step, least_value;
  Bytes high, low;
};

/// The values of a list.
struct ListValues : Sixteen12 {
  using Row = Sixteen12;
  explicit ListValues(const MatrixView& m) {
    float least_, size, unit = 1;
    range(m.values, least_, size);
    while (size > kMost * unit) unit *= 2;
    while (2 * size <= kMost * unit) unit /= 2;
    bool exact = true;
    for (int i = 0; i < 16; ++i) {
      const float steps = (m.values[i] - least_) / unit;
      exact = exact && steps == static_cast<float>(static_cast<int>(steps));
    }
    set(m.values, least_, exact ? unit : size / kMost);
  }
  const Sixteen12& of_row(std::int64_t) const { return *this; }
};

/// A table of sixteen halves a row.
struct TableValues {
  using Row = Sixteen12;
  explicit TableValues(const MatrixView& m) : tables(m.tables) {}
  Sixteen12 of_row(std::int64_t row) const {
    alignas(32) float values[16];
    for (int i = 0; i < 16; i += kLanes)
      store(values + i, load_halves(tables + 2 * (16 * row + i)));
    float least_, size;
    Sixteen12::range(values, least_, size);
    Sixteen12 own;
    own.set(values, least_, size / Sixteen12::kMost);
    return own;
  }
  const std::byte* tables;
};

/// Where the scales of a block's parts stand among its units.
struct Spread {
  std::int64_t per_block;
  std::int64_t first[4];  // of each part
  Order order;            // of the lanes of a part

  template <class Codes>
  static Spread of(std::int64_t unit) {
    using P = Parts<Codes>;
    Spread spread{kBlock / unit, {}, {}};
    for (int p = 0; p < P::kParts; ++p) spread.first[p] = p * P::kInputs / unit;
    std::int32_t lanes[kLanes];
    for (std::int64_t l = 0; l < kLanes; ++l)
      lanes[l] = static_cast<std::int32_t>(l * P::kLaneInputs / unit);
    spread.order = order_of(lanes);
    return spread;
  }
  /// Those of part p of a block whose units have the scales, of which eight are read from the
  /// part's first on.
  Eight part(const float* scales, int p) const { return in_order(load(scales + first[p]), order); }
};

/// Scales, and scale·zero, of units of a row; what past them is read belongs to no lane.
template <std::int64_t most>
struct UnitScales {
  alignas(32) float scale[most + kLanes], shift[most + kLanes];
};

// Statistics of a matrix: eight(row, i, scale, zero) gives those of units i … i + 7 of a row, zeros
// past its last; i is a multiple of 8. prepare() goes before, with the strip of 16 rows that the
// row is in and a range of units. kInRows: scales_in_rows() of the matrix.
constexpr std::int64_t kStrip = 16;

/// Scales and zeros of groups, which are units or consist of them.
class GroupUnits {
 public:
  static constexpr bool kInRows = false;
  explicit GroupUnits(const MatrixView& m)
      : scales_(m.scales),
        zeros_(m.symmetric ? nullptr : m.zeros),
        fixed_zero_(m.fixed_zero),
        group_(m.group),
        groups_(m.groups),
        unit_(int8_unit(m)) {}
  void prepare(std::int64_t, std::int64_t, std::int64_t) {}

  void eight(std::int64_t row, std::int64_t i, Eight& scale, Eight& zero) const {
    const std::int64_t at = row * groups_ + i, left = groups_ - i;
    if (group_ != unit_) return spread(row, i, scale, zero);
    scale = left > 0 ? load_first_halves(scales_ + 2 * at, left) : all(0);
    zero = all(fixed_zero_);
    if (zeros_ != nullptr && left > 0) zero = load_first_halves(zeros_ + 2 * at, left);
  }

 private:
  /// Of groups of several units.
  void spread(std::int64_t row, std::int64_t i, Eight& scale, Eight& zero) const {
    alignas(32) float scales[kLanes], zeros[kLanes];
    for (std::int64_t k = 0; k < kLanes; ++k) {
      const std::int64_t group = (i + k) * unit_ / group_, at = row * groups_ + group;
      const bool there = group < groups_;
      scales[k] = there ? load_half(scales_, at) : 0;
      zeros[k] = there && zeros_ != nullptr ? load_half(zeros_, at) : fixed_zero_;
    }
    scale = load(scales);
    zero = load(zeros);
  }

  const std::byte *scales_, *zeros_;
  float fixed_zero_;
  std::int64_t group_, groups_, unit_;
};

/// Tables have none.
struct NoStatistics {
  static constexpr bool kInRows = false;
  explicit NoStatistics(const MatrixView&) {}
  void prepare(std::int64_t, std::int64_t, std::int64_t) {}
  void eight(std::int64_t, std::int64_t, Eight& scale, Eight& zero) const {
    scale = all(1);
    zero = all(0);
  }
};

/// Second-level statistics of the groups of a strip: s2·(code − z2), eight groups together.
struct SecondLevel {
  Words words[2];      // codes of rows 0 … 7 and 8 … 15, three bits each
  Eight scale, minus;  // s2, and −s2·z2

  void load(const std::byte* codes, const std::byte* stats, std::int64_t n) {
    std::uint32_t packed[2][kLanes] = {};
    std::byte halves[4 * kLanes] = {};
    const std::int64_t groups = least(n, kLanes);
    for (std::int64_t g = 0; g < groups; ++g)
      for (int h = 0; h < 2; ++h) std::memcpy(&packed[h][g], codes + 6 * g + 3 * h, 3);
    if (groups > 0) std::memcpy(halves, stats, static_cast<std::size_t>(4 * groups));
    for (int h = 0; h < 2; ++h) words[h] = words_of(packed[h]);
    Eight zero;
    load_pairs(halves, scale, zero);
    minus = mul(scale, sub(all(0), zero));
  }
  Eight of_row(std::int64_t row) const {
    return fma(scale, three_bits(words[row / 8], static_cast<int>(3 * (row % 8))), minus);
  }
};

template <std::int64_t most, bool in_rows>
class BilevelUnits {
 public:
  static constexpr bool kInRows = in_rows;
  explicit BilevelUnits(const MatrixView& m) : m_(m) {}

  void prepare(std::int64_t row, std::int64_t begin, std::int64_t end) {
    begin_ = begin;
    for (std::int64_t i = 0; i < end - begin; i += kLanes) {
      const std::int64_t at = row / kStrip * m_.groups + begin + i, n = m_.groups - begin - i;
      scales_[i / kLanes].load(m_.scale_codes + 6 * at, m_.scale_stats + 4 * at, n);
      if (!m_.symmetric) zeros_[i / kLanes].load(m_.zero_codes + 6 * at, m_.zero_stats + 4 * at, n);
    }
  }
  void eight(std::int64_t row, std::int64_t i, Eight& scale, Eight& zero) const {
    const std::int64_t at = (i - begin_) / kLanes;
    scale = scales_[at].of_row(row % kStrip);
    zero = m_.symmetric ? all(m_.fixed_zero) : zeros_[at].of_row(row % kStrip);
  }

 private:
  const MatrixView& m_;
  std::int64_t begin_ = 0;
  SecondLevel scales_[most / kLanes], zeros_[most / kLanes];
};

/// Calls body(kind of values, statistics) with those of the matrix, of at most `most` units.
/// Without `rows` it is none with scales_in_rows().
template <std::int64_t most, bool rows, class Body>
inline void with_units(const MatrixView& m, const Body& body) {
  if (m.tables != nullptr) return body(TableValues(m), NoStatistics(m));
  if (m.values != nullptr) return body(ListValues(m), GroupUnits(m));
  with_block_codes(m, [&](auto codes) {
    const OwnValues<decltype(codes)::kBits> own;
    if constexpr (rows)
      if (scales_in_rows(m)) return body(own, BilevelUnits<most, true>(m));
    if (m.scale_codes != nullptr) return body(own, BilevelUnits<most, false>(m));
    body(own, GroupUnits(m));
  });
}

}  // namespace
}  // namespace karat::KARAT_ISA
