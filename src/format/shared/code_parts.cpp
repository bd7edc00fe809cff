#include "format/shared/code_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "karat/error.h"

namespace karat {

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

Part halves_part(std::string_view name, std::vector<std::int64_t> shape,
                 TensorView PackedView::*view, std::vector<std::uint16_t> PackedMatrix::*values) {
  std::int64_t count = 1;
  for (const auto extent : shape) count *= extent;
  return {name, DType::f16, std::move(shape), view,
          [count, values](const std::string& tensor, const PackedMatrix& m) {
            const std::vector<std::uint16_t>& halves = m.*values;
            expect_size(tensor, halves.size(), count);
            expect_finite(tensor, halves);
            const auto bytes = std::as_bytes(std::span(halves));
            return std::vector<std::byte>(bytes.begin(), bytes.end());
          }};
}

Part row_scales_part(std::int64_t out) {
  return {"row_scales",
          DType::f32,
          {out},
          &PackedView::row_scales,
          [out](const std::string& tensor, const PackedMatrix& m) {
            expect_size(tensor, m.row_scales.size(), out);
            const auto bad =
                std::ranges::find_if(m.row_scales, [](float s) { return !std::isfinite(s); });
            if (bad != m.row_scales.end())
              fail("pack " + tensor, fmt::format("{} at {}", *bad, bad - m.row_scales.begin()),
                   "a finite scale");
            const auto bytes = std::as_bytes(std::span(m.row_scales));
            return std::vector<std::byte>(bytes.begin(), bytes.end());
          }};
}

Part code_rows_part(const PackedLayout& layout, std::int64_t out, std::int64_t in,
                    WriteCode write) {
  const std::int64_t stride = row_bytes(in, layout.bits);
  return {"codes",
          DType::u8,
          {out, stride},
          &PackedView::codes,
          [stride, write](const std::string& tensor, const PackedMatrix& m) {
            expect_size(tensor, m.codes.size(), m.out * m.in);
            expect_codes(tensor, m.codes, code_limit(m.layout));
            std::vector<std::byte> bytes(static_cast<std::size_t>(m.out * stride));
            for (std::int64_t o = 0; o < m.out; ++o)
              for (std::int64_t i = 0; i < m.in; ++i)
                write(bytes.data() + o * stride, m.in, i, m.layout.bits, m.codes[o * m.in + i]);
            return bytes;
          }};
}

void write_stream_code(std::byte* row, std::int64_t, std::int64_t i, int bits, unsigned code) {
  write_bits(row, i * bits, bits, code);
}

int code_limit(const PackedLayout& layout) {
  const std::span<const float> values = find_codec("packed layer", layout.format).values;
  return values.empty() ? 1 << layout.bits : static_cast<int>(values.size());
}

}  // namespace karat
