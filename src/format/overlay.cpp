#include "format/overlay.h"

#include <algorithm>

#include "format/parts.h"
#include "format/rows.h"
#include "karat/error.h"

namespace karat {
namespace {

/// The value in the file of a residual: input scales multiply it when it is read.
std::uint16_t stored(const PackedView& layer, std::int64_t column, float residual, float before) {
  const float scale =
      layer.layout.input_scales ? f16_to_float(load_u16(layer.input_scales.data, column)) : 1.0f;
  return float_to_f16(before + residual / scale);
}

/// Appends row `o`: its outliers so far, [begin, end), merged with `more`.
void merge_row(const PackedView& layer, std::int64_t o, std::uint32_t begin, std::uint32_t end,
               std::span<const Residual> more, Overlay& merged) {
  auto next = more.begin();
  while (begin < end || next != more.end()) {
    const std::int64_t old = begin < end ? load_u16(layer.outlier_columns.data, begin) : layer.in;
    const std::int64_t added = next != more.end() ? next->index - o * layer.in : layer.in;
    const std::int64_t column = std::min(old, added);
    merged.columns.push_back(static_cast<std::uint16_t>(column));
    const std::uint16_t bits =
        old == column ? load_u16(layer.outlier_values.data, begin) : std::uint16_t{0};
    merged.values.push_back(added == column ? stored(layer, column, next->value, f16_to_float(bits))
                                            : bits);
    if (old == column) ++begin;
    if (added == column) ++next;
  }
}

void check(const std::string& name, const PackedView& layer, std::span<const Residual> residuals) {
  const auto descends = [](const Residual& a, const Residual& b) { return a.index >= b.index; };
  if (std::ranges::adjacent_find(residuals, descends) != residuals.end() ||
      (!residuals.empty() &&
       (residuals.front().index < 0 || residuals.back().index >= layer.out * layer.in)))
    fail("add residuals to " + name, "indices out of order or range", "ascending ones");
}

}  // namespace

std::vector<OwnedTensor> add_residuals(const std::string& name, const PackedView& layer,
                                       std::span<const Residual> residuals) {
  check(name, layer, residuals);
  PackedMatrix matrix;
  matrix.layout = layer.layout;
  matrix.out = layer.out;
  matrix.in = layer.in;
  const std::vector<std::uint32_t> offsets = outlier_offsets(layer);
  matrix.overlay.offsets.push_back(0);
  auto next = residuals.begin();
  for (std::int64_t o = 0; o < layer.out; ++o) {
    const auto end = std::find_if(next, residuals.end(), [&](const Residual& residual) {
      return residual.index >= (o + 1) * layer.in;
    });
    merge_row(layer, o, offsets.empty() ? 0 : offsets[o], offsets.empty() ? 0 : offsets[o + 1],
              {next, end}, matrix.overlay);
    matrix.overlay.offsets.push_back(static_cast<std::uint32_t>(matrix.overlay.columns.size()));
    next = end;
  }
  std::vector<OwnedTensor> parts;
  pack_overlay(name, matrix, parts);
  return parts;
}

}  // namespace karat
