// ends: embedding and head, which are stored like linear layers and known by their tensors' names
// without ".weight".
#include <algorithm>
#include <chrono>
#include <set>

#include "core/checked.h"
#include "load/ends.h"
#include "model/parallel.h"
#include "pipeline/quantized_layer.h"
#include "pipeline/steps.h"
#include "run/weights.h"

namespace karat {
namespace {

// Rows that are solved at a time, a multiple of any grid's tiles: their temporaries are what takes
// memory beside the matrix.
constexpr std::int64_t kRows = 8192;

/// Rows below those of `to`; all that grids and solvers make of ends goes by rows.
void append(Solution& to, Solution more) {
  if (!to.codes.defined()) {
    to = std::move(more);
    return;
  }
  to.codes = torch::cat({to.codes, more.codes});
  for (std::size_t g = 0; g < to.params.size(); ++g)
    for (std::size_t k = 0; k < to.params[g].size(); ++k)
      to.params[g][k] = torch::cat({to.params[g][k], more.params[g][k]});
}

Solution solve(const Solver& solver, const Grid& grid, const Layer& layer) {
  const std::int64_t rows = layer.weight.size(0), pieces = (rows + kRows - 1) / kRows;
  std::vector<Solution> solved(static_cast<std::size_t>(pieces));
  parallel_indices(pieces, torch::kCPU, [&](std::int64_t i) {
    Layer piece = layer;
    piece.weight = layer.weight.narrow(0, i * kRows, std::min(kRows, rows - i * kRows));
    Solution& found = solved[static_cast<std::size_t>(i)];
    found = solver.solve(piece, {}, grid);
    found.weight = torch::Tensor();  // nothing is kept, so nobody asks for it
  });
  Solution whole;
  for (Solution& piece : solved) append(whole, std::move(piece));
  return whole;
}

QuantizedLayer quantize_end(const Source& model, const Ends& ends, const LayerWidths& widths,
                            const std::string& weight) {
  const auto start = std::chrono::steady_clock::now();
  const Layer layer{layer_of(weight), map_tensor(model.files.get(weight)).to(torch::kFloat32)};
  const auto width = widths.find(layer.name);
  const bool mixed = width != widths.end();
  const Grid& grid = mixed ? ends.grids.at(width->second.bits) : ends.grid;
  const Solution solution = solve(ends.solver, grid, layer);
  QuantizedLayer done = quantized_layer(layer, grid.store(layer.name, solution));
  if (mixed) note_width(width->second, done.report);
  done.report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return done;
}

}  // namespace

void quantize_ends(const Source& model, const Ends& ends, const LayerWidths& widths,
                   BlockStore& done, const ProgressFn& progress) {
  const torch::NoGradGuard no_grad;
  const SerialTorch serial;
  const std::vector<std::string> weights = ends_of(model.arch);
  Progress shown("ends", static_cast<std::int64_t>(weights.size()), progress);
  std::vector<QuantizedLayer> layers;
  for (const std::string& weight : weights) {
    layers.push_back(quantize_end(model, ends, widths, weight));
    shown.step();
  }
  model.files.check();
  done.put(0, layers);
}

void decode_embedding(const Source& model, const BlockStore& ends, const torch::Tensor& ids,
                      Weights& weights) {
  const QuantizedBlock block = ends.get(0);
  const Matrix matrix(block.view(block.reports.front()));
  // Pages of rows that nobody reads take no memory.
  const torch::Tensor rows = torch::empty({model.arch.vocab, model.arch.hidden});
  std::set<std::int64_t> wanted;
  const torch::Tensor flat = ids.flatten().to(torch::kInt64).contiguous();
  wanted.insert(flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel());
  checked(block.file, [&] {
    for (const std::int64_t id : wanted) {
      const std::vector<float> row = row_floats(matrix.view(), id);
      std::copy(row.begin(), row.end(), rows.data_ptr<float>() + id * model.arch.hidden);
    }
  });
  weights[model.arch.embedding] = rows;
}

void decode_head(const Source& model, const BlockStore& ends, Weights& weights) {
  const QuantizedBlock block = ends.get(0);
  const std::string name = layer_of(model.arch.head);
  const auto report = std::ranges::find(block.reports, name, &LayerReport::name);
  if (report == block.reports.end()) return;
  checked(block.file, [&] {
    weights[model.arch.head] =
        torch::tensor(unpack(block.view(*report))).view({report->out, report->in});
  });
}

}  // namespace karat
