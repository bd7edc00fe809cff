// Speed of the matrix products: one token in GB/s of stored weights and as a share of the machine's
// read bandwidth, many tokens (64) in GFLOP/s beside dot products in its L1 cache, and the naive
// twin. Enough copies of each matrix are multiplied in turn that none is still in a cache, or with
// --cached one again and again. Usage: bench_kernel [--json] [--baseline FILE] [--only TEXT]
// [--isa SET] [--tokens N] [--cached] [out in]
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/threads.h"
#include "format/random_matrix.h"
#include "karat/bench.h"
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
PackedLayout trellis(const char* code, std::optional<std::uint32_t> rotation = {}) {
  return {.format = "trellis", .variant = code, .bits = 2, .group = 0, .rotation = rotation};
}

/// 4 bits in the basis of a block Hadamard transform; of inputs rounded to `input_bits`, or not: 0.
PackedLayout turned(int input_bits) {
  return {.format = "midrise",
          .bits = 4,
          .group = 0,
          .hadamard = 128,
          .input_grid = input_bits > 0 ? "gaussian" : "",
          .input_bits = input_bits};
}

const std::vector<Case> kCases = {
    {"F32", {}, DType::f32},
    {"F16", {}, DType::f16},
    {"BF16", {}, DType::bf16},
    {"4 bit turned", turned(0)},
    {"4 bit turned A4", turned(4)},
    {"8 bit g128", PackedLayout{.bits = 8, .group = 128}},
    {"4 bit g128", PackedLayout{.bits = 4, .group = 128}},
    {"4 bit g128 + 1 %", PackedLayout{.bits = 4, .group = 128}, DType::f32, 0.01},
    {"3 bit g128", PackedLayout{.variant = "blocks", .bits = 3, .group = 128}},
    {"3 bit g64", PackedLayout{.variant = "blocks", .bits = 3, .group = 64}},
    {"3 bit g32", PackedLayout{.variant = "blocks", .bits = 3, .group = 32}},
    {"3 bit g128 stream", PackedLayout{.bits = 3, .group = 128}},
    {"3 bit g16 bilevel", PackedLayout{.variant = "bilevel blocks", .bits = 3, .group = 16}},
    {"3 bit g16 bi + 1 %", PackedLayout{.variant = "bilevel blocks", .bits = 3, .group = 16},
     DType::f32, 0.01},
    {"3 bit g16 stream", PackedLayout{.variant = "bilevel", .bits = 3, .group = 16}},
    {"2 bit g64", PackedLayout{.bits = 2, .group = 64}},
    {"nf4 g128", PackedLayout{.format = "nf4", .bits = 4, .group = 128}},
    {"4 bit tables", PackedLayout{.format = "lut", .bits = 4, .group = 0}},
    {"3 bit tables", PackedLayout{.format = "lut", .bits = 3, .group = 0}},
    {"3 bit tables g128", PackedLayout{.format = "lut", .bits = 3, .group = 128}},
    {"2 bit tables", PackedLayout{.format = "lut", .bits = 2, .group = 0}},
    {"4 bit trellis", PackedLayout{.format = "trellis", .variant = "1mad", .bits = 4, .group = 0}},
    {"3 bit trellis", PackedLayout{.format = "trellis", .variant = "1mad", .bits = 3, .group = 0}},
    {"2 bit trellis", trellis("1mad")},
    {"2 bit trellis 3inst", trellis("3inst")},
    {"2 bit trellis, rot.", trellis("1mad", 0)},
    {"5 bit columns", PackedLayout{.format = "column-trellis", .bits = 5, .group = 0}},
    {"4 bit columns", PackedLayout{.format = "column-trellis", .bits = 4, .group = 0}},
    {"3 bit columns", PackedLayout{.format = "column-trellis", .bits = 3, .group = 0}},
    {"2 bit columns", PackedLayout{.format = "column-trellis", .bits = 2, .group = 0}},
};

/// One matrix of a case, and the memory that it lies in.
struct Copy {
  Copy(const Case& c, std::int64_t out, std::int64_t in, const PackedMatrix& random) {
    if (c.layout) {
      packed = pack_and_view(random);
      matrix = Matrix(packed.view);
    } else {
      dense.resize(static_cast<std::size_t>(out * in) * byte_size(c.dtype));  // zeros: same speed
      matrix = Matrix(TensorView{"w", c.dtype, {out, in}, dense.data()});
    }
  }
  PackedTensors packed;
  std::vector<std::byte> dense;
  Matrix matrix;
};

