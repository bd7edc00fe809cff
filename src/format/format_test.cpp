// The packed format: golden bytes of docs/format.md, exact round trips, counted bits.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <tuple>

#include "core/file.h"
#include "core/rotation.h"
#include "format/codec/column-trellis/code.h"
#include "format/codec/trellis/stream.h"
#include "format/codec/uniform/blocks.h"
#include "format/examples.h"
#include "format/random_matrix.h"
#include "format/rows.h"
#include "karat/error.h"

using namespace karat;

namespace {

std::string golden_line(const OwnedTensor& tensor) {
  std::string line =
      fmt::format("{} {} {}:", tensor.name, name_of(tensor.dtype), shape_text(tensor.shape));
  for (const std::byte byte : tensor.data)
    line += fmt::format(" {:02x}", std::to_integer<int>(byte));
  return line + "\n";
}

void check_equal(const std::vector<float>& got, const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK_MESSAGE(got[i] == expected[i], "element ", i);
}

void check_near(const std::vector<float>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK_MESSAGE(std::abs(got[i] - expected[i]) < 1e-6, "element ", i);
}

/// The value of a state, in the words of the QTIP paper.
std::span<const float> values_of(const std::string& format) {
  return find_codec("test", format).values;
}

float trellis_definition(TrellisCode code, std::uint32_t state) {
  if (code == TrellisCode::one_mad_12)
    return trellis_definition(TrellisCode::one_mad, state % 4096);
  if (code == TrellisCode::one_mad) {
    const std::uint32_t x = state * 34038481u + 76625530u;
    int sum = -510;
    for (const int shift : {0, 8, 16, 24}) sum += static_cast<int>(x >> shift & 255);
    return static_cast<float>(sum) / 147.8005f;
  }
  const std::uint32_t x = state * 89226354u + 64248484u;
  const std::uint32_t both = (x & 0b10001111111111111000111111111111u) ^ 0x3b603b60u;
  return f16_to_float(both & 0xffff) + f16_to_float(both >> 16);
}
/// ŵ of a trellis, bit by bit of its tile's stream.
float trellis_definition(const PackedMatrix& m, std::int64_t o, std::int64_t i) {
  const std::int64_t row = o / 16 * 16, column = i / 16 * 16;
  const std::int64_t rows = std::min<std::int64_t>(16, m.out - row);
  const std::int64_t columns = std::min<std::int64_t>(16, m.in - column);
  std::vector<bool> stream;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      for (int bit = 0; bit < m.layout.bits; ++bit)
        stream.push_back(m.codes[(row + r) * m.in + column + c] >> bit & 1);
  const std::size_t first = ((o - row) * columns + i - column) * m.layout.bits;
  std::uint32_t state = 0;
  for (std::size_t bit = 0; bit < 16; ++bit)
    state |= static_cast<std::uint32_t>(stream[(first + bit) % stream.size()]) << bit;
  return f16_to_float(m.scales[o]) *
         trellis_definition(*find_trellis_code(m.layout.variant), state);
}

/// ŵ of a column trellis, bit by bit of its column's codes.
float column_definition(const PackedMatrix& m, std::int64_t o, std::int64_t i) {
  const ColumnCode& code = column_code(m.layout.bits);
  int sum = -code.zero;
  for (int t = 0; t < ColumnCode::kTables; ++t) {
    unsigned index = 0;
    for (int r = 0; r < code.rows; ++r) {
      const std::int64_t first = o / 256 * 256, rows = std::min<std::int64_t>(256, m.out - first);
      const unsigned c = m.codes[(first + (o - first + 8 * rows - r) % rows) * m.in + i];
      for (int bit = 0; bit < 8; ++bit)
        if (code.factor[t][r] >> bit & 1) index ^= c << bit;
    }
    sum += code.table[t][index >> code.shift[t] & 15];
  }
  return f16_to_float(m.scales[o]) * code.step * static_cast<float>(sum);
}

/// ŵ of one element by the definition, without its outlier, from the plain arrays.
float dense_definition(const PackedMatrix& m, std::int64_t o, std::int64_t i) {
  if (m.layout.format == "trellis") return trellis_definition(m, o, i);
  if (m.layout.format == "column-trellis") return column_definition(m, o, i);
  const std::int64_t groups = m.layout.groups(m.in), g = i / m.layout.group_size(m.in);
  const int code = m.codes[o * m.in + i];
  if (m.layout.format == "midrise")
    return m.row_scales[o] *
           (static_cast<float>(code) - static_cast<float>((1 << m.layout.bits) - 1) / 2);
  if (m.layout.format == "lut")
    return f16_to_float(m.tables[((o * groups + g) << m.layout.bits) + code]);
  const bool uniform = m.layout.format == "uniform";
  const float value = uniform ? static_cast<float>(code) : values_of(m.layout.format)[code];
  float scale, zero = uniform ? static_cast<float>(1 << (m.layout.bits - 1)) : 0;
  if (is_bilevel(m.layout)) {
    const auto value = [&](const auto& codes, const auto& stats) {
      const std::size_t cell = static_cast<std::size_t>(2 * (o / 16 * groups + g));
      return f16_to_float(stats[cell]) * (codes[o * groups + g] - f16_to_float(stats[cell + 1]));
    };
    scale = value(m.scale_codes, m.scale_stats);
    if (!m.layout.symmetric) zero = value(m.zero_codes, m.zero_stats);
  } else {
    scale = f16_to_float(m.scales[o * groups + g]);
    if (!m.layout.symmetric) zero = f16_to_float(m.zeros[o * groups + g]);
  }
  return scale * (value - zero);
}
/// Of the weight w without its outlier: with it, and in the basis of x.
float with_overlay(const PackedMatrix& m, std::int64_t o, std::int64_t i, float w) {
  if (!m.overlay.offsets.empty())
    for (auto k = m.overlay.offsets[o]; k < m.overlay.offsets[o + 1]; ++k)
      if (m.overlay.columns[k] == i) w += f16_to_float(m.overlay.values[k]);
  return m.layout.input_scales ? w * f16_to_float(m.input_scales[i]) : w;
}
float definition(const PackedMatrix& m, std::int64_t o, std::int64_t i) {
  return with_overlay(m, o, i, dense_definition(m, o, i));
}

}  // namespace

