// Vector helpers of every instruction set: the reference against closed forms, the others against
// it.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

#include "core/rng.h"
#include "karat/tensor_view.h"
#include "kernel/guarded.h"
#include "kernel/kernel.h"

using namespace karat;

namespace {

Guarded draw(Rng& rng, std::int64_t n, float size) {
  Guarded x(static_cast<std::size_t>(n) * 4);
  for (std::int64_t i = 0; i < n; ++i)
    x.floats()[i] = size * static_cast<float>(2 * rng.uniform() - 1);
  return x;
}

Guarded copy(const Guarded& x) {
  return Guarded(std::span<const std::byte>(x.data(), x.size()));
}

/// |a − b| <= bound · (|b| + floor) everywhere.
void check_near(const Guarded& a, const Guarded& b, float bound, float floor,
                std::string_view what) {
  float worst = 0;
  for (std::size_t i = 0; i < a.size() / 4; ++i) {
    const float error =
        std::fabs(a.floats()[i] - b.floats()[i]) / (std::fabs(b.floats()[i]) + floor);
    worst = error <= worst ? worst : error;  // a NaN stays
  }
  CHECK_MESSAGE(worst <= bound, what, " of ", a.size() / 4, ": ", worst);
}

constexpr std::int64_t kLengths[] = {1, 2, 7, 8, 9, 31, 64, 1000};

}  // namespace

TEST_CASE("reference vector helpers give closed forms") {
  const KernelSet& set = reference_kernels();
  const float x_top = std::log(5.0f);
  float x[] = {0, std::log(2.0f), x_top};
  const ExpSum of_x = set.exponentials(x, 3);
  CHECK(of_x.top == x_top);
  CHECK(of_x.sum == doctest::Approx(1.6));
  CHECK(x[0] == doctest::Approx(0.2));
  CHECK(x[1] == doctest::Approx(0.4));
  CHECK(x[2] == 1);
  const float v[] = {3, 4}, weight[] = {1, 2}, bias[] = {0.5f, 0};
  float y[2];
  set.rms_norm(v, weight, 0, y, 2);  // root mean square 5/√2
  CHECK(y[0] == doctest::Approx(0.6 * std::sqrt(2.0)));
  CHECK(y[1] == doctest::Approx(1.6 * std::sqrt(2.0)));
  set.layer_norm(v, weight, bias, 0, y, 2);
  CHECK(y[0] == doctest::Approx(-0.5));
  CHECK(y[1] == doctest::Approx(2));
  CHECK(set.dot(v, weight, 2) == 11);
  float a[] = {1, -1}, b[] = {1, -1}, c[] = {1, -1};
  set.silu(a, 2);
  set.gelu(b, 2);
  set.gelu_tanh(c, 2);
  CHECK(a[0] == doctest::Approx(0.7310585786));
  CHECK(a[1] == doctest::Approx(-0.2689414214));
  CHECK(b[0] == doctest::Approx(0.8413447461));
  CHECK(b[1] == doctest::Approx(-0.1586552539));
  CHECK(c[0] == doctest::Approx(0.8411919906));
  CHECK(c[1] == doctest::Approx(-0.1588080094));
}