/// At least as many that together they are twice as large as the last-level cache; one if cached.
std::vector<Copy> copies_of(const Case& c, std::int64_t out, std::int64_t in, bool cached) {
  constexpr std::int64_t kLeast = 96 << 20;  // bytes
  const std::int64_t together =
      std::max<std::int64_t>(2 * ::sysconf(_SC_LEVEL3_CACHE_SIZE), kLeast);
  Rng rng(1);
  const PackedMatrix random =
      c.layout ? random_matrix(rng, *c.layout, out, in, c.share) : PackedMatrix{};
  std::vector<Copy> copies;
  copies.emplace_back(c, out, in, random);
  if (cached) return copies;
  const std::int64_t count = together / std::max<std::int64_t>(copies[0].matrix.bytes(), 1) + 1;
  while (static_cast<std::int64_t>(copies.size()) < count) copies.emplace_back(c, out, in, random);
  return copies;
}

/// Seconds a call, over all copies in turn.
double seconds_each(const std::vector<Copy>& copies, const KernelSet& set, Activations activations,
                    std::int64_t tokens, const std::vector<float>& x, std::vector<float>& y) {
  const double all = seconds([&] {
    for (const Copy& copy : copies)
      matmul(set, copy.matrix, x.data(), tokens, y.data(), activations);
  });
  return all / static_cast<double>(copies.size());
}

using Json = nlohmann::ordered_json;

Json measure(const Case& c, const KernelSet& set, Activations activations,
             const std::vector<Copy>& copies, std::int64_t many, double bandwidth) {
  const Matrix& matrix = copies[0].matrix;
  const bool slow = &set == &reference_kernels();
  const std::int64_t tokens = slow ? 4 : many;
  Rng rng(1);
  std::vector<float> x(static_cast<std::size_t>(tokens * matrix.in())),
      y(static_cast<std::size_t>(tokens * matrix.out()));
  for (float& value : x) value = static_cast<float>(rng.uniform() - 0.5);
  const double bytes = static_cast<double>(matrix.bytes());
  const double weights = static_cast<double>(matrix.out()) * static_cast<double>(matrix.in());
  const double one = seconds_each(copies, set, activations, 1, x, y);
  const double all = seconds_each(copies, set, activations, tokens, x, y);
  return {{"format", c.name},
          {"kernels", set.isa},
          {"activations", name_of(activations)},
          {"bits", 8 * bytes / weights},
          {"ms", one * 1e3},
          {"gigabytes_per_second", bytes / one / 1e9},
          {"share_of_bandwidth", bytes / one / 1e9 / bandwidth},
          {"gigaweights_per_second", weights / one / 1e9},
          {"gflop_per_second", 2 * weights * static_cast<double>(tokens) / all / 1e9}};
}

/// Milliseconds before ÷ now of the same row of a report, or nothing.
std::optional<double> gain(const Json& row, const Json& before) {
  for (const Json& old : before.value("rows", Json::array()))
    if (old["format"] == row["format"] && old["kernels"] == row["kernels"] &&
        old["activations"] == row["activations"])
      return old["ms"].get<double>() / row["ms"].get<double>();
  return std::nullopt;
}

void print(const Json& row, const Json& before) {
  const auto ratio = gain(row, before);
  fmt::print("{:20} {:11} {:4} {:6.3f} {:8.3f} {:7.2f} {:5.0f} {:7.2f} {:8.1f}{}\n",
             row["format"].get<std::string>(), row["kernels"].get<std::string>(),
             row["activations"].get<std::string>(), row["bits"].get<double>(),
             row["ms"].get<double>(), row["gigabytes_per_second"].get<double>(),
             100 * row["share_of_bandwidth"].get<double>(),
             row["gigaweights_per_second"].get<double>(), row["gflop_per_second"].get<double>(),
             ratio ? fmt::format("  {:.3f}", *ratio) : "");
}

