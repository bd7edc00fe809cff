// Products with matrices of every GGUF type, of every instruction set, against sums in double over
// what the blocks decode to.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "core/block.h"
#include "core/rng.h"
#include "karat/error.h"
#include "kernel/guarded.h"
#include "kernel/kernel.h"

using namespace karat;

namespace {

/// Random bytes, drawn again until the weights of a block are finite and of a moderate size.
std::vector<std::byte> random_blocks(const BlockType& type, std::int64_t count, Rng& rng) {
  std::vector<std::byte> all;
  std::vector<std::byte> block(static_cast<std::size_t>(type.bytes));
  std::vector<float> weights(static_cast<std::size_t>(type.values));
  while (static_cast<std::int64_t>(all.size()) < count * type.bytes) {
    for (std::byte& byte : block) byte = static_cast<std::byte>(rng.below(256));
    type.decode(block.data(), weights.data());
    float largest = 0;
    for (const float weight : weights)
      largest = std::isfinite(weight) ? std::max(largest, std::abs(weight)) : INFINITY;
    if (largest < 1e3f) all.insert(all.end(), block.begin(), block.end());
  }
  return all;
}

void check_product(const KernelSet& set, const TensorView& view, std::int64_t tokens, Rng& rng) {
  const Matrix matrix(view);
  const std::int64_t out = matrix.out(), in = matrix.in();
  const std::vector<float> weights = to_floats(view);
  Guarded x(static_cast<std::size_t>(tokens * in) * 4),
      y(static_cast<std::size_t>(tokens * out) * 4);
  for (std::int64_t i = 0; i < tokens * in; ++i)
    x.floats()[i] = static_cast<float>(rng.uniform() * 2 - 1);
  std::memset(y.data(), 0xff, y.size());  // NaN: a row left out is seen
  matmul(set, matrix, x.floats(), tokens, y.floats(), Activations::q8);
  std::int64_t wrong = 0;
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = 0, size = 0;
      for (std::int64_t i = 0; i < in; ++i) {
        const double product = static_cast<double>(x.floats()[t * in + i]) * weights[o * in + i];
        sum += product;
        size += std::abs(product);
      }
      if (!(std::abs(y.floats()[t * out + o] - sum) <= size * 1e-6)) ++wrong;
    }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("products with matrices of every GGUF type") {
  Rng rng(7);
  for (const auto& [name, found] : block_table()) {
    const BlockType& type = found();
    constexpr std::int64_t kOut = 37;
    const std::int64_t in = type.values == 32 ? 352 : 512;  // 352: a tile and three blocks
    const auto bytes = random_blocks(type, kOut * in / type.values, rng);
    const Guarded guarded{std::span(bytes)};
    const TensorView view = block_view("w", type, {kOut, in}, guarded.data());
    const Matrix matrix(view);
    CHECK(matrix.bytes() == static_cast<std::int64_t>(bytes.size()));
    for (const KernelSet* set : usable_kernels())
      for (const std::int64_t tokens : {1, 2, 9}) {
        CAPTURE(name);
        CAPTURE(set->isa);
        CAPTURE(tokens);
        check_product(*set, view, tokens, rng);
      }
  }
}

TEST_CASE("a matrix of numbers that are no floats is refused") {
  const std::int64_t numbers[4] = {};
  const TensorView view{"w", DType::i64, {2, 2}, reinterpret_cast<const std::byte*>(numbers)};
  CHECK_THROWS_WITH_AS(Matrix{view}, doctest::Contains("use tensor w as a matrix: got I64"), Error);
}
