// Codes of a column trellis (format/codec/column-trellis/code.h) become bytes as a kernel goes down
// the rows of a block: the codes of the rows above stay in registers, and a look-up in a table is
// one shuffle of bytes. Tables are the matrix's; which codes meet in which is compiled in, as the
// factors of column_code say, and a test holds it to them.
#pragma once

#include <type_traits>

#include "kernel/cpu/isa/int8.h"

namespace karat::KARAT_ISA {
namespace {

[[maybe_unused]] inline Bytes twice(Bytes v) {
  return add_bytes(v, v);
}

/// What a register of codes depends on of those above it, c[1] … : enter() takes the next row's
/// codes; sum() gives the bytes of a row and enters its codes.
template <int bits>
struct Column;

template <>
struct Column<2> {
  Bytes above[7];        // c[r]
  Bytes pair, pair_two;  // 4·c[r] ⊕ c[r + 1]
  Bytes third;           // 4·c[1] ⊕ c[4] ⊕ 4·c[5]

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes four = twice(twice(c));
    meet(exclusive_or(c, above[6]), exclusive_or(four, pair_two), third);
    third = exclusive_or(exclusive_or(four, above[3]), twice(twice(above[4])));
    pair_two = pair, pair = exclusive_or(four, above[1]);
    KARAT_UNROLL
    for (int r = 6; r > 1; --r) above[r] = above[r - 1];
    above[1] = c;
  }
};

template <>
struct Column<3> {
  Bytes one, two, three, four;  // 2·c[r]

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes doubled = twice(c);
    meet(exclusive_or(doubled, four), exclusive_or(exclusive_or(c, one), three),
         exclusive_or(c, two));
    four = three, three = two, two = one, one = doubled;
  }
};

template <>
struct Column<4> {
  Bytes one, two, three;  // c[r]

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes both = exclusive_or(c, one);
    meet(exclusive_or(c, three), both, exclusive_or(both, two));
    three = two, two = one, one = c;
  }
};

template <>
struct Column<5> {
  Bytes one, half, half_two;  // c[1], c[1] / 2, c[2] / 2

  template <class Meet>
  void step(Bytes c, const Meet& meet) {
    const Bytes own = halved(c);
    meet(exclusive_or(own, half_two), c, exclusive_or(own, one));
    half_two = half, half = own;
    one = c;
  }
};

/// The tables of a matrix in registers, and how they are read.
template <int width>
struct Columns {
  static constexpr int kBits = width;
  static constexpr int kAbove = width == 2 ? 6 : 7 - width;  // rows that a value needs
  static constexpr bool kLarge = width == 5;                 // sums above 63
  static constexpr std::integral_constant<int, kLarge ? 8 : 6> sum_width() { return {}; }  // bits
  using Codes = BlockCodes<width>;
  using State = Column<width>;

  explicit Columns(const MatrixView& m) {
    KARAT_UNROLL
    for (int t = 0; t < ColumnCode::kTables; ++t) table[t] = load_table(m.columns->table[t]);
  }

  static void enter(Bytes codes, State& state) {
    state.step(codes, [](auto...) {});
  }
  Bytes sum(Bytes codes, State& state) const {
    Bytes found;
    state.step(codes, [&](Bytes first, Bytes second, Bytes third) {
      found = add_bytes(add_bytes(look_up(table[0], first), look_up(table[1], second)),
                        look_up(table[2], third));
    });
    return found;
  }

  Bytes table[ColumnCode::kTables];
};

/// A block's codes of row `row`; those past the row's end read 0.
template <class Codes>
inline void load_block(const MatrixView& m, std::int64_t row, std::int64_t b, Bytes* q) {
  const std::byte* p = m.codes + row * m.row_bytes + b * Codes::kBytes;
  if (b < m.in / kBlock) return Codes::load(p, q);
  load_last<Codes>(p, m.row_bytes - b * Codes::kBytes, q);
}

/// The sums of a block from row `row` on, row after row.
template <class Table>
class ColumnBlock {
 public:
  ColumnBlock(const Table& table, const MatrixView& m, std::int64_t row, std::int64_t b)
      : table_(table), m_(m), row_(row), b_(b) {
    std::memset(static_cast<void*>(state_), 0, sizeof state_);
    for (std::int64_t above = Table::kAbove; above > 0; --above) {
      Bytes q[kRegisters];
      load_block<typename Table::Codes>(m, row_above(row, above, m.out), b, q);
      KARAT_UNROLL
      for (int k = 0; k < kRegisters; ++k) Table::enter(q[k], state_[k]);
    }
  }
  void next(Bytes* to) {
    load_block<typename Table::Codes>(m_, row_++, b_, to);
    KARAT_UNROLL
    for (int k = 0; k < kRegisters; ++k) to[k] = table_.sum(to[k], state_[k]);
  }

 private:
  const Table& table_;
  const MatrixView& m_;
  std::int64_t row_, b_;
  typename Table::State state_[kRegisters];
};

/// Calls body(columns) with the Columns of the matrix.
template <class Body>
inline void with_columns(const MatrixView& m, const Body& body) {
  if (m.bits == 2) return body(Columns<2>(m));
  if (m.bits == 3) return body(Columns<3>(m));
  if (m.bits == 4) return body(Columns<4>(m));
  body(Columns<5>(m));
}

}  // namespace
}  // namespace karat::KARAT_ISA
