// Products of every instruction set against the reference, which itself is held to unpack. All
// operands end at an unreadable page.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "core/threads.h"
#include "format/random_matrix.h"
#include "karat/error.h"
#include "kernel/guarded.h"
#include "kernel/kernel.h"

using namespace karat;

namespace {

/// A matrix whose every part lies against its own guard page.
struct GuardedMatrix {
  std::vector<Guarded> parts;
  Matrix matrix;
  std::vector<float> weights;  // [out, in], by the format's own reader
};

GuardedMatrix guarded_packed(const PackedMatrix& m) {
  GuardedMatrix guarded;
  PackedTensors packed = pack_and_view(m);
  for (TensorView& view : packed.views) {
    guarded.parts.emplace_back(view.span());
    view.data = guarded.parts.back().data();
  }
  const PackedView view = packed_view("m", m.layout, m.out, m.in, [&](std::string_view name) {
    return find_view(packed.views, name);
  });
  guarded.weights = unpack(view);
  guarded.matrix = Matrix(view);
  return guarded;
}

GuardedMatrix guarded_dense(Rng& rng, DType dtype, std::int64_t out, std::int64_t in) {
  GuardedMatrix guarded;
  std::vector<float> floats;
  std::vector<std::uint16_t> halves;
  for (std::int64_t i = 0; i < out * in; ++i) {
    floats.push_back(static_cast<float>(rng.uniform() * 2 - 1));
    halves.push_back(dtype == DType::f16 ? float_to_f16(floats.back())
                                         : float_to_bf16(floats.back()));
  }
  guarded.parts.emplace_back(dtype == DType::f32 ? std::as_bytes(std::span(floats))
                                                 : std::as_bytes(std::span(halves)));
  const TensorView view{"w", dtype, {out, in}, guarded.parts.back().data()};
  guarded.weights = to_floats(view);
  guarded.matrix = Matrix(view);
  return guarded;
}

Guarded random_input(Rng& rng, std::int64_t count) {
  Guarded x(static_cast<std::size_t>(count) * 4);
  for (std::int64_t i = 0; i < count; ++i)
    x.floats()[i] = static_cast<float>(rng.uniform() * 2 - 1);
  return x;
}

/// Compares one set's product with sums in double over the unpacked weights. The bound is 16 units
/// of float rounding of Σ |x|·(|w| + 0.4): a packed row is Σ s·q·x − Σ s·z·x, each part at most
/// 0.2·|x|.
void check_product(const KernelSet& set, const GuardedMatrix& m, std::int64_t tokens, Rng& rng) {
  const std::int64_t out = m.matrix.out(), in = m.matrix.in();
  const Guarded x = random_input(rng, tokens * in), y(static_cast<std::size_t>(tokens * out) * 4);
  std::memset(y.data(), 0xff, y.size());  // NaN: a row left out is seen
  matmul(set, m.matrix, x.floats(), tokens, y.floats());
  std::int64_t wrong = 0;
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = 0, size = 0;
      for (std::int64_t i = 0; i < in; ++i) {
        const double xi = x.floats()[t * in + i], w = m.weights[o * in + i];
        sum += xi * w;
        size += std::fabs(xi) * (std::fabs(w) + 0.4);
      }
      wrong += !(std::fabs(y.floats()[t * out + o] - sum) <= 16 * 0x1p-24 * size);
    }
  const PackedView* packed = m.matrix.view().packed;
  CHECK_MESSAGE(wrong == 0, set.isa, ": ", wrong, " of ", tokens * out, " outputs, ", out, " x ",
                in, ", ", tokens, " tokens, ", m.matrix.view().bits, " bits, group ",
                m.matrix.view().group, ", ", packed == nullptr ? "dense" : packed->layout.format);
}

constexpr std::int64_t kTokens[] = {1, 2, 3, 5, 33};

}  // namespace

TEST_CASE("instruction sets under test") {
  for (const KernelSet* set : usable_kernels()) MESSAGE("kernels under test: ", set->isa);
  MESSAGE("kernels in use: ", kernels().isa);
  CHECK(usable_kernels().front()->isa == "reference");
}

