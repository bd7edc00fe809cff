// From plain arrays to the tensors of docs/format.md, checking every value on the way.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "format/blocks.h"
#include "format/overlay.h"
#include "format/trellis.h"
#include "karat/error.h"

namespace karat {
namespace {

void expect_size(const std::string& tensor, std::size_t got, std::int64_t expected) {
  if (got != static_cast<std::size_t>(expected))
    fail("pack " + tensor, fmt::format("{} values", got), fmt::format("{}", expected));
}

void expect_codes(const std::string& tensor, const std::vector<std::uint8_t>& codes, int limit) {
  const auto bad = std::ranges::find_if(codes, [&](auto code) { return code >= limit; });
  if (bad != codes.end())
    fail("pack " + tensor, fmt::format("code {} at {}", *bad, bad - codes.begin()),
         fmt::format("below {}", limit));
}

void expect_finite(const std::string& tensor, const std::vector<std::uint16_t>& halves) {
  const auto bad = std::ranges::find_if(halves, [](auto h) { return (h & 0x7c00u) == 0x7c00u; });
  if (bad != halves.end())
    fail("pack " + tensor, fmt::format("{} at {}", f16_to_float(*bad), bad - halves.begin()),
         "a finite FP16 value", "a value above 65504 does not fit FP16");
}

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

OwnedTensor pack_codes(const std::string& tensor, const PackedMatrix& m) {
  expect_size(tensor, m.codes.size(), m.out * m.in);
  expect_codes(tensor, m.codes, code_limit(m.layout));
  const std::int64_t stride = row_bytes(m.in, m.layout.bits);
  std::vector<std::byte> bytes(static_cast<std::size_t>(m.out * stride));
  for (std::int64_t o = 0; o < m.out; ++o)
    for (std::int64_t i = 0; i < m.in; ++i)
      write_code(m.layout, bytes.data() + o * stride, m.in, i, m.codes[o * m.in + i]);
  return {tensor, DType::u8, {m.out, stride}, std::move(bytes)};
}

OwnedTensor pack_tiles(const std::string& tensor, const PackedMatrix& m) {
  expect_size(tensor, m.codes.size(), m.out * m.in);
  expect_codes(tensor, m.codes, code_limit(m.layout));
  const int bits = m.layout.bits;
  const TrellisTiles tiles{m.out, m.in, bits};
  std::vector<std::byte> bytes(static_cast<std::size_t>(tiles.bytes()));
  for (std::int64_t i = 0; i < tiles.count(); ++i) {
    const Tile tile = tiles.at(i);
    for (std::int64_t t = 0; t < tile.size(); ++t)
      write_bits(bytes.data() + tile.byte, t * bits, bits,
                 m.codes[(tile.row + t / tile.columns) * m.in + tile.column + t % tile.columns]);
  }
  return {tensor, DType::u8, {tiles.bytes()}, std::move(bytes)};
}

OwnedTensor pack_halves(const std::string& tensor, const std::vector<std::uint16_t>& values,
                        const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const auto extent : shape) count *= extent;
  expect_size(tensor, values.size(), count);
  expect_finite(tensor, values);
  return own_bytes(tensor, DType::f16, shape, bytes_of(values));
}

/// [out, groups] 3-bit codes to [ceil(out/16), groups, 6]: 16 rows of one group lie together.
OwnedTensor pack_second_level(const std::string& tensor, const std::vector<std::uint8_t>& codes,
                              std::int64_t out, std::int64_t groups) {
  expect_size(tensor, codes.size(), out * groups);
  expect_codes(tensor, codes, 1 << kBilevelBits);
  const std::int64_t blocks = row_blocks(out);
  std::vector<std::byte> bytes(static_cast<std::size_t>(blocks * groups * kBilevelBytes));
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t g = 0; g < groups; ++g)
      write_bits(bytes.data() + (o / kBilevelRows * groups + g) * kBilevelBytes,
                 o % kBilevelRows * kBilevelBits, kBilevelBits, codes[o * groups + g]);
  return {tensor, DType::u8, {blocks, groups, kBilevelBytes}, std::move(bytes)};
}