struct Arguments {
  bool json = false, cached = false;
  std::string baseline, only, isa;
  std::int64_t out = 8192, in = 4096, tokens = 64;
};

std::optional<Arguments> parse(int argc, char** argv) {
  Arguments result;
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; ++i) {
    const std::string name = argv[i];
    if (name == "--json")
      result.json = true;
    else if (name == "--cached")
      result.cached = true;
    else if (name == "--baseline" && i + 1 < argc)
      result.baseline = argv[++i];
    else if (name == "--only" && i + 1 < argc)
      result.only = argv[++i];
    else if (name == "--isa" && i + 1 < argc)
      result.isa = argv[++i];
    else if (name == "--tokens" && i + 1 < argc)
      result.tokens = std::atoll(argv[++i]);
    else
      return std::nullopt;
  }
  if (result.tokens < 1 || result.tokens > 65536) return std::nullopt;
  if (i == argc) return result;
  if (i + 2 != argc) return std::nullopt;
  result.out = std::atoll(argv[i]);
  result.in = std::atoll(argv[i + 1]);
  if (result.out < 1 || result.in < 1 || result.in > 65536 || result.out > 1 << 20)
    return std::nullopt;
  return result;
}

/// The set asked for, or all; the twin only among all cases.
std::vector<const KernelSet*> sets_of(const Arguments& arguments) {
  std::vector<const KernelSet*> sets;
  for (const KernelSet* set : usable_kernels())
    if (arguments.isa.empty() ? set != &reference_kernels() || arguments.only.empty()
                              : set->isa == arguments.isa)
      sets.push_back(set);
  return sets;
}

/// All cases; rows are printed as they come unless JSON is wanted.
Json run(const Arguments& arguments, const Json& before) {
  const double bandwidth = read_bandwidth();
  Json report{{"threads", thread_count()},
              {"out", arguments.out},
              {"in", arguments.in},
              {"tokens", arguments.tokens},
              {"read_gigabytes_per_second", bandwidth},
              {"rows", Json::array()}};
  for (const KernelSet* set : usable_kernels())
    report["dot_gflop_per_second"][std::string(set->isa)] = dot_rate(*set);
  if (!arguments.json)
    fmt::print(
        "{} threads, matrix [{}, {}], read bandwidth {:.1f} GB/s, dot products {}\n{:20} "
        "{:11} {:4} {:>6} {:>8} {:>7} {:>5} {:>7} {:>8}\n",
        thread_count(), arguments.out, arguments.in, bandwidth,
        report["dot_gflop_per_second"].dump(), "format", "kernels", "act.", "bits", "ms, T=1",
        "GB/s", "%", "Gw/s", "GFLOP/s");
  for (const Case& c : kCases) {
    if (c.name.find(arguments.only) == std::string::npos) continue;
    const std::vector<Copy> copies = copies_of(c, arguments.out, arguments.in, arguments.cached);
    for (const KernelSet* set : sets_of(arguments))
      for (const Activations activations : {Activations::f32, Activations::q8}) {
        if (activations == Activations::q8 && !takes_int8(copies[0].matrix)) continue;
        if (set == &reference_kernels() && activations == Activations::q8)
          continue;  // the twin's time is the same
        report["rows"].push_back(
            measure(c, *set, activations, copies, arguments.tokens, bandwidth));
        if (!arguments.json) print(report["rows"].back(), before);
      }
  }
  return report;
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse(argc, argv);
  if (!arguments || sets_of(*arguments).empty()) {
    fmt::print(
        stderr,
        "bench_kernel [--json] [--baseline FILE] [--only TEXT] [--isa SET] [--tokens N] [--cached] "
        "[out in], out at most 2^20, in and N at most 65536, SET one of {}\n",
        fmt::join(instruction_sets(), ", "));
    return 2;
  }
  Json before = Json::object();
  if (!arguments->baseline.empty()) {
    std::ifstream file(arguments->baseline);
    before = Json::parse(file, nullptr, false);
    if (!before.is_object() || !before.contains("rows")) {
      fmt::print(stderr, "{}: got no report, expected what bench_kernel --json printed\n",
                 arguments->baseline);
      return 2;
    }
  }
  const Json report = run(*arguments, before);
  if (arguments->json) fmt::print("{}\n", report.dump(1));
  return 0;
}