TEST_CASE("dense products of every set, F32, F16 and BF16, odd sizes") {
  Rng rng(11);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (const auto& [out, in] : {std::pair{1, 1}, {5, 7}, {16, 64}, {37, 131}, {18, 530}}) {
      const GuardedMatrix m = guarded_dense(rng, dtype, out, in);
      for (const KernelSet* set : usable_kernels())
        for (const std::int64_t tokens : kTokens) check_product(*set, m, tokens, rng);
    }
}

TEST_CASE("packed products of every set: layouts, groups, overlay, odd sizes") {
  Rng rng(12);
  for (const std::int64_t group : {0, 5, 16, 24, 128})
    for (const PackedLayout& layout : all_layouts(group))
      for (const auto& [out, in] : {std::pair{1, 1}, {3, 9}, {16, 64}, {35, 131}, {17, 1100}}) {
        const double share = rng.below(2) == 0 ? 0.0 : 0.03;
        const GuardedMatrix m = guarded_packed(random_matrix(rng, layout, out, in, share));
        for (const KernelSet* set : usable_kernels())
          for (const std::int64_t tokens : kTokens) check_product(*set, m, tokens, rng);
      }
}

TEST_CASE("products with codes in blocks of every set, whatever is left of a row") {
  Rng rng(17);
  for (const int bits : {3, 5, 6})
    for (const std::int64_t group : {0, 8, 24, 32, 96, 128, 256, 1024})
      for (const bool symmetric : {false, true})
        for (const auto& [out, in] : {std::pair{5, 127},
                                      {4, 128},
                                      {21, 200},
                                      {3, 254},
                                      {7, 255},
                                      {6, 256},
                                      {18, 1100},
                                      {4, 2112},
                                      {1, 8321}}) {
          const PackedLayout layout{
              .variant = "blocks", .bits = bits, .group = group, .symmetric = symmetric};
          const GuardedMatrix m = guarded_packed(random_matrix(rng, layout, out, in, 0.02));
          for (const KernelSet* set : usable_kernels())
            for (const std::int64_t tokens : kTokens) check_product(*set, m, tokens, rng);
        }
}

TEST_CASE("products of column trellises of every set: rows of several segments, blocks and rests") {
  Rng rng(20);
  for (const int bits : {2, 3, 4, 5})
    for (const auto& [out, in] : {std::pair{300, 70}, {20, 256}, {18, 1100}, {5, 2112}}) {
      const PackedLayout layout{.format = "column-trellis", .bits = bits, .group = 0};
      const GuardedMatrix m = guarded_packed(random_matrix(rng, layout, out, in, 0.02));
      for (const KernelSet* set : usable_kernels())
        for (const std::int64_t tokens : kTokens) check_product(*set, m, tokens, rng);
    }
}

TEST_CASE(
    "rotated products of every set: the outliers are not rotated, the input scales come first") {
  Rng rng(16);
  for (const std::int64_t group : {0, 16})
    for (const PackedLayout& layout : rotated_layouts(group))
      for (const auto& [out, in] : {std::pair{1, 1}, {3, 9}, {16, 64}, {35, 132}, {172, 64}}) {
        const GuardedMatrix m = guarded_packed(random_matrix(rng, layout, out, in, 0.03));
        for (const KernelSet* set : usable_kernels())
          for (const std::int64_t tokens : kTokens) check_product(*set, m, tokens, rng);
      }
}

TEST_CASE("a format that a set has no kernels for is multiplied through its codec") {
  Rng rng(19);
  KernelSet bare = *usable_kernels().back();
  const std::vector<const FormatKernels*> none(all_codecs().size(), nullptr);
  bare.formats = none.data();
  for (const PackedLayout& layout : all_layouts(16)) {
    const GuardedMatrix m = guarded_packed(random_matrix(rng, layout, 21, 70, 0.03));
    for (const std::int64_t tokens : {1, 3}) check_product(bare, m, tokens, rng);
  }
}

