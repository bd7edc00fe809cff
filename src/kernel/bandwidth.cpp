#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <vector>

#include "core/threads.h"
#include "karat/bench.h"

namespace karat {
namespace {

constexpr std::int64_t kWords = std::int64_t{1} << 26;  // 512 MiB
constexpr std::int64_t kPieces = 512;                   // a MiB each
constexpr int kPasses = 8;

/// Eight sums, so that additions do not wait for each other. `ahead`: requests the line 4 KiB
/// further on, as kernels do; which way is faster depends on the machine.
std::uint64_t sum_words(const std::uint64_t* words, std::int64_t count, bool ahead) {
  std::uint64_t sums[8] = {};
  for (std::int64_t i = 0; i < count; i += 8) {
    if (ahead) __builtin_prefetch(words + i + 512, 0, 2);
    for (int k = 0; k < 8; ++k) sums[k] += words[i + k];
  }
  return std::accumulate(sums, sums + 8, std::uint64_t{0});
}

}  // namespace

double read_bandwidth() {
  using Clock = std::chrono::steady_clock;
  const std::vector<std::uint64_t> words(static_cast<std::size_t>(kWords), 3);
  std::vector<std::uint64_t> sums(kPieces);
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    parallel_for(kPieces, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p)
        sums[static_cast<std::size_t>(p)] =
            sum_words(words.data() + p * (kWords / kPieces), kWords / kPieces, pass % 2 == 1);
    });
    const double taken = std::chrono::duration<double>(Clock::now() - start).count();
    // The total is looked at, or nothing would have to be read.
    if (std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) == 3 * kWords)
      best = std::max(best, 8.0 * static_cast<double>(kWords) / taken / 1e9);
  }
  return best;
}

}  // namespace karat