TEST_CASE("golden bytes: what pack writes is what docs/format.md shows") {
  const std::string document = read_text(std::string(KARAT_SOURCE_DIR) + "/docs/format.md");
  std::size_t lines = 0;
  for (const auto& tensors :
       {pack("plain", plain_example()), pack("two", bilevel_example()), pack("nf4", nf4_example()),
        pack("lut", lut_example()), pack("trellis", trellis_example()),
        pack("rotated", rotated_example()), pack("blocks", blocks_example()),
        pack("five", wide_example(5)), pack("six", wide_example(6)),
        pack("columns", column_trellis_example()), pack("columns5", five_bits_example()),
        pack("midrise", midrise_example())})
    for (const OwnedTensor& tensor : tensors) {
      const std::string line = golden_line(tensor);
      CHECK_MESSAGE(document.find(line) != std::string::npos, "not in docs/format.md: ", line);
      ++lines;
    }
  CHECK(lines == 35);
}

TEST_CASE("golden values: the examples unpack to the numbers of docs/format.md") {
  check_equal(unpack(pack_and_view(plain_example()).view),
              {-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 1,  //
               3, 2.5, 1.5, 0.5, -0.5, -1.5, -2.5, -3.25, 14});
  check_equal(unpack(pack_and_view(bilevel_example()).view),
              {-1, 0, 1, 2, 3.125, 1.875, 0.625, -0.625, -2.25, -2.25, -0.75, -0.75});
  check_equal(unpack(pack_and_view(nf4_example()).view),
              {-1, -0.6961928f, 0, 1, 0.5f * (0.0795803f - 1),  //
               4, 2, 2 * (0.72295684f + 1), 0, 0.25f * (-0.3949175f - 0.5f)});
  check_equal(unpack(pack_and_view(lut_example()).view), {-1, -0.25, 0.5, 2, -0.5, -0.5, 5, 1});
  check_near(unpack(pack_and_view(trellis_example()).view),
             {0.04736114, -0.6732048, -0.04059526, -0.3213792, 0.2029763, -0.05412702, -0.2807839,
              -0.4600796, 0.1962104, 0.8761811, 0.01014882, -0.8626493, 0.6901195, -0.2672521,
              0.09472228, 0.09133934, -0.6427583, 1.089306});
  check_near(unpack(pack_and_view(rotated_example()).view),
             {1.293946, -2.240200, -1.035127, 1.175216, -2.001053, -1.533093,  //
              0.677251, -1.363991, 1.513420, 2.569063, 0.029856, -2.071098});
  std::vector<float> blocks;
  for (int i = 0; i < 128; ++i)
    blocks.push_back(0.5f * static_cast<float>((5 * i + i / 7) % 8 - 4));
  blocks.insert(blocks.end(), {-4, 6, 0});
  check_equal(unpack(pack_and_view(blocks_example()).view), blocks);
  const std::vector<float> five = unpack(pack_and_view(wide_example(5)).view),
                           six = unpack(pack_and_view(wide_example(6)).view);
  check_equal({five[128], five[129], six[128], six[129]}, {18, -32, -14, 0});
  for (std::size_t i = 0; i < 128; ++i)
    CHECK(six[i] == 0.5f * static_cast<float>((7 * i + i / 5) % 64) - 16);
  check_equal(unpack(pack_and_view(column_trellis_example()).view),
              {2, -0.5, -0.875, -0.3125, 0.0625, 0.75, 2.5, 2.25, -0.5, 1.25, -0.125, -0.625, -0.25,
               0.75, 0.125});
  const std::vector<float> columns5 = unpack(pack_and_view(five_bits_example()).view);
  check_equal({columns5.begin(), columns5.begin() + 3}, {-0.25, -0.625, 0.3125});
  check_equal({columns5.begin() + 128, columns5.end()}, {0.3125, 0.0625});
  check_equal(unpack(pack_and_view(midrise_example()).view), {0, -2.5, -5, 0, 0, 0, 0.25, 0});
}

