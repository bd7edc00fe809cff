#include "format/overlay.h"

#include <doctest/doctest.h>

#include <cmath>

#include "format/random_matrix.h"
#include "karat/error.h"

using namespace karat;

namespace {

/// `packed` with its overlay replaced.
PackedTensors replaced(const PackedTensors& packed, std::vector<OwnedTensor> overlay) {
  PackedTensors result;
  for (const OwnedTensor& tensor : packed.tensors)
    if (!tensor.name.starts_with("m.outlier_")) result.tensors.push_back(tensor);
  for (OwnedTensor& tensor : overlay) result.tensors.push_back(std::move(tensor));
  for (const OwnedTensor& tensor : result.tensors) result.views.push_back(tensor.view());
  const PackedView& view = packed.view;
  result.view = packed_view("m", view.layout, view.out, view.in,
                            [&](std::string_view name) { return find_view(result.views, name); });
  return result;
}

/// Every weight where `draw` says so gets a new value; the others must not move a bit.
void check(Rng& rng, const PackedLayout& layout, double share_before, double share_added) {
  const std::int64_t out = 20, in = 44;
  const PackedTensors packed = pack_and_view(random_matrix(rng, layout, out, in, share_before));
  const std::vector<float> before = unpack(packed.view);
  std::vector<float> wanted = before;
  std::vector<Residual> added;
  for (std::int64_t i = 0; i < out * in; ++i) {
    if (rng.uniform() >= share_added) continue;
    wanted[i] += static_cast<float>(rng.uniform() - 0.5);
    added.push_back({i, wanted[i] - before[i]});
  }
  const PackedTensors after = replaced(packed, add_residuals("m", packed.view, added));
  const std::vector<float> found = unpack(after.view);
  auto next = added.begin();
  for (std::int64_t i = 0; i < out * in; ++i) {
    if (next == added.end() || next->index != i) {
      CHECK(found[i] == before[i]);
      continue;
    }
    CHECK(std::abs(found[i] - wanted[i]) < 4e-3);  // outliers of the order of 1, scales up to 2
    ++next;
  }
  CHECK(after.view.outliers() >= static_cast<std::int64_t>(added.size()));
  CHECK(after.view.outliers() <= packed.view.outliers() + static_cast<std::int64_t>(added.size()));
}

}  // namespace

TEST_CASE("a residual makes a weight what it was; no other weight moves") {
  Rng rng(11);
  std::vector<PackedLayout> layouts = rotated_layouts(16);
  for (const PackedLayout& layout : all_layouts(16)) layouts.push_back(layout);
  for (const PackedLayout& layout : layouts)
    for (const double before : {0.0, 0.1})
      for (const double added : {0.0, 0.01, 0.3}) check(rng, layout, before, added);
}

TEST_CASE("residuals in numbers: merged, summed, divided by the input scale") {
  PackedMatrix m =
      empty_matrix({.bits = 2, .group = 0, .symmetric = true, .input_scales = true}, 2, 3);
  m.codes = {2, 2, 2, 2, 2, 2};
  m.scales = {0x3c00, 0x3c00};
  m.input_scales = {0x3c00, 0x4000, 0x3800};  // 1, 2, ½
  m.overlay = {{0, 1, 1}, {1}, {0x3c00}};     // 1 at (0, 1), which is 2 with its scale
  const PackedTensors packed = pack_and_view(m);
  const Residual added[] = {{1, 0.5f}, {2, 0.25f}, {3, -1}};
  const PackedTensors after = replaced(packed, add_residuals("m", packed.view, added));
  CHECK(unpack(after.view) == std::vector<float>{0, 2.5f, 0.25f, -1, 0, 0});
  CHECK(after.view.outliers() == 3);
}

TEST_CASE("a layer that keeps nothing has no overlay, and nonsense is refused") {
  Rng rng(12);
  const PackedTensors packed = pack_and_view(random_matrix(rng, {.group = 8}, 4, 8, 0));
  CHECK(add_residuals("m", packed.view, {}).empty());
  const auto refused = [&](std::vector<Residual> residuals, const char* says) {
    CHECK_THROWS_WITH_AS(add_residuals("m", packed.view, residuals), doctest::Contains(says),
                         Error);
  };
  refused({{3, 1}, {3, 1}}, "ascending");
  refused({{5, 1}, {3, 1}}, "ascending");
  refused({{-1, 1}}, "range");
  refused({{32, 1}}, "range");
  refused({{0, 1e6f}}, "FP16");
}
