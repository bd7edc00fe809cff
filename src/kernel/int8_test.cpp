// Products with 8-bit activations: the rounding of every set against the reference's, which is held
// to its definition; products against sums in double over what was rounded.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/threads.h"
#include "karat/error.h"
#include "kernel/int8_testing.h"

using namespace karat;
using namespace karat::testing;

TEST_CASE(
    "8-bit activations: the naive rounding is within half a step, 127 steps a largest value") {
  Rng rng(31);
  std::vector<PackedLayout> layouts;
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    layouts.push_back(layout_of(bits, 128));
    layouts.push_back(with_blocks({.variant = "bilevel", .bits = bits, .group = 32}));
  }
  for (const PackedLayout& layout : layouts) {
    const Packed p(random_matrix(rng, layout, 1, 300, 0));
    const std::vector<float> x = draw(rng, 300), near = rounded(p.matrix, x);
    for (std::int64_t i = 0; i < 300; ++i) {
      float largest = 0;
      for (std::int64_t k = i / kInt8Block * kInt8Block;
           k < 300 && k / kInt8Block == i / kInt8Block; ++k)
        if (int8_scale(p.matrix, k % kInt8Block) == int8_scale(p.matrix, i % kInt8Block))
          largest = std::max(largest, std::fabs(x[static_cast<std::size_t>(k)]));
      const auto k = static_cast<std::size_t>(i);
      CHECK(std::fabs(near[k] - x[k]) <= largest / 254 * 1.0001f);
    }
  }
}

