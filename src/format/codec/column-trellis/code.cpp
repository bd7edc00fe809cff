#include "format/codec/column-trellis/code.h"

namespace karat {
namespace {

/// What tools/column_tables.py prints.
constexpr ColumnCode kCodes[] = {
    {.bits = 2,
     .rows = 7,
     .factor = {{1, 0, 0, 0, 0, 0, 1}, {4, 0, 4, 1, 0, 0, 0}, {0, 4, 0, 0, 1, 4, 0}},
     .shift = {0, 0, 0},
     .table = {{8, 0, 12, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
               {9, 8, 4, 19, 13, 13, 0, 6, 5, 10, 15, 2, 7, 14, 9, 12},
               {12, 9, 12, 8, 0, 14, 3, 6, 11, 14, 6, 3, 8, 9, 19, 16}},
     .zero = 25,
     .step = 1.0f / 8},
    {.bits = 3,
     .rows = 5,
     .factor = {{2, 0, 0, 0, 2}, {1, 2, 0, 2, 0}, {1, 0, 2, 0, 0}},
     .shift = {0, 0, 0},
     .table = {{16, 0, 0, 0, 6, 0, 13, 0, 4, 0, 9, 0, 11, 0, 7, 0},
               {8, 5, 13, 9, 11, 10, 15, 8, 3, 13, 17, 12, 7, 4, 0, 19},
               {7, 5, 4, 19, 16, 12, 15, 0, 10, 12, 2, 9, 11, 7, 14, 8}},
     .zero = 27,
     .step = 1.0f / 8},
    {.bits = 4,
     .rows = 4,
     .factor = {{1, 0, 0, 1}, {1, 1, 0, 0}, {1, 1, 1, 0}},
     .shift = {0, 0, 0},
     .table = {{9, 8, 3, 6, 20, 10, 7, 12, 0, 11, 4, 17, 12, 15, 16, 13},
               {13, 5, 14, 20, 9, 6, 7, 8, 11, 10, 18, 16, 3, 12, 11, 0},
               {6, 8, 7, 11, 9, 4, 10, 13, 0, 12, 11, 17, 3, 14, 20, 16}},
     .zero = 30,
     .step = 1.0f / 8},
    {.bits = 5,
     .rows = 3,
     .factor = {{1, 0, 1}, {2, 0, 0}, {1, 2, 0}},
     .shift = {1, 1, 1},
     .table = {{18, 16, 5, 12, 41, 19, 14, 25, 0, 21, 9, 35, 23, 29, 32, 27},
               {27, 9, 29, 41, 18, 12, 14, 16, 22, 19, 35, 32, 6, 25, 23, 0},
               {12, 16, 14, 23, 17, 9, 19, 27, 0, 25, 21, 35, 5, 29, 40, 32}},
     .zero = 61,
     .step = 1.0f / 16},
};

/// a ⊗ b: the sum of b << i over the bits i of a, without carries.
unsigned times(unsigned a, unsigned b) {
  unsigned product = 0;
  for (int i = 0; a >> i != 0; ++i)
    if ((a >> i & 1) != 0) product ^= b << i;
  return product;
}

}  // namespace

const ColumnCode& column_code(int bits) {
  return kCodes[bits - kCodes[0].bits];
}

int column_sum(const ColumnCode& code, const std::uint8_t* codes, int first, int last) {
  int sum = 0;
  for (int t = first; t < last; ++t) {
    unsigned index = 0;
    for (int r = 0; r < code.rows; ++r) index ^= times(code.factor[t][r], codes[r]);
    sum += code.table[t][index >> code.shift[t] & 15];
  }
  return sum;
}

}  // namespace karat
