#include "pipeline/fold.h"

#include "recipe/basis.h"

namespace karat {
namespace {

/// Layers that read the same input, and what makes it: a norm, or the outputs of another layer.
struct Joint {
  std::vector<const Linear*> readers;
  const Norm* norm = nullptr;
  const Linear* rows = nullptr;
};

/// Rows before norms: a norm's readers are scaled after their own rows were. Where experts read a
/// norm, so does their router, which stays as it is.
std::vector<Joint> joints_of(const Architecture& arch, const Block& block) {
  const auto& [attention, mlp] = static_cast<const BlockParts<Norm, Linear, Router>&>(block);
  std::vector<Joint> joints;
  if (mlp.kind == MlpKind::gated) joints.push_back({{&mlp.down}, nullptr, &mlp.up});
  for (const Expert& expert : mlp.experts) joints.push_back({{&expert.down}, nullptr, &expert.up});
  if (attention.kind == AttentionKind::separate && arch.heads == arch.kv_heads)
    joints.push_back({{&attention.o}, nullptr, &attention.v});
  auto of_attention = layers_reading(Input::attention, block);
  const auto of_mlp = layers_reading(Input::mlp, block);
  if (block.joining == Joining::shared)  // they read what one norm gives
    of_attention.insert(of_attention.end(), of_mlp.begin(), of_mlp.end());
  if (attention.norm) joints.push_back({of_attention, &*attention.norm, nullptr});
  if (mlp.norm && !mlp.router) joints.push_back({of_mlp, &*mlp.norm, nullptr});
  return joints;
}

/// The readers' rows on top of each other. They have the statistics of their input in common.
BlockLayer stacked(const std::vector<const Linear*>& readers, const BlockLayers& layers) {
  BlockLayer all = layers.at(readers.front()->name);
  std::vector<torch::Tensor> weights, kept, fisher;
  for (const Linear* reader : readers) {
    const auto& [layer, of_layer, folded] = layers.at(reader->name);
    weights.push_back(layer.weight);
    kept.push_back(of_layer.defined() ? of_layer : torch::zeros_like(layer.weight, torch::kBool));
    if (layer.stats.fisher.defined()) fisher.push_back(layer.stats.fisher);
  }
  all.layer.weight = torch::cat(weights);
  all.kept = torch::cat(kept);
  if (!fisher.empty()) all.layer.stats.fisher = torch::cat(fisher);
  return all;
}

/// Multiplies the outputs of a layer, [out], and what was measured of its weights with them.
void scale_rows(Layer& layer, const torch::Tensor& multiplier) {
  const torch::Tensor column = multiplier.unsqueeze(1);
  layer.weight = layer.weight * column;
  if (layer.stats.gradient.defined()) layer.stats.gradient = layer.stats.gradient / column;
  if (layer.stats.fisher.defined()) layer.stats.fisher = layer.stats.fisher / column.square();
  if (layer.stats.output_factor.defined())
    layer.stats.output_factor = layer.stats.output_factor / column / multiplier;
}

}  // namespace

ChangedTensors fold(const Architecture& arch, BlockVisit& block, const Assembled& recipe,
                    BlockLayers& layers) {
  ChangedTensors changed;
  const auto multiply = [&](const std::string& tensor, const torch::Tensor& multiplier,
                            float offset = 0) {
    const auto found = block.weights.find(tensor);
    if (found == block.weights.end()) return;
    changed[tensor] = found->second =
        offset == 0 ? found->second * multiplier : (found->second + offset) * multiplier - offset;
  };
  for (const Joint& joint : joints_of(arch, arch.blocks[block.index])) {
    const BlockLayer all = stacked(joint.readers, layers);
    const Basis basis = recipe.transform.fit(all.layer, all.kept, recipe.grid);
    for (const Linear* reader : joint.readers) {
      BlockLayer& one = layers.at(reader->name);
      one.layer = in_basis(one.layer, basis);
      one.folded = true;
    }
    if (joint.norm) multiply(joint.norm->name + ".weight", basis.multiplier, joint.norm->offset);
    if (joint.norm) multiply(joint.norm->name + ".bias", basis.multiplier);
    if (joint.rows) scale_rows(layers.at(joint.rows->name).layer, basis.multiplier);
    if (joint.rows) multiply(joint.rows->name + ".bias", basis.multiplier);
  }
  return changed;
}

}  // namespace karat