TEST_CASE("sums of a column trellis are as small as 8-bit kernels take them") {
  for (const int bits : {2, 3, 4, 5}) {
    const ColumnCode& code = column_code(bits);
    CHECK(code.bits == bits);
    int least = 127, most = 0;
    for (int state = 0; state < 1 << code.rows * bits; ++state) {
      std::uint8_t codes[ColumnCode::kMostRows] = {};
      for (int r = 0; r < code.rows; ++r)
        codes[r] = static_cast<std::uint8_t>(state >> r * bits & ((1 << bits) - 1));
      const int sum = column_sum(code, codes);
      least = std::min(least, sum);
      most = std::max(most, sum);
    }
    CHECK(least < code.zero);
    CHECK(most > code.zero);
    CHECK(most < (bits == 5 ? 128 : 64));
    CHECK(static_cast<float>(most) < 8 / code.step);
  }
}

TEST_CASE("formats are found by name; lists ascending, of the length the format says") {
  for (const auto& [name, count, last] : {std::tuple{"uniform", 0, 0.0f},
                                          {"nf4", 16, 1.0f},
                                          {"fp4", 15, 12.0f},
                                          {"e2m1", 15, 6.0f},
                                          {"e2m1-daq", 15, 6.0f},
                                          {"lut", 0, 0.0f},
                                          {"trellis", 0, 0.0f},
                                          {"column-trellis", 0, 0.0f},
                                          {"midrise", 0, 0.0f}}) {
    CHECK(find_codec("test", name).name == name);
    const std::span<const float> values = values_of(name);
    REQUIRE(static_cast<int>(values.size()) == count);
    for (std::size_t i = 1; i < values.size(); ++i) CHECK(values[i - 1] < values[i]);
    if (count == 0) continue;
    CHECK(values.front() == -last);
    CHECK(values[7] == 0);
    CHECK(values.back() == last);
  }
  CHECK_THROWS_WITH_AS(find_codec("test", "NF4"), doctest::Contains("one of column-trellis, e2m1"),
                       Error);
  CHECK(find_trellis_code("1mad") == TrellisCode::one_mad);
  CHECK(find_trellis_code(name_of(TrellisCode::three_inst)) == TrellisCode::three_inst);
  CHECK_FALSE(find_trellis_code("hyb").has_value());
  CHECK(values_of("fp4")[8] == 0.0625f);
  CHECK(values_of("e2m1")[8] == 0.5f);
  CHECK(values_of("e2m1-daq")[8] == 0.0625f);
}