TEST_CASE("code 15 of a list of 15 is multiplied as its last value") {
  Rng rng(15);
  const PackedLayout layout{.format = "e2m1", .bits = 4, .group = 16};
  GuardedMatrix m = guarded_packed(random_matrix(rng, layout, 20, 70, 0));
  std::memset(m.parts[0].data(), 0xff, m.parts[0].size());  // the codes, under the view
  m.weights = unpack(*m.matrix.view().packed);
  for (const KernelSet* set : usable_kernels())
    for (const std::int64_t tokens : kTokens) check_product(*set, m, tokens, rng);
}

TEST_CASE("an overlay of every size adds what unpack adds") {
  Rng rng(13);
  for (const double share : {0.0, 0.001, 0.01, 0.3, 1.0}) {
    const PackedLayout layout{.variant = "bilevel", .bits = 3, .group = 16};
    const GuardedMatrix m = guarded_packed(random_matrix(rng, layout, 50, 333, share));
    for (const KernelSet* set : usable_kernels())
      for (const std::int64_t tokens : kTokens) check_product(*set, m, tokens, rng);
  }
}

TEST_CASE("the number of threads changes no bit") {
  Rng rng(14);
  for (const PackedLayout& layout :
       {PackedLayout{.variant = "bilevel", .bits = 3, .group = 16},
        PackedLayout{.variant = "blocks", .bits = 3}, PackedLayout{.format = "nf4", .bits = 4},
        PackedLayout{.format = "lut", .bits = 4, .group = 0},
        PackedLayout{.format = "lut", .bits = 3},
        PackedLayout{
            .format = "trellis", .variant = "1mad", .bits = 2, .group = 0, .rotation = 4}}) {
    const GuardedMatrix m = guarded_packed(random_matrix(rng, layout, 1000, 520, 0.01));
    for (const KernelSet* set : usable_kernels())
      for (const std::int64_t tokens : {1, 7}) {
        const Guarded x = random_input(rng, tokens * 520);
        std::vector<float> first(1000 * tokens), y(first.size());
        for (const int threads : {1, 2, 3, 8}) {
          const ThreadScope scope(threads);
          matmul(*set, m.matrix, x.floats(), tokens, y.data());
          if (threads == 1) first = y;
          CHECK(std::memcmp(first.data(), y.data(), first.size() * 4) == 0);
        }
      }
  }
}

TEST_CASE("products of one input give the bits of one after the other, whatever their layouts") {
  Rng rng(18);
  std::vector<GuardedMatrix> matrices;
  for (const PackedLayout& layout :
       {PackedLayout{.bits = 4, .group = 128},
        PackedLayout{.bits = 4, .group = 128, .symmetric = true},
        PackedLayout{.variant = "blocks", .bits = 3, .group = 128},
        PackedLayout{.bits = 4, .group = 16}, PackedLayout{.format = "nf4", .bits = 4, .group = 16},
        PackedLayout{.format = "lut", .bits = 3},
        PackedLayout{.bits = 4, .group = 128, .rotation = 4},
        PackedLayout{.format = "column-trellis", .bits = 4, .group = 0, .rotation = 4},
        PackedLayout{.format = "column-trellis", .bits = 3, .group = 0, .rotation = 4},
        PackedLayout{.format = "column-trellis", .bits = 4, .group = 0, .rotation = 5}})
    for (const std::int64_t out : {5, 300})
      matrices.push_back(guarded_packed(random_matrix(rng, layout, out, 260, out == 5 ? 0.1 : 0)));
  matrices.push_back(guarded_dense(rng, DType::f16, 70, 260));
  for (const KernelSet* set : usable_kernels())
    for (const Activations activations : {Activations::f32, Activations::q8})
      for (const std::int64_t tokens : {1, 9}) {
        const Guarded x = random_input(rng, tokens * 260);
        for (const std::size_t step : {1, 2, 5}) {  // neighbours, and what lies apart
          std::vector<MatrixProduct> products;
          std::vector<std::vector<float>> alone, together;
          for (std::size_t i = 0; i < 3; ++i) {
            const MatrixView& m = matrices[(i * step + step) % matrices.size()].matrix.view();
            alone.emplace_back(static_cast<std::size_t>(m.out * tokens));
            together.push_back(alone.back());
            matmul(*set, m, x.floats(), tokens, alone[i].data(), activations);
            products.push_back({&m, nullptr});
          }
          for (std::size_t i = 0; i < 3; ++i) products[i].y = together[i].data();
          for (const int threads : {1, 3}) {
            const ThreadScope scope(threads);
            matmul(*set, products, x.floats(), tokens, activations);
            CHECK(alone == together);
          }
        }
      }
}