namespace {

/// Every set against the reference, of inputs of which some blocks may be zeros.
void check_rounding(const Packed& p, Rng& rng) {
  const std::int64_t in = p.matrix.in();
  std::vector<float> x = draw(rng, in);
  if (in > 200) std::fill_n(x.begin(), 128, 0.0f);
  RoundedInput expected(in);
  reference_kernels().round_input(p.matrix, x.data(), expected.values, expected.scales.data(),
                                  expected.sums.data());
  for (const KernelSet* set : usable_kernels()) {
    RoundedInput got(in);
    set->round_input(p.matrix, x.data(), got.values, got.scales.data(), got.sums.data());
    CHECK(got.scales == expected.scales);
    for (std::size_t b = 0; b < got.sums.size(); ++b)
      CHECK(got.sums[b] == doctest::Approx(expected.sums[b]).epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("8-bit activations: every set rounds as the reference does") {
  Rng rng(32);
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const auto& [in, group] : {std::pair{1, 0},
                                    {127, 16},
                                    {128, 0},
                                    {129, 0},
                                    {700, 0},
                                    {700, 16},
                                    {700, 64},
                                    {700, 96}}) {
      const Packed p(random_matrix(rng, layout_of(bits, group), 1, in, 0));
      check_rounding(p, rng);
      if (group != 16 && group != 64) continue;
      const PackedLayout bilevel =
          with_blocks({.variant = "bilevel", .bits = bits, .group = group});
      check_rounding(Packed(random_matrix(rng, bilevel, 1, in, 0)), rng);
    }
}
TEST_CASE("8-bit activations: products of every set, every layout that takes them, odd sizes") {
  Rng rng(33);
  for (const KernelSet* set : usable_kernels()) MESSAGE("8-bit activations under test: ", set->isa);
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const std::int64_t group : {0, 128, 256})
      for (const bool symmetric : {false, true})
        for (const auto& [out, in] : {std::pair{1, 1},
                                      {3, 9},
                                      {4, 127},
                                      {16, 128},
                                      {35, 131},
                                      {7, 200},
                                      {5, 254},
                                      {6, 255},
                                      {17, 1100},
                                      {9, 2300},
                                      {4, 2112},
                                      {2, 8321}}) {
          const double share = rng.below(2) == 0 ? 0.0 : 0.03;
          const Packed p(random_matrix(rng, layout_of(bits, group, symmetric), out, in, share));
          REQUIRE(takes_int8(p.matrix));
          for (const KernelSet* set : usable_kernels())
            for (const std::int64_t tokens : {1, 2, 3, 9}) {
              if (out * in * tokens > 40000) continue;
              CHECK_MESSAGE(wrong_outputs(*set, p, tokens, rng) == 0, set->isa, ", ", out, " x ",
                            in, ", ", bits, " bits, group ", group, ", ", tokens, " tokens");
            }
        }
}

TEST_CASE("8-bit activations: column trellises of every set, odd sizes, rows of several segments") {
  Rng rng(42);
  for (const int bits : {2, 3, 4, 5})
    for (const auto& [out, in] : {std::pair{1, 1},
                                  {3, 9},
                                  {16, 128},
                                  {35, 131},
                                  {7, 255},
                                  {17, 1100},
                                  {40, 576},
                                  {300, 130},
                                  {2, 8321}}) {
      const double share = rng.below(2) == 0 ? 0.0 : 0.03;
      const PackedLayout layout{.format = "column-trellis", .bits = bits, .group = 0};
      const Packed p(random_matrix(rng, layout, out, in, share));
      REQUIRE(takes_int8(p.matrix));
      for (const KernelSet* set : usable_kernels())
        for (const std::int64_t tokens : {1, 2, 3, 9}) {
          if (out * in * tokens > 120000) continue;
          CHECK_MESSAGE(wrong_outputs(*set, p, tokens, rng) == 0, set->isa, ", ", out, " x ", in,
                        ", ", bits, " bits, ", tokens, " tokens");
        }
    }
}

TEST_CASE("8-bit activations: the largest sums of a column trellis do not overflow") {
  Rng rng(43);
  for (const int bits : {2, 3, 4, 5}) {
    const PackedLayout layout{.format = "column-trellis", .bits = bits, .group = 0};
    const Packed p(random_matrix(rng, layout, 100, 1280, 0));
    for (const KernelSet* set : usable_kernels())
      for (const std::int64_t tokens : {1, 9}) {
        // Inputs of one sign where the weight of row 50 has it: all its products add up.
        std::vector<float> x(static_cast<std::size_t>(tokens * 1280)), y(100 * x.size() / 1280);
        for (std::size_t i = 0; i < x.size(); ++i)
          x[i] = p.weights[50 * 1280 + i % 1280] < 0 ? -1.0f : 1.0f;
        matmul(*set, p.matrix, x.data(), tokens, y.data(), Activations::q8);
        double sum = 0;
        for (std::size_t i = 0; i < 1280; ++i) sum += std::fabs(p.weights[50 * 1280 + i]);
        CHECK(y[50] == doctest::Approx(sum).epsilon(1e-4));
      }
  }
}

TEST_CASE("8-bit activations: the largest codes and inputs do not overflow") {
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const std::int64_t group : {0, 32}) {
      Rng rng(34);
      PackedMatrix m = random_matrix(rng, layout_of(bits, group), 4, 256, 0);
      std::fill(m.codes.begin(), m.codes.end(), static_cast<std::uint8_t>((1 << bits) - 1));
      std::fill(m.scales.begin(), m.scales.end(), float_to_f16(1));
      std::fill(m.zeros.begin(), m.zeros.end(), float_to_f16(0));
      const Packed p(m);
      for (const float sign : {1.0f, -1.0f}) {
        const std::vector<float> x(256 * 3, sign);
        std::vector<float> y(4 * 3);
        for (const KernelSet* set : usable_kernels())
          for (const std::int64_t tokens : {1, 3}) {
            matmul(*set, p.matrix, x.data(), tokens, y.data(), Activations::q8);
            CHECK(y[0] == doctest::Approx(sign * 256 * ((1 << bits) - 1)));
          }
      }
    }
}

TEST_CASE("8-bit activations: what is not finite is seen in every output") {
  Rng rng(35);
  const Packed p(random_matrix(rng, {.bits = 4, .group = 128}, 20, 384, 0));
  for (const float bad : {std::numeric_limits<float>::infinity(), NAN, -INFINITY})
    for (const KernelSet* set : usable_kernels())
      for (const std::int64_t tokens : {1, 2}) {
        std::vector<float> x = draw(rng, 384 * tokens), y(static_cast<std::size_t>(20 * tokens));
        x[static_cast<std::size_t>(384 * (tokens - 1) + 200)] = bad;
        matmul(*set, p.matrix, x.data(), tokens, y.data(), Activations::q8);
        for (std::size_t o = 0; o < 20; ++o)
          CHECK_FALSE(std::isfinite(y[static_cast<std::size_t>(20 * (tokens - 1)) + o]));
      }
}

TEST_CASE("8-bit activations: layouts without such kernels are multiplied as before") {
  Rng rng(36);
  for (const PackedLayout& layout :
       {PackedLayout{.bits = 4, .group = 4}, PackedLayout{.bits = 6}, PackedLayout{.bits = 3},
        PackedLayout{.bits = 2, .group = 8}, PackedLayout{.format = "nf4", .bits = 4, .group = 20},
        PackedLayout{.format = "lut", .bits = 3, .group = 0},
        PackedLayout{.format = "lut", .bits = 4, .group = 128}}) {
    const Packed p(random_matrix(rng, layout, 20, 256, 0.02));
    CHECK_FALSE(takes_int8(p.matrix));
    const std::vector<float> x = draw(rng, 512);
    std::vector<float> a(40), b(40);
    for (const KernelSet* set : usable_kernels()) {
      matmul(*set, p.matrix, x.data(), 2, a.data(), Activations::q8);
      matmul(*set, p.matrix, x.data(), 2, b.data(), Activations::f32);
      CHECK(a == b);
    }
  }
}

TEST_CASE("8-bit activations: the number of threads changes no bit") {
  Rng rng(37);
  std::vector<PackedLayout> layouts = {{.format = "column-trellis", .bits = 3, .group = 0}};
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const std::int64_t group : {32, 128}) layouts.push_back(layout_of(bits, group));
  for (const PackedLayout& layout : layouts) {
    const Packed p(random_matrix(rng, layout, 600, 520, 0.01));
    const std::vector<float> x = draw(rng, 520 * 20);
    for (const KernelSet* set : usable_kernels())
      for (const std::int64_t tokens : {1, 20}) {
        std::vector<float> first(static_cast<std::size_t>(600 * tokens)), y(first.size());
        for (const int threads : {1, 2, 5}) {
          const ThreadScope scope(threads);
          matmul(*set, p.matrix, x.data(), tokens, y.data(), Activations::q8);
          if (threads == 1) first = y;
          CHECK(first == y);
        }
      }
  }
}

