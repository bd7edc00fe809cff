// Random packed matrices for tests and benchmarks: every code, statistic and column is drawn.
#pragma once

#include <string>
#include <vector>

#include "core/rng.h"
#include "karat/packed.h"

namespace karat {

inline std::vector<std::uint8_t> random_codes(Rng& rng, std::int64_t n, int bits) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(n));
  for (auto& code : codes) code = static_cast<std::uint8_t>(rng.next() >> (64 - bits));
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

inline UniformMatrix empty_matrix(const UniformLayout& layout, std::int64_t out, std::int64_t in) {
  UniformMatrix m;
  m.layout = layout;
  m.out = out;
  m.in = in;
  return m;
}

/// Weights of the order of 0.1; floor(share · out · in) outliers of the order of 1.
inline UniformMatrix random_matrix(Rng& rng, const UniformLayout& layout, std::int64_t out,
                                   std::int64_t in, double share) {
  const std::int64_t cells = out * layout.groups(in);
  const std::int64_t stats = (out + kBilevelRows - 1) / kBilevelRows * layout.groups(in) * 2;
  const float top = static_cast<float>(1 << layout.bits);
  UniformMatrix m = empty_matrix(layout, out, in);
  m.codes = random_codes(rng, out * in, layout.bits);
  if (layout.bilevel) {
    m.scale_codes = random_codes(rng, cells, kBilevelBits);
    m.scale_stats = random_halves(rng, stats, 0.01f, 0.2f / top);
    if (!layout.symmetric) m.zero_codes = random_codes(rng, cells, kBilevelBits);
    if (!layout.symmetric) m.zero_stats = random_halves(rng, stats, 0.1f, 1.0f);
  } else {
    m.scales = random_halves(rng, cells, 0.01f, 0.2f / top);
    if (!layout.symmetric) m.zeros = random_halves(rng, cells, 0, top);
  }
  const auto count = static_cast<std::int64_t>(share * static_cast<double>(out * in));
  if (count > 0) m.overlay = random_overlay(rng, out, in, count);
  return m;
}

/// The tensors of a packed layer "m" and the view onto them.
struct PackedMatrix {
  std::vector<OwnedTensor> tensors;
  std::vector<TensorView> views;
  PackedView view;
};

inline const TensorView* find_view(const std::vector<TensorView>& views, std::string_view name) {
  for (const TensorView& view : views)
    if (view.name == name) return &view;
  return nullptr;
}

inline PackedMatrix pack_and_view(const UniformMatrix& m) {
  PackedMatrix packed{pack("m", m), {}, {}};
  for (const OwnedTensor& tensor : packed.tensors) packed.views.push_back(tensor.view());
  packed.view = packed_view("m", m.layout, m.out, m.in,
                            [&](std::string_view name) { return find_view(packed.views, name); });
  return packed;
}

}  // namespace karat