TEST_CASE("kernels that this CPU cannot run are refused") {
  const std::vector<std::string_view> here = instruction_sets();
  for (const std::string_view set :
       {"avx2", "avx-vnni", "avx512", "avx512-vnni", "neon", "neon-dotprod"})  // no CPU can run all
    if (std::find(here.begin(), here.end(), set) == here.end())
      CHECK_THROWS_WITH_AS(Runtime({.instruction_set = std::string(set)}),
                           doctest::Contains("what this CPU can run"), Error);
}

TEST_CASE("kernels are chosen by name, in one thread alone") {
  const std::string_view before = kernels().isa;
  CHECK(before == instruction_sets().back());
  for (const std::string_view name : instruction_sets()) {
    const Runtime runtime({.instruction_set = std::string(name)});
    const Runtime::Scope scope(runtime);
    CHECK(kernels().isa == name);
    CHECK(Runtime::current().instruction_set() == name);
    std::string_view elsewhere;
    std::thread([&] { elsewhere = kernels().isa; }).join();
    CHECK(elsewhere == before);
  }
  CHECK(kernels().isa == before);
  CHECK_THROWS_WITH_AS(Runtime({.instruction_set = "avx9"}), doctest::Contains("one of reference"),
                       Error);
}

TEST_CASE("runtimes work side by side, each with its own threads, kernels and numbers") {
  Rng rng(41);
  const GuardedMatrix m =
      guarded_packed(random_matrix(rng, PackedLayout{.bits = 4, .group = 128}, 300, 520, 0.01));
  const Guarded x = random_input(rng, 9 * 520);
  const auto product = [&] {
    std::vector<float> y(9 * 300);
    matmul(m.matrix, x.floats(), 9, y.data());
    return y;
  };
  std::vector<Runtime> runtimes;
  std::vector<std::vector<float>> expected;
  for (const std::string_view name : instruction_sets())
    for (const Activations one : {Activations::f32, Activations::q8}) {
      const int threads = static_cast<int>(runtimes.size()) % 3 + 1;
      runtimes.push_back(Runtime({threads, std::string(name), one}));
      expected.emplace_back(9 * 300);
      const KernelSet* set = *std::ranges::find(usable_kernels(), name, &KernelSet::isa);
      matmul(*set, m.matrix, x.floats(), 9, expected.back().data(), one);
    }
  CHECK(expected[0] != expected[1]);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> users;
  for (std::size_t i = 0; i < runtimes.size(); ++i)
    for (int twice = 0; twice < 2; ++twice)  // two threads share a runtime
      users.emplace_back([&, i] {
        const Runtime::Scope scope(runtimes[i]);
        for (int round = 0; round < 20; ++round) {
          // In a thread of the pool the caller's runtime is in force, too.
          std::vector<float> inner(2 * 300);
          parallel_for(2, 1, [&](std::int64_t begin, std::int64_t) {
            matmul(m.matrix, x.floats() + begin * 520, 1,
                   &inner[static_cast<std::size_t>(begin) * 300]);
          });
          std::vector<float> outer(300);
          matmul(m.matrix, x.floats() + 520, 1, outer.data());
          wrong += product() != expected[i] || !std::equal(outer.begin(), outer.end(), &inner[300]);
          wrong += thread_count() != runtimes[i].threads();
        }
      });
  for (std::thread& user : users) user.join();
  CHECK(wrong == 0);
}

TEST_CASE("a matrix is two-dimensional and of a float type") {
  const std::byte bytes[16] = {};
  CHECK_THROWS_AS(Matrix(TensorView{"w", DType::i8, {2, 2}, bytes}), Error);
  CHECK_THROWS_AS(Matrix(TensorView{"w", DType::f16, {4}, bytes}), Error);
}
