// The column trellis: its search against all sequences, its distortion on normal numbers, and what
// the grid stores.
#include <doctest/doctest.h>

#include <cmath>

#include "core/threads.h"
#include "format/codec.h"
#include "grid/column-trellis/column.h"
#include "grid/testing.h"
#include "karat/error.h"

namespace karat {
Grid column_trellis_grid(Options& options);
Grid uniform_grid(Options& options);
}  // namespace karat
using namespace karat;
using testing::grid_of, testing::normal;

namespace {

/// Σ (x − value)², each value by its definition.
double column_error(int bits, const std::vector<float>& x, const std::vector<std::uint8_t>& codes) {
  const ColumnCode& code = column_code(bits);
  double error = 0;
  for (std::size_t row = 0; row < x.size(); ++row) {
    std::uint8_t column[ColumnCode::kMostRows] = {};
    for (std::size_t r = 0; r < static_cast<std::size_t>(code.rows); ++r)
      column[r] = codes[(row + 8 * x.size() - r) % x.size()];
    error += std::pow(x[row] - code.step * float(column_sum(code, column) - code.zero), 2);
  }
  return error;
}

/// Mean squared error of coding each row as a segment of a column.
double distortion(int bits, const torch::Tensor& segments) {
  ColumnSearch search(bits);
  const std::int64_t n = segments.size(1);
  double error = 0;
  for (std::int64_t i = 0; i < segments.size(0); ++i) {
    const float* first = segments.data_ptr<float>() + i * n;
    const std::vector<float> x(first, first + n);
    std::vector<std::uint8_t> codes(x.size());
    search.encode(x.data(), n, codes.data());
    error += column_error(bits, x, codes);
  }
  return error / static_cast<double>(segments.numel());
}

double mean_square(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).square().mean().item<double>();
}

}  // namespace

TEST_CASE("short columns: the search finds the best of all sequences of codes") {
  for (const int bits : {2, 3, 4, 5})
    for (int n = 1; n * bits <= 15; ++n) {
      const std::vector<float> x = normal(n, static_cast<std::uint64_t>(10 * n + bits));
      std::vector<std::uint8_t> found(x.size()), tried(x.size());
      ColumnSearch(bits).encode(x.data(), n, found.data());
      double least = INFINITY;
      for (unsigned all = 0; all < 1u << n * bits; ++all) {
        for (int r = 0; r < n; ++r)
          tried[static_cast<std::size_t>(r)] =
              static_cast<std::uint8_t>(all >> r * bits & ((1u << bits) - 1));
        least = std::min(least, column_error(bits, x, tried));
      }
      CHECK(column_error(bits, x, found) <= least * (1 + 1e-5));
    }
}

TEST_CASE("columns are decoded as the format defines it") {
  Rng rng(3);
  for (const int bits : {2, 3, 4, 5}) {
    std::vector<std::uint8_t> codes(40);
    for (auto& code : codes) code = static_cast<std::uint8_t>(rng.below(1u << bits));
    std::vector<float> values(codes.size());
    decode_column(bits, codes.data(), std::ssize(codes), values.data());
    CHECK(column_error(bits, values, codes) == 0);
  }
}

TEST_CASE("a column's codes are the same whichever step this CPU runs") {
  for (const int bits : {2, 3, 4, 5}) {
    std::vector<float> x = normal(100, bits);
    x[7] = 6, x[50] = -1e3f;  // beyond all values
    x[30] = -3.85f, x[31] = 2.4f;
    std::vector<std::uint8_t> first, found(x.size());
    for (const ColumnStep step : column_steps()) {
      ColumnSearch(bits, step).encode(x.data(), std::ssize(x), found.data());
      if (first.empty()) first = found;
      CHECK(found == first);
    }
  }
}

TEST_CASE("a number in the tails and one far from it: what follows is coded as well as ever") {
  // Of 5 bits no path that the first leaves has a value within seven sums of some numbers.
  for (const int bits : {2, 3, 4, 5})
    for (std::uint64_t seed = 0; seed < 64; ++seed) {
      std::vector<float> x = normal(200, seed);
      x[20] = -3.85f, x[21] = 2.4f;
      std::vector<std::uint8_t> codes(x.size());
      ColumnSearch(bits).encode(x.data(), std::ssize(x), codes.data());
      std::vector<float> values(x.size());
      decode_column(bits, codes.data(), std::ssize(codes), values.data());
      double error = 0;
      for (std::size_t row = 24; row < x.size(); ++row)
        error += std::pow(x[row] - values[row], 2) / static_cast<double>(x.size() - 24);
      CHECK(error < 4 * std::pow(4, -bits));
    }
}