TEST_CASE("unpack after pack is exact, over layouts, groups and odd sizes") {
  Rng rng(1);
  for (const std::int64_t group : {0, 5, 16, 128})
    for (const PackedLayout& layout : all_layouts(group))
      for (const auto& [out, in] : {std::pair{1, 1}, {3, 17}, {16, 16}, {35, 131}, {260, 2}}) {
        const PackedMatrix m = random_matrix(rng, layout, out, in, in > 1 ? 0.05 : 0);
        std::vector<float> expected;
        for (std::int64_t o = 0; o < out; ++o)
          for (std::int64_t i = 0; i < in; ++i) expected.push_back(definition(m, o, i));
        CAPTURE(layout.format);
        CHECK(unpack(pack_and_view(m).view) == expected);
      }
}

TEST_CASE("a rotated layer unpacks to R_outᵀ Ŵ R_in, outliers and input scales in its own basis") {
  Rng rng(7);
  for (const PackedLayout& layout : rotated_layouts(16))
    for (const auto& [out, in] : {std::pair{1, 1}, {3, 17}, {35, 44}}) {
      PackedMatrix m = random_matrix(rng, layout, out, in, in > 1 ? 0.05 : 0);
      const std::vector<float> found = unpack(pack_and_view(m).view);
      const Rotation left(out, *layout.rotation, Rotation::Side::outputs);
      const Rotation right(in, *layout.rotation, Rotation::Side::inputs);
      std::vector<float> expected;
      for (int o = 0; o < out; ++o)
        for (int i = 0; i < in; ++i) expected.push_back(dense_definition(m, o, i));
      rotate_back(left, right, expected.data());
      for (int o = 0; o < out; ++o)
        for (int i = 0; i < in; ++i)
          expected[o * in + i] = with_overlay(m, o, i, expected[o * in + i]);
      CHECK(found == expected);
    }
}

TEST_CASE("code 15 of a list of 15 reads as its last value") {
  PackedMatrix m = empty_matrix({.format = "fp4", .bits = 4, .group = 0}, 1, 3);
  m.codes = {0, 14, 7};
  m.scales = {kHalf};
  m.zeros = {kOne};
  PackedTensors packed = pack_and_view(m);
  packed.tensors[0].data[0] = std::byte{0xff};
  CHECK(unpack(packed.view) == std::vector<float>{5.5f, 5.5f, -0.5f});
}

