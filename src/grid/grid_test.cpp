#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "core/rng.h"
#include "grid/affine/affine.h"
#include "karat/error.h"
#include "karat/packed.h"

namespace karat {
Grid uniform_grid(Options& options);
}
using namespace karat;

namespace {

Grid grid_of(const std::string& text) {
  Options options("grid uniform", text);
  Grid grid = uniform_grid(options);
  options.finish();
  return grid;
}

torch::Tensor random_weight(std::int64_t out, std::int64_t in, std::uint64_t seed) {
  Rng rng(seed);
  torch::Tensor weight = torch::empty({out, in}, torch::kFloat32);
  for (std::int64_t i = 0; i < out * in; ++i)
    weight.data_ptr<float>()[i] =
        static_cast<float>((rng.uniform() + rng.uniform() + rng.uniform() - 1.4) * 0.05);
  return weight;
}
Kept random_kept(std::int64_t out, std::int64_t in, double share, std::uint64_t seed) {
  return random_weight(out, in, seed).abs() > 0.075 * (1 - share);
}

Solution round_all(const Grid& grid, const torch::Tensor& weight, const Kept& kept) {
  Solution solution{.weight = weight, .kept = kept};
  std::vector<torch::Tensor> codes;
  const std::int64_t width = grid.group_size(weight.size(1));
  for (std::int64_t begin = 0; begin < weight.size(1); begin += width) {
    const std::int64_t end = std::min(weight.size(1), begin + width);
    const auto part = weight.slice(1, begin, end);
    solution.params.push_back(
        grid.fit({.weight = part, .kept = kept.defined() ? kept.slice(1, begin, end) : kept}));
    codes.push_back(grid.encode(part, solution.params.back()));
  }
  solution.codes = torch::cat(codes, 1);
  return solution;
}

PackedView view_of(const Stored& stored, std::int64_t out, std::int64_t in,
                   std::vector<TensorView>& views) {
  for (const OwnedTensor& tensor : stored.tensors) views.push_back(tensor.view());
  return packed_view("layer", stored.layout, out, in, [&](std::string_view name) {
    for (const TensorView& view : views)
      if (view.name == name) return static_cast<const TensorView*>(&view);
    return static_cast<const TensorView*>(nullptr);
  });
}

float half(float x) {
  return f16_to_float(float_to_f16(x));
}

/// The oracle: one group of one row, entry by entry. Empty when every entry is kept.
struct NaiveRange {
  float low = INFINITY, high = -INFINITY, scale = 0;
};
NaiveRange naive_range(const std::vector<float>& values, int bits) {
  NaiveRange range;
  for (const float value : values) {
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  range.scale = (range.high - range.low) / static_cast<float>((1 << bits) - 1);
  return range;
}
float naive_code(float value, float scale, float zero, int bits) {
  return std::clamp(std::nearbyint(value / scale + zero), 0.0f, float((1 << bits) - 1));
}

/// The statistics of rows in one group of columns, two-level: what the eight codes of each row's
/// 16 stand for, and which is nearest.
struct NaiveLevel {
  std::array<float, 8> values;
  float nearest;
};
std::vector<NaiveLevel> naive_second_level(const std::vector<float>& statistics) {
  std::vector<NaiveLevel> levels;
  for (std::size_t first = 0; first < statistics.size(); first += 16) {
    const std::size_t last = std::min(statistics.size(), first + 16);
    const NaiveRange range =
        naive_range({statistics.begin() + first, statistics.begin() + last}, 3);
    const float scale = half(range.scale), zero = half(-range.low / scale);
    for (std::size_t i = first; i < last; ++i) {
      NaiveLevel level{{}, scale * (naive_code(statistics[i], scale, zero, 3) - zero)};
      for (int code = 0; code < 8; ++code)
        level.values[static_cast<std::size_t>(code)] = scale * (static_cast<float>(code) - zero);
      levels.push_back(level);
    }
  }
  return levels;
}
float naive_zero(const NaiveLevel& level, const std::vector<float>& values, float scale, int bits) {
  double least = INFINITY;
  float best = 0;
  for (const float zero : level.values) {
    double lost = 0;
    for (const float value : values) {
      const float error = scale * (naive_code(value, scale, zero, bits) - zero) - value;
      lost += error * error;
    }
    if (lost < least) best = zero;
    least = std::min(least, lost);
  }
  return best;
}

torch::Tensor naive_uniform(const torch::Tensor& weight, const Kept& kept, int bits,
                            std::int64_t group, bool bilevel) {
  const std::int64_t out = weight.size(0), in = weight.size(1);
  torch::Tensor result = torch::empty_like(weight);
  for (std::int64_t begin = 0; begin < in; begin += group) {
    const std::int64_t end = std::min(in, begin + group);
    std::vector<float> scales, zeros;
    std::vector<std::vector<float>> rows;
    for (std::int64_t row = 0; row < out; ++row) {
      std::vector<float>& values = rows.emplace_back();
      for (std::int64_t j = begin; j < end; ++j)
        if (!kept.defined() || !kept[row][j].item<bool>())
          values.push_back(weight[row][j].item<float>());
      const NaiveRange range = naive_range(values, bits);
      scales.push_back(bilevel ? range.scale : half(range.scale));
      zeros.push_back(bilevel ? -range.low / range.scale : half(-range.low / scales.back()));
    }
    if (bilevel) {
      const auto of_scales = naive_second_level(scales), of_zeros = naive_second_level(zeros);
      for (std::size_t row = 0; row < rows.size(); ++row) {
        scales[row] = of_scales[row].nearest;
        zeros[row] = naive_zero(of_zeros[row], rows[row], scales[row], bits);
      }
    }
    for (std::int64_t row = 0; row < out; ++row)
      for (std::int64_t j = begin; j < end; ++j) {
        const float code = naive_code(weight[row][j].item<float>(), scales[row], zeros[row], bits);
        result[row][j].fill_(scales[row] * (code - zeros[row]));
      }
  }
  return result;
}

}  // namespace

TEST_CASE("the dossier's group of eight") {
  const torch::Tensor w = torch::tensor({{-.30f, -.10f, .05f, .20f, .25f, 1.50f, -.05f, .10f}});
  const auto check = [&](const Kept& kept, double scale, double zero, std::vector<int> codes,
                         double mse) {
    const Levels levels = integer_levels(3);
    const Affine range = min_max(w, kept, levels);
    const torch::Tensor z = zero_of(range);
    CHECK(range.scale.item<double>() == doctest::Approx(scale).epsilon(1e-6));
    CHECK(z.item<double>() == doctest::Approx(zero).epsilon(1e-6));
    const torch::Tensor found = encode(w, range.scale, z, levels);
    torch::Tensor decoded = decode(found, range.scale, z, levels);
    if (kept.defined()) decoded = torch::where(kept, w, decoded);
    for (std::size_t i = 0; i < codes.size(); ++i)
      if (codes[i] >= 0) CHECK(found[0][static_cast<std::int64_t>(i)].item<int>() == codes[i]);
    CHECK((w - decoded).square().mean().item<double>() == doctest::Approx(mse).epsilon(1e-5));
  };
  check({}, 0.2571429, 1.1666667, {0, 1, 1, 2, 2, 7, 1, 2}, 3.309950e-3);
  Kept kept = torch::zeros({1, 8}, torch::kBool);
  kept[0][5].fill_(true);
  check(kept, 0.0785714, 3.8181818, {0, 3, 4, 6, 7, -1, 3, 5}, 4.528061e-4);
}

TEST_CASE("uniform grids equal the naive double loop") {
  const torch::Tensor weight = random_weight(40, 80, 1);
  for (const bool with_kept : {false, true})
    for (const int bits : {2, 3, 4, 8})
      for (const std::int64_t group : {16, 32, 128, 0})
        for (const bool bilevel : {false, true}) {
          CAPTURE(bits);
          CAPTURE(group);
          CAPTURE(bilevel);
          const Kept kept = with_kept ? random_kept(40, 80, 0.2, 2) : Kept();
          const Grid grid =
              grid_of("bits=" + std::to_string(bits) + ",group=" + std::to_string(group) +
                      ",bilevel=" + (bilevel ? "1" : "0"));
          Solution solution = round_all(grid, weight, kept);
          solution.kept = Kept();  // the dense part alone
          const torch::Tensor expected =
              naive_uniform(weight, kept, bits, group == 0 ? 80 : group, bilevel);
          CHECK(torch::equal(grid.store("layer", solution).decoded, expected));
        }
}

TEST_CASE("symmetric grids have 2^b - 1 levels around zero") {
  const torch::Tensor weight = random_weight(8, 64, 3);
  for (const int bits : {2, 3, 4, 8}) {
    const Grid grid = grid_of("bits=" + std::to_string(bits) + ",group=0,symmetric=1");
    const torch::Tensor decoded = grid.store("layer", round_all(grid, weight, {})).decoded;
    for (std::int64_t row = 0; row < 8; ++row) {
      const float most = weight[row].abs().max().item<float>();
      const float step = half(most / static_cast<float>((1 << (bits - 1)) - 1));
      for (std::int64_t j = 0; j < 64; ++j) {
        const float value = weight[row][j].item<float>();
        CHECK(decoded[row][j].item<float>() == step * std::nearbyint(value / step));
      }
    }
  }
}

TEST_CASE("what is stored unpacks to what was promised, and kept weights survive") {
  const torch::Tensor weight = random_weight(48, 96, 4);
  for (const char* text : {"bits=3,group=16,bilevel=1", "bits=4,group=32", "bits=2,group=0",
                           "bits=8,group=64", "bits=3,group=40,symmetric=1"})
    for (const double share : {0.0, 0.1, 1.0}) {
      CAPTURE(text);
      CAPTURE(share);
      const Kept kept = share == 1.0 ? torch::ones({48, 96}, torch::kBool)
                        : share > 0  ? random_kept(48, 96, share, 5)
                                     : Kept();
      const Grid grid = grid_of(text);
      const Stored stored = grid.store("layer", round_all(grid, weight, kept));
      std::vector<TensorView> views;
      const std::vector<float> unpacked = unpack(view_of(stored, 48, 96, views));
      CHECK(torch::equal(torch::tensor(unpacked).view({48, 96}), stored.decoded));
      if (!kept.defined()) continue;
      // The residual is no larger than the range, so FP16 keeps 11 bits of it.
      const torch::Tensor error = (stored.decoded - weight).abs().masked_select(kept);
      CHECK(error.max().item<float>() <= weight.abs().max().item<float>() * 2 * 0x1p-11f);
    }
}

TEST_CASE("bits counted from stored bytes match the dossier's formula") {
  constexpr std::int64_t kOut = 128, kIn = 4096, kKeep = 5242;  // floor(0.01 · 128 · 4096)
  const torch::Tensor weight = random_weight(kOut, kIn, 6);
  Kept kept = torch::zeros({kOut, kIn}, torch::kBool);
  kept.view(-1).slice(0, 0, kKeep * 97, 97).fill_(true);
  const auto bits_of = [&](const std::string& text, const Kept& chosen) {
    const Grid grid = grid_of(text);
    const Stored stored = grid.store("layer", round_all(grid, weight, chosen));
    std::vector<TensorView> views;
    return static_cast<double>(view_of(stored, kOut, kIn, views).stored_bits()) / (kOut * kIn);
  };
  const double outliers = 32.0 * kKeep / (kOut * kIn);
  for (const int b : {2, 3, 4}) {
    const std::string bits = "bits=" + std::to_string(b);
    CHECK(bits_of(bits + ",group=16,bilevel=1", {}) == b + 0.625);
    CHECK(bits_of(bits + ",group=128", {}) == b + 0.25);
    // The formula leaves out the counts of the rows: 8 bits a row.
    CHECK(std::abs(bits_of(bits + ",group=16,bilevel=1", kept) - (b + 0.625 + outliers)) < 0.005);
    CHECK(std::abs(bits_of(bits + ",group=128", kept) - (b + 0.25 + outliers)) < 0.005);
  }
}

TEST_CASE("groups without a range decode nearly exactly, whatever the grid") {
  for (const char* text : {"bits=3,group=16,bilevel=1", "bits=2,group=16", "bits=8,group=16",
                           "bits=4,group=16,symmetric=1"}) {
    CAPTURE(text);
    const Grid grid = grid_of(text);
    const auto decoded = [&](const torch::Tensor& weight, const Kept& kept = {}) {
      const torch::Tensor result = grid.store("layer", round_all(grid, weight, kept)).decoded;
      CHECK(result.isfinite().all().item<bool>());
      return result;
    };
    for (const float value : {0.0f, 0.7f, -0.7f, 1e-3f, -1e4f}) {
      const torch::Tensor constant = torch::full({16, 16}, value);
      CHECK((decoded(constant) - constant).abs().max().item<float>() <= 2e-3f * std::abs(value));
    }
    const torch::Tensor nearly = 1 + 1e-5f * random_weight(16, 16, 7);
    CHECK((decoded(nearly) - nearly).abs().max().item<float>() <= 2e-3f);
    const torch::Tensor tiny = 1e-9f * random_weight(16, 16, 8);
    CHECK(decoded(tiny).abs().max().item<float>() <= 1e-6f);
    decoded(random_weight(16, 16, 9), torch::ones({16, 16}, torch::kBool));
  }
}

TEST_CASE("a group that is wholly kept does not disturb the statistics of its neighbours") {
  torch::Tensor weight = random_weight(16, 16, 10);
  const Grid grid = grid_of("bits=3,group=16,bilevel=1");
  Kept kept = torch::zeros({16, 16}, torch::kBool);
  kept[15].fill_(true);
  const torch::Tensor with = grid.store("layer", round_all(grid, weight, kept)).decoded;
  const torch::Tensor without =
      grid.store("layer", round_all(grid, weight.slice(0, 0, 15), {})).decoded;
  CHECK(torch::equal(with.slice(0, 0, 15), without));
}

TEST_CASE("a nearly constant group does not spoil the groups that share its statistics") {
  const torch::Tensor ordinary = random_weight(32, 64, 11);
  const auto others = torch::arange(32) != 5;
  for (const int bits : {2, 3, 4})
    for (const float sign : {1.0f, -1.0f}) {
      const Grid grid = grid_of("bits=" + std::to_string(bits) + ",group=16,bilevel=1");
      const auto error = [&](const torch::Tensor& weight) {
        return (grid.store("layer", round_all(grid, weight, {})).decoded - weight).abs();
      };
      const float far = sign * 2.5f * ordinary.std().item<float>();
      torch::Tensor odd = ordinary.clone();
      odd[5] = far + 0.002f * ordinary[5];
      const torch::Tensor before = error(ordinary), after = error(odd);
      const auto mean = [&](const torch::Tensor& errors) {
        return errors.index({others}).square().mean().item<double>();
      };
      CHECK(mean(after) < 1.1 * mean(before));
      // Its own weights are rounded as those of the widest other range are.
      const float range = (ordinary.max() - ordinary.min()).item<float>();
      CHECK(after[5].max().item<float>() < range / static_cast<float>((1 << bits) - 1));
    }
}

TEST_CASE("grids that do not exist are refused") {
  for (const char* text : {"bits=7", "bits=1", "group=-1", "bilevel=1,symmetric=1", "levels=4"})
    CHECK_THROWS_AS(grid_of(text), Error);
}
