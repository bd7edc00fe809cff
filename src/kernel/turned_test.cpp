// Products in the basis of a block Hadamard transform, with rounded inputs, against the definition.
#include "kernel/turned.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "core/levels.h"
#include "core/threads.h"
#include "format/input_grid.h"
#include "kernel/int8_testing.h"

using namespace karat;
using namespace karat::testing;

namespace {

PackedLayout midrise(int bits, int input_bits, std::int64_t hadamard,
                     const char* grid = "gaussian") {
  return {.format = "midrise",
          .bits = bits,
          .group = 0,
          .hadamard = hadamard,
          .input_grid = input_bits > 0 ? grid : "",
          .input_bits = input_bits};
}

/// x (1 ⊗ H), by the definition.
std::vector<double> turned(const std::vector<float>& x, std::int64_t block) {
  std::vector<double> result(x.begin(), x.end());
  for (std::int64_t i = 0; block > 0 && i < std::ssize(x); ++i) {
    result[i] = 0;
    for (std::int64_t k = 0; k < block; ++k) {
      const bool odd = std::popcount(static_cast<std::uint64_t>(k & i % block)) % 2 == 1;
      result[i] += (odd ? -1 : 1) * x[i / block * block + k] / std::sqrt(double(block));
    }
  }
  return result;
}

/// Weights as they are stored, and their outliers, [out, in].
struct Stored {
  explicit Stored(PackedMatrix m) {
    m.layout.hadamard = 0;
    const std::vector<float> all = unpack(pack_and_view(m).view);
    m.overlay = {};
    dense = unpack(pack_and_view(m).view);
    for (std::size_t i = 0; i < all.size(); ++i) kept.push_back(double(all[i]) - dense[i]);
  }
  std::vector<float> dense;
  std::vector<double> kept;
};

/// Of y, those further from Σ ŵ·round(x) than rounding of floats explains.
std::int64_t wrong(const Packed& p, const Stored& stored, const std::vector<float>& x,
                   const std::vector<float>& y, std::int64_t tokens) {
  const MatrixView& m = p.matrix;
  std::int64_t count = 0;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::vector<float> own(x.begin() + t * m.in, x.begin() + (t + 1) * m.in);
    std::vector<float> seen = own;
    const double unit = turn_input(m, seen.data());
    for (std::int64_t o = 0; o < m.out; ++o) {
      double sum = 0, size = 0;
      for (std::int64_t i = 0; i < m.in; ++i) {
        const std::int64_t at = o * m.in + i;
        sum += unit * seen[i] * stored.dense[at] + own[i] * stored.kept[at];
        size += std::fabs(unit * seen[i]) * (std::fabs(stored.dense[at]) + 0.2) +
                std::fabs(own[i] * stored.kept[at]);
      }
      count += !(std::fabs(y[t * m.out + o] - sum) <= 16 * 0x1p-24 * size);
    }
  }
  return count;
}

}  // namespace

TEST_CASE("an input is turned and rounded as the definition says, to half a step") {
  Rng rng(61);
  for (const auto& [name, grid] : input_grid_table())
    for (const int bits : {1, 2, 4, 8})
      for (const std::int64_t block : {0, 8, 128}) {
        const Packed p(random_matrix(rng, midrise(4, bits, block, name.c_str()), 1, 256, 0));
        const std::vector<float> x = draw(rng, 256);
        std::vector<float> odd = x;
        const double unit = turn_input(p.matrix, odd.data()), most = std::ldexp(1.0, bits) - 1;
        const std::vector<double> expected = turned(x, block);
        std::vector<float> basis(expected.begin(), expected.end());
        CHECK(2 * unit == doctest::Approx(grid().step(basis.data(), 256, bits)));
        for (std::size_t i = 0; i < 256; ++i) {
          CHECK(std::fabs(std::fmod(odd[i], 2)) == 1);
          const double error = std::fabs(expected[i] - unit * odd[i]);
          if (std::fabs(odd[i]) < most) CHECK(error <= unit * (1 + 1e-5));
          if (std::fabs(expected[i]) > unit * (most + 1)) CHECK(odd[i] * expected[i] > 0);
          CHECK(std::fabs(odd[i]) <= most);
        }
      }
}

