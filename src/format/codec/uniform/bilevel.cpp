#include "format/codec/uniform/bilevel.h"

#include "format/shared/code_parts.h"

namespace karat {
namespace {

/// [out, groups] 3-bit codes to [ceil(out/16), groups, 6]: 16 rows of one group lie together.
Part second_level_part(std::string_view name, std::int64_t out, std::int64_t groups,
                       TensorView PackedView::*view,
                       std::vector<std::uint8_t> PackedMatrix::*values) {
  const std::vector<std::int64_t> shape = {row_blocks(out), groups, kBilevelBytes};
  return {name, DType::u8, shape, view,
          [out, groups, values](const std::string& tensor, const PackedMatrix& m) {
            const std::vector<std::uint8_t>& codes = m.*values;
            expect_size(tensor, codes.size(), out * groups);
            expect_codes(tensor, codes, 1 << kBilevelBits);
            std::vector<std::byte> bytes(
                static_cast<std::size_t>(row_blocks(out) * groups * kBilevelBytes));
            for (std::int64_t o = 0; o < out; ++o)
              for (std::int64_t g = 0; g < groups; ++g)
                write_bits(bytes.data() + (o / kBilevelRows * groups + g) * kBilevelBytes,
                           o % kBilevelRows * kBilevelBits, kBilevelBits, codes[o * groups + g]);
            return bytes;
          }};
}

/// One second-level value: s2 · (code − z2).
float second_level(const TensorView& codes, const TensorView& stats, std::int64_t cell, int lane) {
  const unsigned code =
      read_bits(codes.data + cell * kBilevelBytes, lane * kBilevelBits, kBilevelBits);
  return half_at(stats, 2 * cell) * (static_cast<float>(code) - half_at(stats, 2 * cell + 1));
}

}  // namespace

void add_bilevel_stats(const PackedLayout& layout, std::int64_t out, std::int64_t in,
                       std::vector<Part>& parts) {
  const std::int64_t groups = layout.groups(in);
  const std::vector<std::int64_t> stats = {row_blocks(out), groups, 2};
  parts.push_back(second_level_part("scale_codes", out, groups, &PackedView::scale_codes,
                                    &PackedMatrix::scale_codes));
  parts.push_back(
      halves_part("scale_stats", stats, &PackedView::scale_stats, &PackedMatrix::scale_stats));
  if (layout.symmetric) return;
  parts.push_back(second_level_part("zero_codes", out, groups, &PackedView::zero_codes,
                                    &PackedMatrix::zero_codes));
  parts.push_back(
      halves_part("zero_stats", stats, &PackedView::zero_stats, &PackedMatrix::zero_stats));
}

GroupStats bilevel_stats(const PackedView& view, std::int64_t row, std::int64_t group,
                         float fixed_zero) {
  const std::int64_t cell = row / kBilevelRows * view.layout.groups(view.in) + group;
  const int lane = static_cast<int>(row % kBilevelRows);
  return {second_level(view.scale_codes, view.scale_stats, cell, lane),
          view.layout.symmetric ? fixed_zero
                                : second_level(view.zero_codes, view.zero_stats, cell, lane)};
}

}  // namespace karat
