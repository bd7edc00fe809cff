// From plain arrays to the tensors of docs/format.md, checking every value on the way.
#include <fmt/format.h>

#include <algorithm>

#include "format/overlay.h"
#include "format/shared/code_parts.h"
#include "karat/error.h"

namespace karat {
namespace {

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
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
  std::vector<OwnedTensor> tensors;
  for (const Part& part : layout_parts(m.layout, m.out, m.in)) {
    const std::string tensor = fmt::format("{}.{}", name, part.name);
    tensors.push_back({tensor, part.dtype, part.shape, part.pack(tensor, m)});
  }
  pack_overlay(name, m, tensors);
  return tensors;
}

}  // namespace karat
