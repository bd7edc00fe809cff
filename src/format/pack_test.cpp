#include <doctest/doctest.h>

#include "format/examples.h"
#include "karat/error.h"

using namespace karat;

TEST_CASE("pack refuses values that do not fit, naming the tensor") {
  const auto refused = [](PackedMatrix m, auto change, const char* tensor) {
    REQUIRE(pack("m", m).size() >= 2);
    change(m);
    CHECK_THROWS_WITH_AS(pack("m", m), doctest::Contains(tensor), Error);
  };
  const PackedMatrix plain = plain_example(), two = bilevel_example();
  const PackedMatrix nf4 = nf4_example(), lut = lut_example(), trellis = trellis_example();
  refused(
      plain, [](PackedMatrix& m) { m.codes[3] = 8; }, "m.codes");
  refused(
      plain, [](PackedMatrix& m) { m.codes.pop_back(); }, "m.codes");
  refused(
      plain, [](PackedMatrix& m) { m.scales[0] = 0x7c00; }, "m.scales");
  refused(
      plain, [](PackedMatrix& m) { m.zeros.clear(); }, "m.zeros");
  refused(
      two, [](PackedMatrix& m) { m.scale_codes[2] = 8; }, "m.scale_codes");
  refused(
      two, [](PackedMatrix& m) { m.zero_stats[1] = 0x7e01; }, "m.zero_stats");
  refused(
      plain, [](PackedMatrix& m) { m.overlay.values[0] = 0x7e00; }, "outlier");
  refused(
      plain, [](PackedMatrix& m) { m.overlay.columns[0] = 9; }, "outliers of m");
  refused(
      plain, [](PackedMatrix& m) { m.overlay.columns[2] = 0; }, "outliers of m");
  refused(
      plain, [](PackedMatrix& m) { m.overlay.offsets[1] = 9; }, "outliers of m");
  refused(
      plain, [](PackedMatrix& m) { m.layout.bits = 7; }, "packed layer m");
  refused(
      plain, [](PackedMatrix& m) { m.layout.group = -1; }, "packed layer m");
  refused(
      plain,
      [](PackedMatrix& m) {
        m.layout.variant = "blocks";
        m.layout.group = 4;
      },
      "packed layer m");
  refused(
      plain, [](PackedMatrix& m) { m.in = 1ll << 40; }, "packed layer m");
  refused(
      nf4, [](PackedMatrix& m) { m.codes[3] = 16; }, "m.codes");
  refused(
      nf4, [](PackedMatrix& m) { m.layout.format = "fp4"; }, "m.codes");  // has a 15
  refused(
      nf4, [](PackedMatrix& m) { m.layout.format = "lut"; }, "m.tables");
  refused(
      nf4, [](PackedMatrix& m) { m.layout.bits = 3; }, "packed layer m");
  refused(
      nf4, [](PackedMatrix& m) { m.layout.variant = "bilevel"; }, "packed layer m");
  refused(
      nf4, [](PackedMatrix& m) { m.layout.format = "nf5"; }, "packed layer m");
  refused(
      lut, [](PackedMatrix& m) { m.tables.pop_back(); }, "m.tables");
  refused(
      lut, [](PackedMatrix& m) { m.tables[7] = 0xfc00; }, "m.tables");
  refused(
      lut, [](PackedMatrix& m) { m.layout.bits = 8; }, "packed layer m");
  refused(
      lut, [](PackedMatrix& m) { m.layout.symmetric = true; }, "packed layer m");
  refused(
      lut, [](PackedMatrix& m) { m.layout.variant = "bilevel"; }, "packed layer m");
  refused(
      trellis, [](PackedMatrix& m) { m.codes[17] = 4; }, "m.codes");
  refused(
      trellis, [](PackedMatrix& m) { m.codes.pop_back(); }, "m.codes");
  refused(
      trellis, [](PackedMatrix& m) { m.scales = {0x7c00}; }, "m.scales");
  refused(
      trellis, [](PackedMatrix& m) { m.scales.push_back(0); }, "m.scales");
  refused(
      trellis, [](PackedMatrix& m) { m.layout.group = 16; }, "packed layer m");
  refused(
      trellis, [](PackedMatrix& m) { m.layout.bits = 8; }, "packed layer m");
  refused(
      trellis, [](PackedMatrix& m) { m.layout.symmetric = true; }, "packed layer m");
  refused(
      trellis, [](PackedMatrix& m) { m.layout.variant = "2mad"; }, "packed layer m");
  refused(
      plain, [](PackedMatrix& m) { m.layout.rotation = 1u << 31; }, "packed layer m");
  refused(
      plain,
      [](PackedMatrix& m) {
        m = empty_matrix({.bits = 2, .group = 0, .symmetric = true, .rotation = 1}, 1, 2 * 4097);
      },
      "an odd factor");
}