TEST_CASE("every set agrees with the reference") {
  const KernelSet& reference = reference_kernels();
  Rng rng(21);
  for (const KernelSet* set : usable_kernels()) {
    MESSAGE("vector helpers under test: ", set->isa);
    for (const std::int64_t n : kLengths) {
      const Guarded x = draw(rng, n, 4), weight = draw(rng, n, 2), bias = draw(rng, n, 1);
      const auto both = [&](const char* what, float floor, const auto& apply) {
        const Guarded got = copy(x), expected = copy(x);
        apply(*set, got.floats());
        apply(reference, expected.floats());
        check_near(got, expected, 1e-6f, floor, what);
      };
      both("exponentials", 0, [&](const KernelSet& k, float* y) { k.exponentials(y, n); });
      both("their sum", 0, [&](const KernelSet& k, float* y) { y[0] = k.exponentials(y, n).sum; });
      both("the largest", 0,
           [&](const KernelSet& k, float* y) { y[0] = k.exponentials(y, n).top; });
      both("silu", 0, [&](const KernelSet& k, float* y) { k.silu(y, n); });
      both("gelu", 0, [&](const KernelSet& k, float* y) { k.gelu(y, n); });
      both("gelu_tanh", 0.5f, [&](const KernelSet& k, float* y) { k.gelu_tanh(y, n); });
      both("axpy", 2, [&](const KernelSet& k, float* y) { k.axpy(1.5f, weight.floats(), y, n); });
      both("rms_norm", 0, [&](const KernelSet& k, float* y) {
        k.rms_norm(x.floats(), weight.floats(), 1e-5f, y, n);
      });
      both("layer_norm", 1, [&](const KernelSet& k, float* y) {
        k.layer_norm(x.floats(), weight.floats(), bias.floats(), 1e-5f, y, n);
      });
      both("dot", static_cast<float>(n),
           [&](const KernelSet& k, float* y) { y[0] = k.dot(x.floats(), weight.floats(), n); });
      both("group_sums", 16,
           [&](const KernelSet& k, float* y) { k.group_sums(x.floats(), n, 16, y); });
    }
  }
}

TEST_CASE("products with cells of every type and set, all sizes of tiles") {
  using Cell = CellBlock::Cell;
  Rng rng(22);
  for (const auto& [rows, k, columns] :
       {std::tuple{1, 1, 8}, {2, 3, 16}, {3, 64, 24}, {4, 20, 64}, {7, 33, 40}, {13, 64, 64}})
    for (const Cell cell : {Cell::f32, Cell::f16, Cell::i8}) {
      const std::int64_t n = k * columns, size = cell == Cell::f32 ? 4 : cell == Cell::f16 ? 2 : 1;
      const Guarded cells(static_cast<std::size_t>(n * size));
      for (std::int64_t i = 0; i < n; ++i) {
        const float value = static_cast<float>(2 * rng.uniform() - 1);
        const std::uint16_t half = float_to_f16(value);
        if (cell == Cell::f32) std::memcpy(cells.data() + 4 * i, &value, 4);
        if (cell == Cell::f16) std::memcpy(cells.data() + 2 * i, &half, 2);
        if (cell == Cell::i8) cells.data()[i] = static_cast<std::byte>(rng.below(256));
      }
      const CellBlock block{cell, cells.data(), columns, cells.data()};
      const Guarded a = draw(rng, rows * k, 1), c = draw(rng, rows * columns, 1);
      const Guarded expected = copy(c);
      reference_kernels().multiply_add(block, k, rows, a.floats(), k, expected.floats(), columns);
      for (const KernelSet* set : usable_kernels()) {
        const Guarded got = copy(c);
        set->multiply_add(block, k, rows, a.floats(), k, got.floats(), columns);
        check_near(got, expected, 1e-5f, cell == Cell::i8 ? 128.0f : 1.0f, "products with cells");
      }
    }
}

TEST_CASE("exponentials and activations at the ends of the range") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const KernelSet* set : usable_kernels()) {
    float masked[] = {1, -infinity, 1, -1e30f, -200};
    CHECK(set->exponentials(masked, 5).sum == 2);
    const float expected[] = {1, 0, 1, 0, 0};
    for (int i = 0; i < 5; ++i) CHECK(masked[i] == expected[i]);
    for (const float bad : {NAN, infinity}) {
      float unknown[] = {1, bad, 2, 1, 2, 3, 4, 5, 6};
      CHECK(std::isnan(set->exponentials(unknown, 9).sum));
    }
    float large[] = {3e38f, 3e38f, -3e38f};
    CHECK(set->exponentials(large, 3).sum == 2);
    CHECK(large[2] == 0);
    for (const auto function : {set->silu, set->gelu, set->gelu_tanh}) {
      float ends[] = {-1e4f, -100, 0, 100, 1e4f};
      function(ends, 5);
      CHECK(std::fabs(ends[0]) <= 1e-30f);
      CHECK(std::fabs(ends[1]) <= 1e-30f);
      CHECK(ends[2] == 0);
      CHECK(ends[3] == 100);
      CHECK(ends[4] == 1e4f);
    }
  }
}
