// Speed of the matrix products: one token in GB/s of stored weights against the machine's read
// bandwidth, 64 tokens in GFLOP/s against dot products in its L1 cache, beside the reference twin.
// Usage: bench_kernel [out in]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <numeric>
#include <optional>

#include "core/threads.h"
#include "format/random_matrix.h"
#include "kernel/kernel.h"

using namespace karat;

namespace {

/// Least seconds of one call over at least 5 calls and 0.3 s: other processes only ever add time.
double seconds(const auto& call) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30, total = 0;
  for (int runs = 0; runs < 5 || total < 0.3; ++runs) {
    const auto start = Clock::now();
    call();
    const double taken = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, taken);
    total += taken;
  }
  return best;
}

/// GB/s of summing 512 MiB with all threads: far more than any cache holds.
double read_bandwidth() {
  const std::vector<std::uint64_t> words(std::size_t{1} << 26, 3);
  const auto count = static_cast<std::int64_t>(words.size());
  std::vector<std::uint64_t> sums(64);
  const double taken = seconds([&] {
    parallel_for(count, count / 64, [&](std::int64_t begin, std::int64_t end) {
      sums[begin / (count / 64)] =
          std::accumulate(words.begin() + begin, words.begin() + end, std::uint64_t{0});
    });
  });
  if (std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) != 3 * words.size()) std::abort();
  return static_cast<double>(count) * 8 / taken / 1e9;
}

/// GFLOP/s of dot products of 2 KiB vectors that stay in the L1 cache, all threads. Each
/// multiplication takes two loads, so blocked products should beat it; it is a yardstick, not the
/// peak.
double dot_rate(const KernelSet& set) {
  constexpr std::int64_t n = 512, rounds = 200000, pieces = 64;
  alignas(64) static float a[n], b[n];
  std::vector<float> sums(pieces);
  const double taken = seconds([&] {
    parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t) {
      float sum = 0;
      for (std::int64_t i = 0; i < rounds / pieces; ++i) sum += set.dot(a, b, n);
      sums[begin] = sum;
    });
  });
  return 2.0 * n * rounds / taken / 1e9;
}

struct Case {
  std::string name;
  std::optional<PackedLayout> layout;
  DType dtype = DType::f32;
  double share = 0;
};

/// Two bits, the smallest and so the hardest to unpack fast enough.
PackedLayout trellis(TrellisCode code, std::optional<std::uint32_t> rotation = {}) {
  return {.bits = 2, .group = 0, .codebook = Codebook::trellis, .code = code, .rotation = rotation};
}

const std::vector<Case> kCases = {
    {"F32", {}, DType::f32},
    {"F16", {}, DType::f16},
    {"BF16", {}, DType::bf16},
    {"8 bit g128", PackedLayout{.bits = 8, .group = 128}},
    {"4 bit g128", PackedLayout{.bits = 4, .group = 128}},
    {"4 bit g128 + 1 %", PackedLayout{.bits = 4, .group = 128}, DType::f32, 0.01},
    {"3 bit g128", PackedLayout{.bits = 3, .group = 128}},
    {"3 bit g16 bilevel", PackedLayout{.bits = 3, .group = 16, .bilevel = true}},
    {"3 bit g16 bi + 1 %", PackedLayout{.bits = 3, .group = 16, .bilevel = true}, DType::f32, 0.01},
    {"2 bit g64", PackedLayout{.bits = 2, .group = 64}},
    {"nf4 g128", PackedLayout{.bits = 4, .group = 128, .codebook = Codebook::nf4}},
    {"4 bit tables", PackedLayout{.bits = 4, .group = 0, .codebook = Codebook::lut}},
    {"3 bit tables", PackedLayout{.bits = 3, .group = 0, .codebook = Codebook::lut}},
    {"3 bit tables g128", PackedLayout{.bits = 3, .group = 128, .codebook = Codebook::lut}},
    {"2 bit tables", PackedLayout{.bits = 2, .group = 0, .codebook = Codebook::lut}},
    {"4 bit trellis", PackedLayout{.bits = 4, .group = 0, .codebook = Codebook::trellis}},
    {"3 bit trellis", PackedLayout{.bits = 3, .group = 0, .codebook = Codebook::trellis}},
    {"2 bit trellis", trellis(TrellisCode::one_mad)},
    {"2 bit trellis 3inst", trellis(TrellisCode::three_inst)},
    {"2 bit trellis, rot.", trellis(TrellisCode::one_mad, 0)},
};

void measure(const Case& c, std::int64_t out, std::int64_t in) {
  Rng rng(1);
  PackedTensors packed;
  std::vector<std::byte> dense;
  Matrix matrix;
  if (c.layout) {
    packed = pack_and_view(random_matrix(rng, *c.layout, out, in, c.share));
    matrix = Matrix(packed.view);
  } else {
    dense.resize(static_cast<std::size_t>(out * in) * byte_size(c.dtype));  // zeros: same speed
    matrix = Matrix(TensorView{"w", c.dtype, {out, in}, dense.data()});
  }
  constexpr std::int64_t tokens = 64;
  std::vector<float> x(static_cast<std::size_t>(tokens * in)),
      y(static_cast<std::size_t>(tokens * out));
  for (float& value : x) value = static_cast<float>(rng.uniform() - 0.5);
  const double bytes = static_cast<double>(matrix.bytes());
  const double weights = static_cast<double>(out) * static_cast<double>(in);
  for (const KernelSet* set : usable_kernels()) {
    const double one = seconds([&] { matmul(*set, matrix, x.data(), 1, y.data()); });
    const std::int64_t many = set == &reference_kernels() ? 8 : tokens;  // the twin is slow
    const double all = seconds([&] { matmul(*set, matrix, x.data(), many, y.data()); });
    fmt::print("{:20} {:9} {:6.3f} {:9.3f} {:8.2f} {:8.2f} {:9.1f}\n", c.name, set->isa,
               8 * bytes / weights, one * 1e3, bytes / one / 1e9, weights / one / 1e9,
               2 * weights * static_cast<double>(many) / all / 1e9);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t out = argc > 2 ? std::atoll(argv[1]) : 8192;
  const std::int64_t in = argc > 2 ? std::atoll(argv[2]) : 4096;
  if (out < 1 || in < 1 || in > 65536 || out > 1 << 20) {
    fmt::print(stderr, "bench_kernel: got [{}, {}], expected [1 … 2^20, 1 … 65536]\n", argv[1],
               argv[2]);
    return 2;
  }
  fmt::print("{} threads, matrix [{}, {}]\n", thread_count(), out, in);
  fmt::print("read bandwidth {:.1f} GB/s\n", read_bandwidth());
  for (const KernelSet* set : usable_kernels())
    fmt::print("dot products in the L1 cache, {}: {:.0f} GFLOP/s\n", set->isa, dot_rate(*set));
  fmt::print("{:20} {:9} {:>6} {:>9} {:>8} {:>8} {:>9}\n", "format", "kernels", "bits", "ms, T=1",
             "GB/s", "Gw/s", "GFLOP/s");
  for (const Case& c : kCases) measure(c, out, in);
  return 0;
}