TEST_CASE("dense slot plus overlay gives the weight within FP16 rounding of the residual") {
  Rng rng(2);
  const std::int64_t out = 32, in = 96;
  PackedMatrix m = random_matrix(rng, {.bits = 3, .group = 32}, out, in, 0);
  std::vector<float> weights;
  m.overlay.offsets.push_back(0);
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t i = 0; i < in; ++i) {
      weights.push_back(static_cast<float>(rng.uniform() * 4 - 2));
      if (rng.below(20) != 0) continue;
      m.overlay.columns.push_back(static_cast<std::uint16_t>(i));
      PackedMatrix bare = m;
      bare.overlay = {};
      m.overlay.values.push_back(float_to_f16(weights.back() - definition(bare, o, i)));
    }
    m.overlay.offsets.push_back(static_cast<std::uint32_t>(m.overlay.columns.size()));
  }
  const std::vector<float> got = unpack(pack_and_view(m).view);
  for (std::int64_t o = 0; o < out; ++o)
    for (auto k = m.overlay.offsets[o]; k < m.overlay.offsets[o + 1]; ++k) {
      const std::int64_t at = o * in + m.overlay.columns[k];
      const float residual = std::fabs(f16_to_float(m.overlay.values[k]));
      const float half_step = std::max(residual * 0x1p-11f, 0x1p-25f);
      const float sums = 0x1p-23f * (std::fabs(weights[at]) + residual);  // two float additions
      CHECK(std::fabs(got[at] - weights[at]) <= half_step + sums);
    }
}

TEST_CASE("bits per weight: 3-bit bilevel g16 with 1 % outliers is 3.945 within 0.005") {
  Rng rng(3);
  const PackedLayout layout{.variant = "bilevel", .bits = 3, .group = 16};
  for (const auto& [out, in] : {std::pair{2048, 2048}, {4096, 4096}, {8192, 2048}, {2048, 8192}}) {
    const PackedTensors packed = pack_and_view(random_matrix(rng, layout, out, in, 0.01));
    const double weights = static_cast<double>(out) * in;
    CHECK(packed.view.outliers() == static_cast<std::int64_t>(std::floor(0.01 * weights)));
    const double bits = static_cast<double>(packed.view.stored_bits()) / weights;
    MESSAGE(out, " x ", in, ": ", bits, " bits per weight");
    CHECK(std::fabs(bits - 3.945) < 0.005);
    std::size_t bytes = 0;  // counted again, from what would be written
    for (const OwnedTensor& tensor : packed.tensors) bytes += tensor.data.size();
    CHECK(static_cast<std::size_t>(packed.view.stored_bits()) == 8 * bytes);
  }
}

TEST_CASE("bits per weight of the other grids: 4-bit lists at g128, 3-bit tables per row") {
  Rng rng(5);
  for (const auto& [layout, expected] :
       {std::pair{PackedLayout{.format = "nf4", .group = 128}, 4.25},
        {PackedLayout{.format = "e2m1", .group = 128, .symmetric = true}, 4.125},
        {PackedLayout{.format = "lut", .bits = 3, .group = 0}, 3.125},
        {PackedLayout{.format = "column-trellis", .bits = 5, .group = 0}, 5 + 16.0 / 1024},
        {PackedLayout{.format = "trellis", .variant = "1mad", .bits = 2, .group = 0, .rotation = 1},
         2 + 16.0 / 1024}}) {
    const PackedTensors packed = pack_and_view(random_matrix(rng, layout, 64, 1024, 0));
    CHECK(static_cast<double>(packed.view.stored_bits()) == expected * 64 * 1024);
  }
}

TEST_CASE("outlier counts take two bytes only where a row has more than 255") {
  for (const int in : {255, 256}) {
    PackedMatrix m = empty_matrix({.bits = 2, .group = 0, .symmetric = true}, 1, in);
    m.codes.assign(in, 1);
    m.scales = {kOne};
    m.overlay.offsets = {0, static_cast<std::uint32_t>(in)};
    for (int i = 0; i < in; ++i) m.overlay.columns.push_back(static_cast<std::uint16_t>(i));
    m.overlay.values.assign(in, kHalf);
    const PackedTensors packed = pack_and_view(m);
    CHECK(packed.view.outlier_counts.dtype == (in == 256 ? DType::u16 : DType::u8));
    CHECK(unpack(packed.view) == std::vector<float>(in, -0.5f));
  }
}