TEST_CASE("turned products of every set, every width, odd sizes, with and without rounding") {
  Rng rng(62);
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int input_bits : {0, 1, 4, 7, 8})
      for (const std::int64_t block : {0, 2, 128})
        for (const auto& [out, in] : {std::pair{1, 128}, {35, 384}, {5, 1152}}) {
          const double share = rng.below(2) == 0 ? 0.0 : 0.03;
          const PackedMatrix m =
              random_matrix(rng, midrise(bits, input_bits, block), out, in, share);
          const Packed p(m);
          const Stored stored(m);
          for (const std::int64_t tokens : {1, 2, 9}) {
            const std::vector<float> x = draw(rng, tokens * in);
            for (const KernelSet* set : usable_kernels()) {
              std::vector<float> y(static_cast<std::size_t>(tokens * out), NAN);
              matmul(*set, p.matrix, x.data(), tokens, y.data(), Activations::f32);
              CHECK_MESSAGE(wrong(p, stored, x, y, tokens) == 0, set->isa, ", ", out, " x ", in,
                            ", ", bits, " and ", input_bits, " bits, block ", block, ", ", tokens,
                            " tokens");
            }
          }
        }
}

TEST_CASE("rounded inputs: every set, 8-bit or float kernels, few tokens or many: the same bits") {
  Rng rng(63);
  for (const int bits : {2, 3, 4, 5, 6})
    for (const int input_bits : {1, 2, 4})
      for (const auto& [out, in] : {std::pair{35, 384}, {16, 1024}}) {
        const Packed p(random_matrix(rng, midrise(bits, input_bits, 128), out, in, 0));
        const std::vector<float> x = draw(rng, 19 * in);
        std::vector<float> first;
        for (const KernelSet* set : usable_kernels())
          for (const Activations activations : {Activations::f32, Activations::q8})
            for (const std::int64_t together : {1, 3, 19}) {
              std::vector<float> y(static_cast<std::size_t>(19 * out), NAN);
              for (std::int64_t t = 0; t < 19; t += together)
                matmul(*set, p.matrix, x.data() + t * in, std::min(together, 19 - t),
                       y.data() + t * out, activations);
              if (first.empty()) first = y;
              CHECK_MESSAGE(y == first, set->isa, ", ", bits, " and ", input_bits, " bits, ", out,
                            " x ", in, ", ", together, " tokens");
            }
      }
}

TEST_CASE("turned products: several matrices of one input, which they see alike or not") {
  Rng rng(64);
  std::vector<Packed> matrices;
  matrices.reserve(6);
  for (const PackedLayout& layout :
       {midrise(4, 4, 128), midrise(4, 4, 128), midrise(4, 4, 64), midrise(3, 4, 128),
        midrise(4, 4, 128, "absmax"), midrise(4, 0, 128)})
    matrices.emplace_back(random_matrix(rng, layout, 21, 256, 0.01));
  const std::vector<float> x = draw(rng, 11 * 256);
  for (const KernelSet* set : usable_kernels())
    for (const std::int64_t tokens : {1, 11}) {
      std::vector<std::vector<float>> together(6), alone(6);
      std::vector<MatrixProduct> products;
      for (std::size_t i = 0; i < 6; ++i) {
        together[i].resize(static_cast<std::size_t>(21 * tokens));
        alone[i].resize(together[i].size());
        matmul(*set, matrices[i].matrix, x.data(), tokens, alone[i].data(), Activations::q8);
        products.push_back({&matrices[i].matrix.view(), together[i].data()});
      }
      matmul(*set, products, x.data(), tokens, Activations::q8);
      CHECK(together == alone);
    }
}

TEST_CASE("rounded inputs: threads change nothing, and what is not finite stays so, in its token") {
  Rng rng(65);
  const Packed p(random_matrix(rng, midrise(4, 4, 128), 200, 256, 0.01));
  std::vector<float> x = draw(rng, 20 * 256);
  for (const KernelSet* set : usable_kernels()) {
    std::vector<float> one(200 * 20), three(one);
    {
      const ThreadScope scope(1);
      matmul(*set, p.matrix, x.data(), 20, one.data(), Activations::q8);
    }
    const ThreadScope scope(3);
    matmul(*set, p.matrix, x.data(), 20, three.data(), Activations::q8);
    CHECK(one == three);
    for (const float bad : {NAN, INFINITY}) {
      std::vector<float> spoiled = x;
      spoiled[256 + 7] = bad;
      matmul(*set, p.matrix, spoiled.data(), 20, three.data(), Activations::q8);
      std::int64_t finite = 0;
      for (std::size_t o = 0; o < 200; ++o) finite += std::isfinite(three[200 + o]);
      CHECK(finite == 0);
      CHECK(std::equal(three.begin() + 400, three.end(), one.begin() + 400));
    }
  }
}