TEST_CASE("8-bit activations: rows read one by one or four side by side give the same bits") {
  Rng rng(38);
  for (const int bits : {2, 3, 4, 5, 6, 8, -3}) {
    const PackedLayout layout = bits > 0 ? layout_of(bits, 128) : layout_of(-bits, 32);
    const Packed p(random_matrix(rng, layout, 39, 2312, 0.02));
    const std::vector<float> x = draw(rng, 2312);
    for (const KernelSet* set : usable_kernels()) {
      KernelSet other = *set;
      other.row_by_row = !set->row_by_row;
      std::vector<float> a(39), b(39);
      matmul(*set, p.matrix, x.data(), 1, a.data(), Activations::q8);
      matmul(other, p.matrix, x.data(), 1, b.data(), Activations::q8);
      CHECK_MESSAGE(a == b, set->isa, ", ", bits, " bits");
      Rng same(39);
      CHECK(wrong_outputs(other, p, 1, same) == 0);
    }
  }
}

TEST_CASE("8-bit activations: outliers by the room that one token's kernels have, and past it") {
  Rng rng(39);
  for (const double share : {0.0005, 0.01, 0.2, 1.0}) {
    const Packed p(random_matrix(rng, layout_of(4, 128), 37, 1500, share));
    for (const KernelSet* set : usable_kernels())
      CHECK_MESSAGE(wrong_outputs(*set, p, 1, rng) == 0, set->isa, ", ", share, " of all weights");
  }
}

TEST_CASE("8-bit activations: rows of far more outliers than their neighbours") {
  Rng rng(40);
  for (const std::int64_t heavy : {0, 3})
    for (const std::int64_t most : {40, 600, 1000}) {
      PackedMatrix m = random_matrix(rng, layout_of(4, 128), 40, 1500, 0);
      m.overlay.offsets = {0};
      for (std::int64_t row = 0; row < m.out; ++row) {
        const std::int64_t count = row % 4 == heavy ? most : 2;
        for (std::int64_t k = 0; k < count; ++k) {
          m.overlay.columns.push_back(static_cast<std::uint16_t>(k));
          m.overlay.values.push_back(float_to_f16(static_cast<float>(rng.uniform() - 0.5)));
        }
        m.overlay.offsets.push_back(static_cast<std::uint32_t>(m.overlay.columns.size()));
      }
      const Packed p(m);
      for (const KernelSet* set : usable_kernels())
        CHECK_MESSAGE(wrong_outputs(*set, p, 1, rng) == 0, set->isa, ", row ", heavy, ": ", most);
    }
}

TEST_CASE("activations are chosen by name") {
  const Runtime::Scope scope(Runtime::current().with(parse_activations("q8")));
  CHECK(Runtime::current().activations() == Activations::q8);
  CHECK_THROWS_WITH_AS(parse_activations("q9"), doctest::Contains("f32 or q8"), Error);
}
