// grid trellis: 16 × 16 weights are coded together as a closed path through 2^16 states, 2 to 5
// bits a weight (QTIP, arXiv 2406.11235). It wants weights that look normal: transform hadamard.
// Unlike there each row has its scale: where a few directions dominate a layer, rotated rows
// differ.
#include "core/threads.h"
#include "grid/shared/arrays.h"
#include "grid/shared/row_scale.h"
#include "grid/trellis/viterbi.h"

namespace karat {
namespace {

struct Coding {
  TrellisCode code;
  int bits;
};

/// The root mean square that a row should be scaled to: of those tried on 100,000 normal numbers,
/// with the least squared error. Values of 1mad have deviation 1, those of 3inst 1.24.
double best_deviation(const Coding& coding) {
  constexpr double kBest[][4] = {
      {0.98, 0.92, 0.90, 0.87}, {1.22, 1.16, 1.12, 1.10}, {0.96, 0.91, 0.86, 0.83}};
  return kBest[static_cast<std::size_t>(coding.code)][coding.bits - 2];
}

/// body(tile) for every tile of a [rows, columns] matrix.
void for_tiles(std::int64_t rows, std::int64_t columns, int bits, const auto& body) {
  const TrellisTiles tiles{rows, columns, bits};
  parallel_for(tiles.count(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(tiles.at(i));
  });
}

/// The search of a thread, whose memory is expensive to get.
Viterbi& search_of(const Coding& coding) {
  thread_local std::map<std::pair<TrellisCode, int>, Viterbi> searches;
  return searches.try_emplace({coding.code, coding.bits}, coding.code, coding.bits).first->second;
}

torch::Tensor encode(const torch::Tensor& weight, const torch::Tensor& scale,
                     const Coding& coding) {
  // With scale 0 every code decodes to 0; dividing by 1 keeps them finite.
  const torch::Tensor x =
      (weight / scale.masked_fill(scale == 0, 1)).to(torch::kCPU, torch::kFloat32).contiguous();
  const std::int64_t columns = x.size(1);
  const torch::Tensor codes = torch::empty(x.sizes(), torch::kUInt8);
  const float* from = x.data_ptr<float>();
  auto* to = codes.data_ptr<std::uint8_t>();
  for_tiles(x.size(0), columns, coding.bits, [&](const TrellisTile& tile) {
    float sequence[kTileSide * kTileSide];
    std::uint8_t found[kTileSide * kTileSide];
    const std::int64_t first = tile.row * columns + tile.column;
    for (std::int64_t r = 0; r < tile.rows; ++r)
      std::copy_n(from + first + r * columns, tile.columns, sequence + r * tile.columns);
    search_of(coding).encode(sequence, tile.size(), found);
    for (std::int64_t r = 0; r < tile.rows; ++r)
      std::copy_n(found + r * tile.columns, tile.columns, to + first + r * columns);
  });
  return codes.to(weight.device());
}

torch::Tensor decode(const torch::Tensor& codes, const torch::Tensor& scale, const Coding& coding) {
  const torch::Tensor flat = codes.to(torch::kCPU).contiguous();
  const std::int64_t columns = flat.size(1);
  const torch::Tensor values = torch::empty(flat.sizes(), torch::kFloat32);
  const auto* from = flat.data_ptr<std::uint8_t>();
  auto* to = values.data_ptr<float>();
  const float* table = trellis_values(coding.code);
  for_tiles(flat.size(0), columns, coding.bits, [&](const TrellisTile& tile) {
    const auto place = [&](std::int64_t t) {
      return (tile.row + t / tile.columns) * columns + tile.column + t % tile.columns;
    };
    const auto code_at = [&](std::int64_t t) { return from[place(t)]; };
    for (std::int64_t t = 0; t < tile.size(); ++t)
      to[place(t)] = table[trellis_state(t, tile.size(), coding.bits, code_at)];
  });
  return scale * values.to(scale.device());
}

Stored store(const std::string& name, const Solution& solution, const Coding& coding) {
  const PackedLayout layout{.format = "trellis",
                            .variant = std::string(name_of(coding.code)),
                            .bits = coding.bits,
                            .group = 0};
  return store_row_scaled(name, layout, solution,
                          decode(solution.codes, solution.params[0][0], coding));
}

}  // namespace

Grid trellis_grid(Options& options) {
  Coding coding{};
  coding.bits = static_cast<int>(options.integer("bits", 2, 2, 5, "2 to 5 bits a weight"));
  const std::string code =
      options.choice("code", "1mad", {"1mad", "3inst", "1mad12"},
                     "how a state's value is computed; 1mad12 of its first 12 bits");
  coding.code = find_trellis_code(code).value();
  Grid grid{.group = 0, .block = kTileSide, .rows = kTileSide};
  grid.fit = [deviation = best_deviation(coding)](const Slab& slab) {
    return fit_row_scale(slab, deviation);
  };
  grid.encode = [coding](const auto& weight, const GridParams& params) {
    return encode(weight, params[0], coding);
  };
  grid.decode = [coding](const auto& codes, const GridParams& params) {
    return decode(codes, params[0], coding);
  };
  grid.rescale = rescaled;
  grid.store = [coding](const std::string& name, const Solution& solution) {
    return store(name, solution, coding);
  };
  return grid;
}

}  // namespace karat
