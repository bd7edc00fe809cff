#include "pipeline/path.h"

#include <numeric>

#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/passes.h"

namespace karat {
namespace {

/// SweepOptions::edit for a point of a segment.
class Walk {
 public:
  Walk(const Source& model, const Segment& segment, double at)
      : model_(model), segment_(segment), at_(at) {}

  void move(std::size_t block, Weights& weights) {
    error_.clear();
    if (block == model_.arch.blocks.size()) return;  // the embedding stays
    if (segment_.only && *segment_.only != block) return;
    Weights end = weights;
    segment_.quantized(block, end);
    for (const Linear* linear : model_.arch.blocks[block].linears()) {
      torch::Tensor& w = weights.at(linear->name + ".weight");
      const torch::Tensor error = end.at(linear->name + ".weight").to(w.options()) - w;
      w = w + at_ * error;
      error_[linear->name] = error;
    }
  }
  /// ŵ − w of a layer in the block that moved last; undefined if it stayed.
  torch::Tensor error(const std::string& layer) const {
    const auto found = error_.find(layer);
    return found == error_.end() ? torch::Tensor() : found->second;
  }

 private:
  const Source& model_;
  const Segment& segment_;
  double at_;
  std::map<std::string, torch::Tensor> error_;
};

double sum_of_products(const torch::Tensor& a, const torch::Tensor& b) {
  return (a * b).sum(torch::kFloat64).item<double>();
}

std::vector<torch::Tensor> embedded(const Source& model, const torch::Tensor& ids) {
  const Architecture& arch = model.arch;
  Weights ends{{arch.embedding, map_tensor(model.files.get(arch.embedding))}};
  if (!arch.positions.empty())
    ends[arch.positions] = map_tensor(model.files.get(arch.positions)).to(torch::kFloat32);
  std::vector<torch::Tensor> x;
  for (std::int64_t s = 0; s < ids.size(0); ++s)
    x.push_back(embed(arch, ends, ids.narrow(0, s, 1)).to(torch::kFloat64));
  return x;
}

}  // namespace

DecodeBlock decoder(const BlockStore& blocks) {
  return [&blocks](std::size_t block, Weights& weights) { blocks.decode(block, weights); };
}

ProgressFn Stage::next() {
  if (!listener_) return {};
  return [this, sweep = begun_++](const ProgressEvent& event) { return report(sweep, event); };
}

bool Stage::report(std::size_t sweep, const ProgressEvent& event) const {
  constexpr std::int64_t kSteps = 100;  // of each sweep
  ProgressEvent whole = event;
  whole.stage = name_;
  whole.total = kSteps * static_cast<std::int64_t>(sweeps_);
  whole.done = kSteps * static_cast<std::int64_t>(sweep) + kSteps * event.done / event.total;
  whole.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  whole.seconds_left = 0;
  if (whole.done > 0)
    whole.seconds_left = whole.seconds * static_cast<double>(whole.total - whole.done) /
                         static_cast<double>(whole.done);
  return listener_(whole);
}

double Slope::total() const {
  return std::accumulate(blocks.begin(), blocks.end(), 0.0);
}

Slope slope_at(const Source& model, const Segment& segment, const CalibrationSet& text, double at,
               const GradientVisitor& visit, const ProgressFn& progress) {
  Walk walk(model, segment, at);
  SweepOptions options{.needs = {.gradient = true}, .progress = progress};
  options.edit = [&](std::size_t block, Weights& weights) { walk.move(block, weights); };
  Slope slope{.blocks = std::vector<double>(model.arch.blocks.size())};
  slope.loss = sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
                 for (const auto& [layer, stats] : block.stats) {
                   const torch::Tensor error = walk.error(layer);
                   if (error.defined())
                     slope.blocks[block.index] += sum_of_products(stats.gradient, error);
                   if (visit) visit(layer, stats.gradient);
                 }
               }).loss;
  return slope;
}

double loss_at(const Source& model, const Segment& segment, const CalibrationSet& text, double at,
               const ProgressFn& progress) {
  const torch::NoGradGuard no_grad;
  const SerialTorch serial;
  const Architecture& arch = model.arch;
  Progress blocks("loss", static_cast<std::int64_t>(arch.blocks.size()), progress);
  Walk walk(model, segment, at);
  std::vector<torch::Tensor> x = embedded(model, text.ids);
  for (std::size_t block = 0; block < arch.blocks.size(); ++block) {
    Weights weights = load_block(arch, model.files, block, torch::kCPU, torch::kFloat64);
    walk.move(block, weights);
    for (torch::Tensor& one : x) one = block_forward(arch, block, weights, one);
    blocks.step();
  }
  const Weights head = load_head(arch, model.files, torch::kCPU, torch::kFloat64);
  double sum = 0;
  for (std::size_t s = 0; s < x.size(); ++s)
    sum += next_token_loss(arch, head, x[s], text.ids.narrow(0, static_cast<std::int64_t>(s), 1))
               .item<double>();
  return sum / static_cast<double>(x.size());
}

double second_order(const Source& model, const Segment& segment, const CalibrationSet& text,
                    double start, Stage& stage, double step) {
  const double after = loss_at(model, segment, text, step, stage.next());
  const double before = loss_at(model, segment, text, -step, stage.next());
  return ((after - start) + (before - start)) / (2 * step * step);
}

double signed_total(const Source& model, const DecodeBlock& quantized, const Carried& gradients) {
  double sum = 0;
  sweep(model.arch, model.files, {}, {}, [&](BlockVisit& block) {
    Weights end = block.weights;
    quantized(block.index, end);
    for (const Linear* linear : model.arch.blocks[block.index].linears()) {
      const std::string name = linear->name + ".weight";
      sum += sum_of_products(gradients.get(linear->name, "gradient"),
                             end.at(name) - block.weights.at(name));
    }
  });
  return sum;
}

std::vector<double> integrate_path(const Source& model, const BlockStore& blocks,
                                   const CalibrationSet& text, const std::vector<PathNode>& nodes,
                                   Carried& gradients, const ProgressFn& progress) {
  const Segment segment{decoder(blocks)};
  Stage stage("path", nodes.size(), progress);
  std::vector<double> losses;
  for (const PathNode& node : nodes) {
    const auto add = [&](const std::string& layer, const torch::Tensor& gradient) {
      torch::Tensor sum = gradient * node.weight;
      if (!losses.empty()) sum += gradients.get(layer, "gradient");
      gradients.put(layer, "gradient", sum);
    };
    losses.push_back(slope_at(model, segment, text, node.at, add, stage.next()).loss);
  }
  return losses;
}

}  // namespace karat
