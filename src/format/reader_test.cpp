// Packed parts as a hostile or newer file may present them.
#include <doctest/doctest.h>

#include <cstring>

#include "format/random_matrix.h"
#include "karat/error.h"

using namespace karat;

namespace {

/// A good layer to spoil: 20 × 40, groups of 16, with an overlay.
struct Layer {
  PackedLayout layout;
  PackedTensors packed;

  explicit Layer(bool bilevel)
      : Layer(PackedLayout{.variant = bilevel ? "bilevel" : "", .bits = 3, .group = 16}) {}
  explicit Layer(const PackedLayout& wanted) : layout(wanted) {
    Rng rng(4);
    packed = pack_and_view(random_matrix(rng, layout, 20, 40, 0.05));
  }
  TensorView& view(const std::string& part) {
    for (TensorView& view : packed.views)
      if (view.name == "m." + part) return view;
    throw std::logic_error(part);
  }
  std::byte* bytes(const std::string& part) { return const_cast<std::byte*>(view(part).data); }
  void set_u16(const std::string& part, std::int64_t i, std::uint16_t value) {
    std::memcpy(bytes(part) + 2 * i, &value, 2);
  }
  PackedView read() const {
    return packed_view("m", layout, 20, 40,
                       [&](std::string_view name) { return find_view(packed.views, name); });
  }
};

/// `kind`: a layout, or whether the uniform one is bilevel.
void refused(const auto& kind, const char* message, void (*spoil)(Layer&)) {
  Layer layer(kind);
  REQUIRE(unpack(layer.read()).size() == 800);
  spoil(layer);
  CHECK_THROWS_WITH_AS(layer.read(), doctest::Contains(message), Error);
}

}  // namespace

TEST_CASE("packed_view refuses parts that are missing, misshapen or of another type") {
  refused(false, "m.codes: got nothing", [](Layer& l) { l.view("codes").name.clear(); });
  refused(false, "m.zeros: got nothing", [](Layer& l) { l.view("zeros").name.clear(); });
  refused(true, "m.scale_stats: got nothing", [](Layer& l) { l.view("scale_stats").name.clear(); });
  refused(false, "m.codes: got U8 [20, 14]", [](Layer& l) { l.view("codes").shape = {20, 14}; });
  refused(false, "m.codes: got I8", [](Layer& l) { l.view("codes").dtype = DType::i8; });
  refused(false, "m.scales: got BF16", [](Layer& l) { l.view("scales").dtype = DType::bf16; });
  refused(true, "m.zero_codes: got U8 [1, 3, 6]", [](Layer& l) {
    l.view("zero_codes").shape = {1, 3, 6};
  });
  refused(false, "m.zeros: got a part", [](Layer& l) { l.layout.symmetric = true; });
}

TEST_CASE("packed_view refuses parts that belong to another grid") {
  const PackedLayout lut{.format = "lut", .bits = 3, .group = 16};
  const PackedLayout e2m1{.format = "e2m1", .bits = 4, .group = 16};
  refused(lut, "m.tables: got nothing", [](Layer& l) { l.view("tables").name.clear(); });
  refused(lut, "m.tables: got F16 [20, 3, 4]", [](Layer& l) {
    l.view("tables").shape = {20, 3, 4};
  });
  refused(lut, "m.tables: got BF16", [](Layer& l) { l.view("tables").dtype = DType::bf16; });
  refused(lut, "m.tables: got NaN", [](Layer& l) { l.set_u16("tables", 479, 0x7c00); });
  refused(lut, "m.scales: got nothing", [](Layer& l) { l.layout.format = "uniform"; });
  refused(e2m1, "m.zeros: got a part", [](Layer& l) { l.layout.symmetric = true; });
  refused(e2m1, "m.zeros: got NaN", [](Layer& l) { l.set_u16("zeros", 59, 0x7c00); });
  refused(e2m1, "bilevel e2m1", [](Layer& l) { l.layout.variant = "bilevel"; });
  for (const char* stray : {"m.tables", "m.scales"}) {
    Layer layer(stray[2] == 't' ? e2m1 : lut);
    TensorView extra = layer.packed.views.front();
    extra.name = stray;
    layer.packed.views.push_back(extra);
    CHECK_THROWS_WITH_AS(layer.read(), doctest::Contains("a part that"), Error);
  }
}

