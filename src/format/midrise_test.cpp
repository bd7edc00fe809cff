// The mid-rise format, and what a layout says of inputs.
#include <doctest/doctest.h>

#include <cmath>

#include "format/input_grid.h"
#include "format/random_matrix.h"
#include "karat/error.h"

using namespace karat;

namespace {

constexpr const char* kHeader =
    R"("quant_method":"karat","format":"karat-packed","method":"quest",)";

std::string folder(int version, const std::string& layout) {
  return std::string(R"({"quantization_config":{)") + kHeader + R"("format_version":)" +
         std::to_string(version) + R"(,"layouts":[{)" + layout + R"(,"layers":["a"]}]}})";
}

void refused(const std::string& text, const char* says) {
  CHECK_THROWS_WITH_AS(parse_quantization(text), doctest::Contains(says), Error);
}

}  // namespace

TEST_CASE("a folder with a mid-rise layer is of version 8, and says how inputs are rounded") {
  const PackedLayout both{.format = "midrise",
                          .bits = 4,
                          .group = 0,
                          .hadamard = 128,
                          .input_grid = "gaussian",
                          .input_bits = 3};
  const PackedLayout weights{.format = "midrise", .bits = 2, .group = 0};
  const QuantizationConfig written{"quest", {{"a", both}, {"b", weights}}};
  const std::string json = quantization_json(written);
  CHECK(json ==
        R"({"quant_method":"karat","format":"karat-packed","format_version":8,"method":"quest",)"
        R"("layouts":[{"grid":"midrise","bits":4,"hadamard":128,"input_grid":"gaussian",)"
        R"("input_bits":3,"layers":["a"]},{"grid":"midrise","bits":2,"layers":["b"]}]})");
  const auto read = parse_quantization("{\"quantization_config\":" + json + "}");
  REQUIRE(read.has_value());
  CHECK(read->layers == written.layers);
  CHECK(describe(both) == "4-bit midrise rows Hadamard 128, 3-bit gaussian inputs");
}

TEST_CASE("mid-rise layouts that are wrong, or in an older folder") {
  const std::string plain = R"("grid":"midrise","bits":4)";
  const std::string rounded = plain + R"(,"input_grid":"gaussian")";
  CHECK(parse_quantization(folder(8, plain))->layers.at("a").hadamard == 0);
  refused(folder(7, plain), "grid midrise in format version 7");
  refused(folder(8, R"("grid":"midrise","bits":7)"), "got 7 bits");
  refused(folder(8, plain + R"(,"group":0)"), "\"group\" in a layout of grid midrise");
  refused(folder(8, plain + R"(,"hadamard":96)"), "a Hadamard transform of 96");
  refused(folder(8, plain + R"(,"hadamard":true)"), "got true");
  refused(folder(8, rounded), "an input grid without bits");
  refused(folder(8, plain + R"(,"input_bits":4)"), "input bits without a grid");
  refused(folder(8, rounded + R"(,"input_bits":9)"), "inputs of 9 bits");
  refused(folder(8, plain + R"(,"input_grid":"cubic","input_bits":4)"),
          "the input grid \"cubic\", expected one of absmax, gaussian");
  refused(folder(8, R"("grid":"nf4","bits":4,"group":0,"symmetric":false,"hadamard":64)"),
          "\"hadamard\" in a layout of grid nf4");
}

TEST_CASE("parts of a mid-rise layer that are wrong") {
  Rng rng(1);
  const PackedLayout layout{.format = "midrise", .bits = 4, .group = 0, .hadamard = 8};
  PackedMatrix m = random_matrix(rng, layout, 3, 24, 0);
  m.row_scales[1] = NAN;
  CHECK_THROWS_WITH_AS(pack("m", m), doctest::Contains("m.row_scales: got nan at 1"), Error);
  m.row_scales = {1, 2};
  CHECK_THROWS_WITH_AS(pack("m", m), doctest::Contains("got 2 values, expected 3"), Error);
  CHECK_THROWS_WITH_AS(pack("m", random_matrix(rng, layout, 3, 20, 0)),
                       doctest::Contains("20 inputs in blocks of 8"), Error);
  PackedTensors good = pack_and_view(random_matrix(rng, layout, 3, 24, 0));
  const float bad = INFINITY;
  std::memcpy(good.tensors[1].data.data() + 8, &bad, sizeof bad);
  const auto find = [&](std::string_view name) { return find_view(good.views, name); };
  CHECK_THROWS_WITH_AS(packed_view("m", layout, 3, 24, find),
                       doctest::Contains("m.row_scales: got NaN"), Error);
  PackedLayout uniform{.hadamard = 8};
  CHECK_THROWS_WITH_AS(packed_view("m", uniform, 3, 24, find),
                       doctest::Contains("inputs turned or rounded in a uniform layout"), Error);
}

TEST_CASE("a mid-rise layer's weights are brought back from the Hadamard basis, entry by entry") {
  Rng rng(2);
  for (const std::int64_t block : {2, 8, 128}) {
    PackedLayout layout{.format = "midrise", .bits = 3, .group = 0, .hadamard = block};
    PackedMatrix m = random_matrix(rng, layout, 4, 256, 0.02);
    const std::vector<float> found = unpack(pack_and_view(m).view);
    m.layout.hadamard = 0;
    const std::vector<float> whole = unpack(pack_and_view(m).view);
    m.overlay = {};
    const std::vector<float> turned = unpack(pack_and_view(m).view);
    double worst = 0;
    for (std::int64_t o = 0; o < 4; ++o)
      for (std::int64_t i = 0; i < 256; ++i) {
        const std::int64_t first = i / block * block;
        double sum = 0;
        for (std::int64_t k = 0; k < block; ++k) {
          const bool odd = std::popcount(static_cast<std::uint64_t>(k & (i - first))) % 2 == 1;
          sum += (odd ? -1 : 1) * turned[o * 256 + first + k] / std::sqrt(double(block));
        }
        sum += double(whole[o * 256 + i]) - turned[o * 256 + i];  // its outlier
        worst = std::max(worst, std::abs(sum - found[o * 256 + i]));
      }
    CHECK(worst < 1e-6);
  }
}

TEST_CASE("input grids: the step follows from the token alone") {
  const std::vector<float> x = {3, -4, 0, 0, 0, 0, 0, 0};
  const auto step = [&](const char* grid, int bits) {
    return find_input_grid("test", grid).step(x.data(), 8, bits);
  };
  const double rms = std::sqrt(25.0 / 8);
  CHECK(step("gaussian", 4) == doctest::Approx(2 * 2.513930578568423 / 15 * rms));
  CHECK(step("gaussian", 1) == doctest::Approx(2 * 0.7978845608028654 * rms));
  CHECK(step("absmax", 4) == doctest::Approx(8.0 / 15));
  const std::vector<float> zeros(8);
  for (const auto& [name, grid] : input_grid_table()) CHECK(grid().step(zeros.data(), 8, 4) > 0);
}
