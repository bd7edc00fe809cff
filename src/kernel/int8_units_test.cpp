// Products with 8-bit activations of groups smaller than a block, bilevel statistics, lists of
// values and tables, as in int8_test.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernel/int8_testing.h"

using namespace karat;
using namespace karat::testing;

namespace {

constexpr std::pair<std::int64_t, std::int64_t> kSizes[] = {
    {1, 8},   {3, 9},    {4, 127},   {16, 128}, {35, 131}, {7, 200},
    {5, 254}, {17, 576}, {33, 1100}, {9, 2300}, {2, 8321}};

/// Every set against the sums in double, of all sizes and some tokens.
void check_layout_products(const PackedLayout& layout, Rng& rng, double terms = 0.4,
                           double inexact = 0) {
  for (const auto& [out, in] : kSizes) {
    if (is_bilevel(layout) && in < layout.group) continue;  // a shorter group has no such kernels
    const double share = rng.below(2) == 0 ? 0.0 : 0.03;
    const Packed p(random_matrix(rng, layout, out, in, share));
    REQUIRE(takes_int8(p.matrix));
    for (const KernelSet* set : usable_kernels())
      for (const std::int64_t tokens : {1, 2, 3, 9}) {
        if (out * in * tokens > 40000) continue;
        CHECK_MESSAGE(wrong_outputs(*set, p, tokens, rng, terms, inexact) == 0, set->isa, ", ", out,
                      " x ", in, ", ", describe(layout), ", ", tokens, " tokens");
      }
  }
}

}  // namespace

TEST_CASE("8-bit activations: small groups of every set and width, odd sizes") {
  Rng rng(51);
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const std::int64_t group : {8, 16, 24, 32, 48, 64, 96, 192})
      for (const bool symmetric : {false, true})
        if (bits != 2 || group % 16 == 0)
          check_layout_products(layout_of(bits, group, symmetric), rng);
}

TEST_CASE("8-bit activations: bilevel statistics") {
  Rng rng(52);
  constexpr double kTerms = 2.5;  // scales and zeros of two levels reach further
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const std::int64_t group : {8, 16, 32, 64})
      for (const bool symmetric : {false, true})
        if (bits != 2 || group >= 16)
          check_layout_products(
              with_blocks(
                  {.variant = "bilevel", .bits = bits, .group = group, .symmetric = symmetric}),
              rng, kTerms);
}

TEST_CASE("8-bit activations: 16 inputs in a row of bilevel statistics have their own scale") {
  // Of 16 large inputs and 112 small ones each is within 1 / 254 of the largest of its sixteen.
  Rng rng(56);
  const Packed p(
      random_matrix(rng, with_blocks({.variant = "bilevel", .bits = 3, .group = 16}), 1, 128, 0));
  std::vector<float> x = draw(rng, 128);
  for (std::size_t i = 48; i < 64; ++i) x[i] *= 1e4f;
  const std::vector<float> near = rounded(p.matrix, x);
  for (std::size_t i = 0; i < 128; ++i)
    CHECK(std::fabs(near[i] - x[i]) <= (i / 16 == 3 ? 1e4f : 1) / 254 * 1.0001f);
}

TEST_CASE("8-bit activations: bilevel and plain groups of 16 share an input, not its rounding") {
  Rng rng(57);
  const Packed bilevel(random_matrix(
      rng, with_blocks({.variant = "bilevel", .bits = 3, .group = 16}), 20, 300, 0.02));
  const Packed plain(random_matrix(rng, layout_of(3, 16), 20, 300, 0.02));
  for (const std::int64_t tokens : {1, 3, 9}) {
    const std::vector<float> x = draw(rng, tokens * 300);
    const auto n = static_cast<std::size_t>(20 * tokens);
    for (const KernelSet* set : usable_kernels()) {
      std::vector<float> a(n), b(n), together_a(n), together_b(n);
      matmul(*set, bilevel.matrix, x.data(), tokens, a.data(), Activations::q8);
      matmul(*set, plain.matrix, x.data(), tokens, b.data(), Activations::q8);
      const MatrixProduct both[] = {{&bilevel.matrix.view(), together_a.data()},
                                    {&plain.matrix.view(), together_b.data()}};
      matmul(*set, both, x.data(), tokens, Activations::q8);
      CHECK(together_a == a);
      CHECK(together_b == b);
    }
  }
}

TEST_CASE("8-bit activations: lists of values that steps of a power of two have are exact") {
  Rng rng(53);
  for (const char* format : {"fp4", "e2m1", "e2m1-daq"})
    for (const std::int64_t group : {0, 16, 64, 128, 192})
      for (const bool symmetric : {false, true})
        check_layout_products({.format = format, .group = group, .symmetric = symmetric}, rng);
}

TEST_CASE("8-bit activations: other values are off by half a step of 1 / 4095 of their range") {
  Rng rng(54);
  constexpr double kHalfStep = 0.4 / 8190 * 1.001;  // of random_statistics: ranges up to 0.4
  for (const std::int64_t group : {0, 32, 64, 128})
    check_layout_products({.format = "nf4", .group = group}, rng, 0.4, kHalfStep);
  check_layout_products({.format = "lut", .bits = 4, .group = 0}, rng, 0.4, kHalfStep);
}

TEST_CASE("8-bit activations: input scales and rotations before small groups") {
  Rng rng(55);
  for (PackedLayout layout :
       {layout_of(3, 32), with_blocks({.variant = "bilevel", .bits = 3, .group = 16}),
        PackedLayout{.format = "fp4", .group = 64}}) {
    layout.input_scales = true;
    const Packed p(random_matrix(rng, layout, 20, 384, 0.02));
    layout.input_scales = false;
    layout.rotation = 3;
    const Packed rotated(random_matrix(rng, layout, 20, 384, 0.02));
    const std::vector<float> x = draw(rng, 3 * 384);
    for (const Packed* one : {&p, &rotated})
      for (const std::int64_t tokens : {1, 3}) {
        std::vector<float> expected(static_cast<std::size_t>(20 * tokens)), y(expected.size());
        matmul(reference_kernels(), one->matrix, x.data(), tokens, expected.data(),
               Activations::q8);
        for (const KernelSet* set : usable_kernels()) {
          matmul(*set, one->matrix, x.data(), tokens, y.data(), Activations::q8);
          for (std::size_t i = 0; i < y.size(); ++i)
            CHECK(y[i] == doctest::Approx(expected[i]).epsilon(1e-4));
        }
      }
  }
}