TEST_CASE("packed_view refuses parts of a trellis that are wrong") {
  const PackedLayout trellis{
      .format = "trellis", .variant = "1mad", .bits = 3, .group = 0, .rotation = 1};
  // Bands of 16 and 4 rows: two tiles of 16 columns and one of 8 in each.
  refused(trellis, "m.codes: got U8 [20, 15], expected U8 [300]", [](Layer& l) {
    l.view("codes").shape = {20, 15};
  });
  refused(trellis, "m.codes: got U8 [299]", [](Layer& l) { l.view("codes").shape = {299}; });
  refused(trellis, "m.scales: got F16 [20], expected F16 [20, 1]",
          [](Layer& l) { l.view("scales").shape = {20}; });
  refused(trellis, "m.scales: got NaN", [](Layer& l) { l.set_u16("scales", 0, 0x7e00); });
  refused(trellis, "m.scales: got nothing", [](Layer& l) { l.view("scales").name.clear(); });
  refused(trellis, "m.codes: got U8 [300]",
          [](Layer& l) { l.layout = {.format = "lut", .bits = 3, .group = 0}; });
  refused(trellis, "m.codes: got U8 [300]", [](Layer& l) { l.layout.bits = 2; });
  refused(trellis, "groups of 16", [](Layer& l) { l.layout.group = 16; });
}

TEST_CASE("packed_view refuses parts of a column trellis that are wrong") {
  const PackedLayout column{.format = "column-trellis", .bits = 5, .group = 0};
  refused(column, "m.codes: got U8 [20, 15], expected U8 [20, 25]", [](Layer& l) {
    l.view("codes").shape = {20, 15};
  });
  refused(column, "m.scales: got F16 [20], expected F16 [20, 1]",
          [](Layer& l) { l.view("scales").shape = {20}; });
  refused(column, "m.scales: got NaN", [](Layer& l) { l.set_u16("scales", 0, 0x7e00); });
  refused(column, "m.codes: got U8 [20, 25]", [](Layer& l) { l.layout.bits = 2; });
  refused(column, "8 bits", [](Layer& l) { l.layout.bits = 8; });
  refused(column, "groups of 16", [](Layer& l) { l.layout.group = 16; });
  refused(column, "none: the format has no variants", [](Layer& l) { l.layout.variant = "1mad"; });
}

TEST_CASE("packed_view refuses statistics and outliers that are not numbers") {
  refused(false, "m.scales: got NaN", [](Layer& l) { l.set_u16("scales", 59, 0x7c00); });
  refused(false, "m.zeros: got NaN", [](Layer& l) { l.set_u16("zeros", 0, 0xfe01); });
  refused(true, "m.zero_stats: got NaN", [](Layer& l) { l.set_u16("zero_stats", 11, 0xfc00); });
  refused(false, "m.outlier_values: got NaN",
          [](Layer& l) { l.set_u16("outlier_values", 39, 0x7c00); });
}

TEST_CASE("packed_view refuses an overlay that contradicts itself") {
  refused(false, "m.outlier_counts: got nothing",
          [](Layer& l) { l.view("outlier_counts").name.clear(); });
  refused(false, "m.outlier_values: got nothing",
          [](Layer& l) { l.view("outlier_values").name.clear(); });
  refused(false, "m.outlier_columns: got nothing",
          [](Layer& l) { l.view("outlier_columns").name.clear(); });
  refused(false, "m.outlier_values: got F16 [39]",
          [](Layer& l) { l.view("outlier_values").shape = {39}; });
  refused(false, "m.outlier_counts: got counts that sum to",
          [](Layer& l) { l.bytes("outlier_counts")[19] ^= std::byte{128}; });
  refused(false, "m.outlier_columns: got column 40",
          [](Layer& l) { l.set_u16("outlier_columns", 39, 40); });
  refused(false, "m.outlier_columns: got column 0", [](Layer& l) {
    const std::string counts = "outlier_counts";  // row 0 gets all 40; then two equal columns
    std::memset(l.bytes(counts), 0, 20);
    l.bytes(counts)[0] = std::byte{40};
    l.set_u16("outlier_columns", 0, 0);
    l.set_u16("outlier_columns", 1, 0);
  });
}

TEST_CASE("the layout itself is checked before any size is computed from it") {
  Layer layer(false);
  const auto find = [&](std::string_view name) { return find_view(layer.packed.views, name); };
  const std::int64_t huge = std::int64_t{1} << 62;
  for (const auto& [out, in] : {std::pair{huge, huge}, {std::int64_t{-1}, huge}, {huge, huge / 2}})
    CHECK_THROWS_AS(packed_view("m", layer.layout, out, in, find), Error);
  CHECK_THROWS_AS(packed_view("m", {.bits = 0}, 20, 40, find), Error);
  CHECK_THROWS_AS(packed_view("m", {.bits = 3, .group = -16}, 20, 40, find), Error);
  CHECK_THROWS_AS(packed_view("m", {.bits = 3, .group = huge}, 20, 40, find), Error);
}
