// Random packed matrices for tests and benchmarks: every code, statistic and column is drawn.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/rng.h"
#include "format/codec/uniform/blocks.h"
#include "format/parts.h"
#include "format/shared/code_parts.h"
#include "karat/packed.h"

namespace karat {

/// Every layout of one group size that docs/format.md allows.
inline std::vector<PackedLayout> all_layouts(std::int64_t group) {
  std::vector<PackedLayout> layouts;
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const bool symmetric : {false, true})
      for (const char* variant : {"", "bilevel"})
        layouts.push_back(
            {.variant = variant, .bits = bits, .group = group, .symmetric = symmetric});
  for (const bool symmetric : {false, true})
    for (const int bits : {3, 5, 6})
      for (const std::string_view variant : {kBlocks, kBilevelBlocks}) {
        const PackedLayout layout{
            .variant = std::string(variant), .bits = bits, .group = group, .symmetric = symmetric};
        if (may_have_blocks(layout)) layouts.push_back(layout);
      }
  for (const Codec* codec : all_codecs())
    for (const bool symmetric : {false, true})
      if (!codec->values.empty())
        layouts.push_back(
            {.format = std::string(codec->name), .group = group, .symmetric = symmetric});
  for (const int bits : {2, 3, 4})
    layouts.push_back({.format = "lut", .bits = bits, .group = group});
  for (const char* format : {"uniform", "nf4", "lut"})
    layouts.push_back({.format = format, .group = group, .input_scales = true});
  for (const int bits : {2, 3, 4, 5})
    for (const char* code : {"1mad", "3inst", "1mad12"})
      layouts.push_back({.format = "trellis",
                         .variant = code,
                         .bits = bits,
                         .group = 0,
                         .input_scales = bits == 3});
  for (const int bits : {2, 3, 4, 5})
    layouts.push_back(
        {.format = "column-trellis", .bits = bits, .group = 0, .input_scales = bits == 4});
  for (const int bits : {2, 3, 4, 5, 6, 8})
    layouts.push_back({.format = "midrise", .bits = bits, .group = 0});
  return layouts;
}

/// Some layouts with a rotation.
inline std::vector<PackedLayout> rotated_layouts(std::int64_t group) {
  const PackedLayout uniform{
      .variant = group % kCodeBlock == 0 ? "blocks" : "", .bits = 3, .group = group, .rotation = 0};
  const PackedLayout scaled{.group = group, .input_scales = true, .rotation = 0x7fffffff};
  const PackedLayout lut{.format = "lut", .bits = 3, .group = group, .rotation = 5};
  const PackedLayout trellis{
      .format = "trellis", .variant = "1mad", .bits = 2, .group = 0, .rotation = 1};
  const PackedLayout column{.format = "column-trellis", .bits = 4, .group = 0, .rotation = 2};
  return {uniform, scaled, lut, trellis, column};
}

/// n codes below `limit`, at most 256.
inline std::vector<std::uint8_t> random_codes(Rng& rng, std::int64_t n, int limit) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(n));
  for (auto& code : codes) code = static_cast<std::uint8_t>((rng.next() >> 32) * limit >> 32);
  return codes;
}

inline std::vector<std::uint16_t> random_halves(Rng& rng, std::int64_t n, float low, float high) {
  std::vector<std::uint16_t> halves(static_cast<std::size_t>(n));
  for (auto& half : halves)
    half = float_to_f16(low + (high - low) * static_cast<float>(rng.uniform()));
  return halves;
}

/// `count` of out·in positions, each set equally likely (Knuth 3.4.2, algorithm S).
inline Overlay random_overlay(Rng& rng, std::int64_t out, std::int64_t in, std::int64_t count) {
  Overlay overlay;
  overlay.offsets.push_back(0);
  for (std::int64_t i = 0; i < out * in; ++i) {
    if (static_cast<double>(out * in - i) * rng.uniform() < static_cast<double>(count)) {
      --count;
      overlay.columns.push_back(static_cast<std::uint16_t>(i % in));
    }
    if (i % in == in - 1)
      overlay.offsets.push_back(static_cast<std::uint32_t>(overlay.columns.size()));
  }
  overlay.values = random_halves(rng, static_cast<std::int64_t>(overlay.columns.size()), -1, 1);
  return overlay;
}

inline PackedMatrix empty_matrix(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  PackedMatrix m;
  m.layout = layout;
  m.out = out;
  m.in = in;
  return m;
}

/// Statistics for weights of the order of 0.1.
inline void random_statistics(Rng& rng, PackedMatrix& m) {
  const PackedLayout& layout = m.layout;
  const std::int64_t cells = m.out * layout.groups(m.in);
  const std::int64_t stats = row_blocks(m.out) * layout.groups(m.in) * 2;
  const std::span<const float> values = find_codec("m", layout.format).values;
  const float top = values.empty() ? static_cast<float>(1 << layout.bits) : values.back();
  if (layout.format == "trellis" || layout.format == "column-trellis") {
    m.scales = random_halves(rng, cells, 0.01f, 0.06f);
  } else if (layout.format == "midrise") {
    for (std::int64_t row = 0; row < m.out; ++row)
      m.row_scales.push_back(static_cast<float>(0.05 + 0.15 * rng.uniform()) / top);
  } else if (layout.format == "lut") {
    m.tables = random_halves(rng, cells << layout.bits, -0.2f, 0.2f);
  } else if (is_bilevel(layout)) {
    m.scale_codes = random_codes(rng, cells, 1 << kBilevelBits);
    m.scale_stats = random_halves(rng, stats, 0.05f / top, 0.2f / top);
    if (!layout.symmetric) m.zero_codes = random_codes(rng, cells, 1 << kBilevelBits);
    if (!layout.symmetric) m.zero_stats = random_halves(rng, stats, 0.1f, 1.0f);
  } else {
    m.scales = random_halves(rng, cells, 0.05f / top, 0.2f / top);
    if (!layout.symmetric) m.zeros = random_halves(rng, cells, values.empty() ? 0 : -top, top);
  }
}

/// Weights of the order of 0.1; floor(share · out · in) outliers of the order of 1.
inline PackedMatrix random_matrix(Rng& rng, const PackedLayout& layout, std::int64_t out,
                                  std::int64_t in, double share) {
  PackedMatrix m = empty_matrix(layout, out, in);
  m.codes = random_codes(rng, out * in, code_limit(layout));
  random_statistics(rng, m);
  if (layout.input_scales) m.input_scales = random_halves(rng, in, 0.5f, 2);
  const auto count = static_cast<std::int64_t>(share * static_cast<double>(out * in));
  if (count > 0) m.overlay = random_overlay(rng, out, in, count);
  return m;
}

/// The tensors of a packed layer "m" and the view onto them.
struct PackedTensors {
  std::vector<OwnedTensor> tensors;
  std::vector<TensorView> views;
  PackedView view;
};

inline const TensorView* find_view(const std::vector<TensorView>& views, std::string_view name) {
  for (const TensorView& view : views)
    if (view.name == name) return &view;
  return nullptr;
}

inline PackedTensors pack_and_view(const PackedMatrix& m) {
  PackedTensors packed{pack("m", m), {}, {}};
  for (const OwnedTensor& tensor : packed.tensors) packed.views.push_back(tensor.view());
  packed.view = packed_view("m", m.layout, m.out, m.in,
                            [&](std::string_view name) { return find_view(packed.views, name); });
  return packed;
}

}  // namespace karat
