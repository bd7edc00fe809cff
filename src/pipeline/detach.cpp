// detach: Algorithm 2 of ReQuant (arXiv 2503.01901). Once all is quantized, the weights of the
// whole model that cost most become what they were, as residuals beside codes that stay as they
// are; in rounds, because every weight brought back changes what the others cost.
#include <algorithm>

#include "format/overlay.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/passes.h"
#include "recipe/best.h"

namespace karat {
namespace {

/// The weights of largest score in the model, never more than `count` of them at hand.
class Largest {
 public:
  Largest(const Architecture& arch, double ratio) {
    std::int64_t weights = 0;
    for (const Block& block : arch.blocks)
      for (const Linear* linear : block.linears()) {
        order_[linear->name] = static_cast<std::int64_t>(order_.size());
        weights += linear->out * linear->in;
      }
    count_ = share(ratio, weights);
  }

  void add(const std::string& layer, const torch::Tensor& scores) {
    const torch::Tensor indices = best(scores, std::min(count_, scores.numel()));
    const torch::Tensor values = scores.flatten().index_select(0, indices);
    for (std::int64_t i = 0; i < indices.numel(); ++i)
      if (const float score = values.data_ptr<float>()[i]; score > 0)
        entries_.push_back({score, order_.at(layer), indices.data_ptr<std::int64_t>()[i]});
    if (entries_.size() <= static_cast<std::size_t>(count_)) return;
    std::nth_element(entries_.begin(), entries_.begin() + count_, entries_.end(), before);
    entries_.resize(static_cast<std::size_t>(count_));
  }

  /// Flat indices, ascending, by layer.
  std::map<std::string, std::vector<std::int64_t>> by_layer() const {
    std::map<std::string, std::vector<std::int64_t>> result;
    for (const auto& [name, order] : order_)
      for (const Entry& entry : entries_)
        if (entry.layer == order) result[name].push_back(entry.index);
    for (auto& [name, indices] : result) std::sort(indices.begin(), indices.end());
    return result;
  }

 private:
  struct Entry {
    float score;
    std::int64_t layer, index;
  };
  static bool before(const Entry& a, const Entry& b) {
    if (a.score != b.score) return a.score > b.score;
    return a.layer != b.layer ? a.layer < b.layer : a.index < b.index;
  }
  std::map<std::string, std::int64_t> order_;  // of the layers in the model
  std::int64_t count_ = 0;
  std::vector<Entry> entries_;
};

std::vector<Residual> residuals(const torch::Tensor& error,
                                const std::vector<std::int64_t>& indices) {
  std::vector<Residual> result;
  const torch::Tensor flat = error.contiguous().view(-1);
  for (const std::int64_t index : indices) result.push_back({index, flat.data_ptr<float>()[index]});
  return result;
}

/// All parts of a layer, those of its overlay replaced by `overlay`.
std::vector<OwnedTensor> with_overlay(const QuantizedBlock& block, const std::string& layer,
                                      std::vector<OwnedTensor> overlay) {
  std::vector<OwnedTensor> parts;
  for (const TensorView& tensor : block.file.tensors())
    if (tensor.name.starts_with(layer + ".") && !tensor.name.starts_with(layer + ".outlier_"))
      parts.push_back(own_bytes(tensor.name, tensor.dtype, tensor.shape, tensor.span()));
  for (OwnedTensor& part : overlay) parts.push_back(std::move(part));
  return parts;
}

/// What the layer's parts say now. Its error at the output would need inputs again.
void update(QuantizedLayer& layer, const torch::Tensor& weight) {
  std::vector<TensorView> parts;
  for (const OwnedTensor& part : layer.tensors) parts.push_back(part.view());
  const auto find = [&](std::string_view name) -> const TensorView* {
    const auto found = std::ranges::find(parts, name, &TensorView::name);
    return found == parts.end() ? nullptr : &*found;
  };
  LayerReport& report = layer.report;
  const PackedView view = packed_view(report.name, layer.layout, report.out, report.in, find);
  const torch::Tensor error = torch::tensor(unpack(view)).view(weight.sizes()) - weight;
  const auto energy = [](const torch::Tensor& x) {
    return x.square().sum(torch::kFloat64).item<double>();
  };
  const auto count = static_cast<double>(report.out * report.in);
  report.bits = static_cast<double>(view.stored_bits()) / count;
  report.kept_share = static_cast<double>(view.outliers()) / count;
  report.weight_error = energy(weight) > 0 ? energy(error) / energy(weight) : 0;
  report.output_error.reset();
}

using Picked = std::map<std::string, std::vector<std::int64_t>>;

Picked pick(const Source& model, const Assembled& recipe, const CalibrationSet& text,
            const LookBack& back, const ProgressFn& progress) {
  Largest largest(model.arch, recipe.detach.ratio / static_cast<double>(recipe.detach.rounds));
  const auto add = [&](const std::string& layer, const Candidates& found) {
    largest.add(layer, found.worth);
  };
  measure(model, {recipe.metric, recipe.grid}, back, text, add, progress);
  return largest.by_layer();
}

QuantizedLayer detach(const QuantizedBlock& block, const LayerReport& report,
                      const torch::Tensor& weight, const torch::Tensor& decoded,
                      const Picked& picked) {
  std::vector<Residual> added;
  if (const auto found = picked.find(report.name); found != picked.end())
    added = residuals(weight - decoded, found->second);
  QuantizedLayer layer{.report = report, .layout = block.layouts.at(report.name)};
  layer.tensors =
      with_overlay(block, report.name, add_residuals(report.name, block.view(report), added));
  update(layer, weight);
  return layer;
}

}  // namespace

void detach_round(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                  const BlockStore& from, Carried& statistics, BlockStore& to,
                  const ProgressFn& progress) {
  if (!recipe.metric.path.empty())
    integrate_path(model, from, text, recipe.metric.path, statistics, progress);
  const Picked picked = pick(model, recipe, text, {from, statistics}, progress);
  sweep(model.arch, model.files, {}, {.first = to.finished()}, [&](BlockVisit& visit) {
    const QuantizedBlock block = from.get(visit.index);
    Weights decoded = visit.weights;
    from.decode(visit.index, decoded);
    std::vector<QuantizedLayer> layers(block.reports.size());
    parallel_indices(static_cast<std::int64_t>(layers.size()), torch::kCPU, [&](auto i) {
      const LayerReport& report = block.reports[static_cast<std::size_t>(i)];
      const std::string name = report.name + ".weight";
      layers[static_cast<std::size_t>(i)] =
          detach(block, report, visit.weights.at(name), decoded.at(name), picked);
    });
    to.put(visit.index, layers);
  });
}

}  // namespace karat