void check_overlay(const std::string& name, const PackedMatrix& m) {
  const Overlay& overlay = m.overlay;
  const std::string where = "pack the outliers of " + name;
  const std::size_t n = overlay.columns.size();
  if (m.in > kMaxOverlayInputs)
    fail(where, fmt::format("{} inputs", m.in), "at most 65536", "columns are stored in 16 bits");
  expect_size(name + ".outlier_offsets", overlay.offsets.size(), m.out + 1);
  expect_size(name + ".outlier_values", overlay.values.size(), static_cast<std::int64_t>(n));
  if (overlay.offsets.front() != 0 || overlay.offsets.back() != n)
    fail(where,
         fmt::format("offsets from {} to {}", overlay.offsets.front(), overlay.offsets.back()),
         fmt::format("0 to {}", n));
  for (std::int64_t o = 0; o < m.out; ++o) {
    const std::uint32_t begin = overlay.offsets[o], end = overlay.offsets[o + 1];
    if (begin > end || end > n) fail(where, "offsets that fall", "ascending offsets");
    for (std::uint32_t k = begin; k < end; ++k)
      if (overlay.columns[k] >= m.in || (k > begin && overlay.columns[k] <= overlay.columns[k - 1]))
        fail(where, fmt::format("column {} in row {}", overlay.columns[k], o),
             fmt::format("ascending columns below {}", m.in));
  }
  expect_finite(name + ".outlier_values", overlay.values);
}

/// U8 where every row's count fits, else U16 (a row has at most 65536 columns; 65536 is refused).
OwnedTensor pack_counts(const std::string& tensor, const PackedMatrix& m) {
  std::vector<std::uint32_t> counts(static_cast<std::size_t>(m.out));
  for (std::int64_t o = 0; o < m.out; ++o)
    counts[o] = m.overlay.offsets[o + 1] - m.overlay.offsets[o];
  const std::uint32_t largest = std::ranges::max(counts);
  if (largest > 65535) fail("pack " + tensor, "65536 outliers in a row", "at most 65535");
  if (largest <= 255) {
    const std::vector<std::uint8_t> small(counts.begin(), counts.end());
    return own_bytes(tensor, DType::u8, {m.out}, bytes_of(small));
  }
  const std::vector<std::uint16_t> wide(counts.begin(), counts.end());
  return own_bytes(tensor, DType::u16, {m.out}, bytes_of(wide));
}

}  // namespace

void pack_overlay(const std::string& name, const PackedMatrix& m, std::vector<OwnedTensor>& out) {
  if (m.overlay.columns.empty() && m.overlay.values.empty()) return;
  check_overlay(name, m);
  const auto n = static_cast<std::int64_t>(m.overlay.columns.size());
  out.push_back(pack_counts(name + ".outlier_counts", m));
  out.push_back(own_bytes(name + ".outlier_columns", DType::u16, {n}, bytes_of(m.overlay.columns)));
  out.push_back(own_bytes(name + ".outlier_values", DType::f16, {n}, bytes_of(m.overlay.values)));
}

std::vector<OwnedTensor> pack(const std::string& name, const PackedMatrix& m) {
  check_layout(name, m.layout, m.out, m.in);
  const std::int64_t groups = m.layout.groups(m.in), blocks = row_blocks(m.out);
  const bool trellis = m.layout.codebook == Codebook::trellis;
  const bool zeros = !m.layout.symmetric && !trellis;
  std::vector<OwnedTensor> tensors;
  tensors.push_back(trellis ? pack_tiles(name + ".codes", m) : pack_codes(name + ".codes", m));
  if (m.layout.input_scales)
    tensors.push_back(pack_halves(name + ".input_scales", m.input_scales, {m.in}));
  if (m.layout.codebook == Codebook::lut) {
    tensors.push_back(pack_halves(name + ".tables", m.tables, {m.out, groups, 1 << m.layout.bits}));
  } else if (m.layout.bilevel) {
    const std::vector<std::int64_t> stats = {blocks, groups, 2};
    tensors.push_back(pack_second_level(name + ".scale_codes", m.scale_codes, m.out, groups));
    tensors.push_back(pack_halves(name + ".scale_stats", m.scale_stats, stats));
    if (zeros) {
      tensors.push_back(pack_second_level(name + ".zero_codes", m.zero_codes, m.out, groups));
      tensors.push_back(pack_halves(name + ".zero_stats", m.zero_stats, stats));
    }
  } else {
    tensors.push_back(pack_halves(name + ".scales", m.scales, {m.out, groups}));
    if (zeros) tensors.push_back(pack_halves(name + ".zeros", m.zeros, {m.out, groups}));
  }
  pack_overlay(name, m, tensors);
  return tensors;
}

}  // namespace karat
