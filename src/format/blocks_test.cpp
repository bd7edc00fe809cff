// The order of codes in blocks, written byte by byte as docs/format.md shows it.
#include <doctest/doctest.h>

#include "format/codec/uniform/blocks.h"
#include "format/random_matrix.h"
#include "karat/error.h"

using namespace karat;

namespace {

void add_block(const std::uint8_t* c, int bits, const auto& add) {
  const auto high = [c](int i) { return c[i] / 16; };
  if (bits == 3) {
    for (int t = 0; t < 32; ++t) add(c[2 * t] + 8 * c[2 * t + 1] + 64 * (c[64 + 2 * t] % 4));
    for (int u = 0; u < 16; ++u)
      add(c[65 + 2 * u] + 8 * (c[64 + 2 * u] / 4) + 16 * c[97 + 2 * u] + 128 * (c[96 + 2 * u] / 4));
    return;
  }
  for (int t = 0; t < 64; ++t) add(c[2 * t] % 16 + 16 * (c[2 * t + 1] % 16));
  const auto four = [&](int i, int step) {
    return high(i) + step * (high(i + 1) + step * (high(i + 64) + step * high(i + 65)));
  };
  for (int u = 0; u < 32 && bits == 6; ++u) add(four(2 * u, 4));
  for (int v = 0; v < 16 && bits == 5; ++v) add(four(2 * v, 2) + 16 * four(2 * v + 32, 2));
}

std::vector<std::byte> row_by_bytes(const std::uint8_t* c, std::int64_t in, int bits) {
  std::vector<std::byte> row;
  const auto add = [&](int byte) { row.push_back(static_cast<std::byte>(byte)); };
  for (; in >= 128; in -= 128, c += 128) add_block(c, bits, add);
  for (std::int64_t bit = 0; bit < bits * in; ++bit) {
    if (bit % 8 == 0) add(0);
    row.back() |= static_cast<std::byte>((c[bit / bits] >> bit % bits & 1) << bit % 8);
  }
  return row;
}

}  // namespace

TEST_CASE("codes in blocks lie as docs/format.md shows, and are read from there") {
  Rng rng(41);
  for (const int bits : {3, 5, 6})
    for (const std::int64_t in : {1, 127, 128, 129, 200, 254, 255, 256, 1088}) {
      const PackedLayout layout{.variant = "blocks", .bits = bits, .group = 0};
      const PackedMatrix m = random_matrix(rng, layout, 3, in, 0);
      const OwnedTensor codes = pack("m", m).at(0);
      for (std::int64_t o = 0; o < 3; ++o) {
        const std::vector<std::byte> expected = row_by_bytes(m.codes.data() + o * in, in, bits);
        const auto stride = static_cast<std::int64_t>(expected.size());
        REQUIRE(codes.shape == std::vector<std::int64_t>{3, stride});
        const std::byte* row = codes.data.data() + o * stride;
        CHECK(std::vector<std::byte>(row, row + stride) == expected);
        for (std::int64_t i = 0; i < in; ++i)
          CHECK(read_block_code(row, in, i, bits) == m.codes[static_cast<std::size_t>(o * in + i)]);
      }
    }
}

TEST_CASE("blocks and streams take as many bits and mean the same") {
  Rng rng(42);
  for (const int bits : {3, 5, 6})
    for (const std::int64_t group : {0, 8, 24, 128, 256})
      for (const std::int64_t in : {100, 128, 700}) {
        PackedMatrix m =
            random_matrix(rng, {.variant = "blocks", .bits = bits, .group = group}, 20, in, 0.02);
        const PackedTensors blocks = pack_and_view(m);
        m.layout.variant.clear();
        const PackedTensors streams = pack_and_view(m);
        CHECK(blocks.view.stored_bits() == streams.view.stored_bits());
        CHECK(unpack(blocks.view) == unpack(streams.view));
        CHECK((in < 128) == (blocks.tensors[0].data == streams.tensors[0].data));
      }
}

TEST_CASE("blocks are refused where no 8-bit kernel would read them") {
  for (const std::int64_t group : {8, 64, 192, 1024})
    for (const char* variant : {"blocks", "bilevel blocks"})
      CHECK_NOTHROW(check_layout("m", {.variant = variant, .bits = 3, .group = group}));
  for (const PackedLayout& layout :
       {PackedLayout{.variant = "blocks", .bits = 4, .group = 128},
        PackedLayout{.variant = "blocks", .bits = 8, .group = 128},
        PackedLayout{.variant = "bilevel blocks", .bits = 4, .group = 16},
        PackedLayout{.variant = "blocks", .bits = 3, .group = 4},
        PackedLayout{.variant = "blocks", .bits = 6, .group = 20},
        PackedLayout{.format = "nf4", .variant = "blocks", .bits = 4},
        PackedLayout{.format = "lut", .variant = "blocks", .bits = 3, .group = 0},
        PackedLayout{.format = "trellis", .variant = "blocks", .bits = 3, .group = 0}}) {
    CHECK_THROWS_WITH_AS(check_layout("m", layout), doctest::Contains("blocks"), Error);
    CHECK_FALSE(may_have_blocks(layout));
  }
  CHECK(with_blocks({.variant = "bilevel", .bits = 3, .group = 16}).variant == "bilevel blocks");
  CHECK(with_blocks({.bits = 3, .group = 4}).variant.empty());
}