TEST_CASE("of a column's codes the oldest meets the newest alone, in the first table") {
  for (const int bits : {2, 3, 4, 5}) {
    const ColumnCode& code = column_code(bits);
    CHECK(code.factor[0][0] == code.factor[0][code.rows - 1]);  // the search adds their codes
    for (int t = 0; t < ColumnCode::kTables; ++t)
      for (int r = 0; r < code.rows; ++r)
        if (code.factor[t][r] != 0) {
          CHECK((t == 0) >= (r == code.rows - 1));
          if (t == 0) CHECK(r % (code.rows - 1) == 0);
        }
  }
}

TEST_CASE("distortion of normal numbers: lower than that of hashed values") {
  // 1mad12 leaves 0.0744, 0.0193, 0.00499 and 0.00134.
  for (const auto& [bits, expected] :
       {std::pair{2, 0.0727}, {3, 0.0185}, {4, 0.0047}, {5, 0.00127}}) {
    const double found = distortion(bits, normal(128, 256, 64));
    MESSAGE(bits, " bits: ", found);
    CHECK(found < expected);
    CHECK(found > std::pow(4, -bits));
  }
}

TEST_CASE("numbers wider than those that values suit cost what values beyond them cost, not more") {
  CHECK(distortion(4, normal(32, 256, 65) * 1.5) < 0.03);  // 0.042 where costs have one unit
}

TEST_CASE("column trellis: more bits, and against a uniform grid, on odd sizes") {
  const torch::Tensor w = normal(300, 172, 3) * 0.02;
  double before = 1;
  for (const char* bits : {"2", "3", "4", "5"}) {
    const Grid trellis = grid_of(column_trellis_grid, std::string("bits=") + bits);
    CHECK(trellis.block == 1);
    const auto error = [&](const Grid& grid) {
      const GridParams params = grid.fit({.weight = w});
      return mean_square(grid.decode(grid.encode(w, params), params), w);
    };
    const double found = error(trellis);
    CHECK(found < before);
    before = found;
    if (bits == std::string("5")) continue;  // uniform has no such codes
    CHECK(found < 0.6 * error(grid_of(uniform_grid, std::string("group=0,bits=") + bits)));
  }
}

TEST_CASE("column trellis: what is stored decodes to what the grid says, on any threads") {
  for (const int bits : {2, 3, 4, 5})
    for (const auto& [out, in] : {std::pair{1, 1}, {300, 5}, {20, 140}}) {
      const Grid grid = grid_of(column_trellis_grid, "bits=" + std::to_string(bits));
      const torch::Tensor w = normal(out, in, 5);
      Solution solution;
      solution.params = {grid.fit({.weight = w})};
      {
        const ThreadScope scope(1);
        solution.codes = grid.encode(w, solution.params[0]);
      }
      for (const int threads : {2, 5}) {
        const ThreadScope scope(threads);
        CHECK(torch::equal(solution.codes, grid.encode(w, solution.params[0])));
      }
      solution.weight = w;
      if (in > 1) solution.kept = w.abs() > 2;
      const Stored stored = grid.store("m", solution);
      std::vector<TensorView> views;
      for (const OwnedTensor& tensor : stored.tensors) views.push_back(tensor.view());
      const PackedView view = packed_view("m", stored.layout, out, in, [&](std::string_view name) {
        const auto at = std::ranges::find(views, name, &TensorView::name);
        return at == views.end() ? nullptr : &*at;
      });
      CHECK(torch::equal(torch::tensor(unpack(view)).view({out, in}), stored.decoded));
    }
}

TEST_CASE("column trellis: weights that are all zero, tiny or wholly kept; what is no such grid") {
  const Grid grid = grid_of(column_trellis_grid, "bits=2");
  const auto decoded = [&](const torch::Tensor& w, const Kept& kept = {}) {
    const GridParams params = grid.fit({.weight = w, .kept = kept});
    return grid.decode(grid.encode(w, params), params);
  };
  CHECK(decoded(torch::zeros({20, 20})).abs().max().item<float>() == 0);
  CHECK(decoded(torch::ones({20, 20}), torch::ones({20, 20}, torch::kBool))
            .abs()
            .max()
            .item<float>() == 0);
  CHECK(decoded(normal(20, 20, 6) * 1e-9).abs().max().item<float>() < 1e-6f);
  for (const char* text : {"bits=6", "bits=1", "code=1mad", "group=16"})
    CHECK_THROWS_AS(grid_of(column_trellis_grid, text), Error);
}
