#include "run/portrait.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "format/parts.h"
#include "karat/engine.h"
#include "karat/error.h"
#include "kernel/kernel.h"
#include "run/weights.h"

namespace karat {
namespace {

constexpr std::string_view kWeight = ".weight";

/// The layout of the layer whose weight `tensor` is; nullptr when it is stored dense.
const PackedLayout* packed_layout(const LanguageModel& model, std::string_view tensor) {
  if (!model.quantization() || !tensor.ends_with(kWeight)) return nullptr;
  tensor.remove_suffix(kWeight.size());
  const auto& layers = model.quantization()->layers;
  const auto found = layers.find(std::string(tensor));
  return found == layers.end() ? nullptr : &found->second;
}

PackedView view_of(const LanguageModel& model, const TensorPortrait& tensor,
                   const PackedLayout& layout) {
  const std::string layer = tensor.name.substr(0, tensor.name.size() - kWeight.size());
  return packed_view(layer, layout, tensor.shape.at(0), tensor.shape.at(1),
                     [&](std::string_view name) { return model.files().find(name); });
}

/// The linear layers of all blocks by the names of their weights.
std::map<std::string, const Linear*> linears_of(const Architecture& arch) {
  std::map<std::string, const Linear*> found;
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears())
      found.emplace(linear->name + std::string(kWeight), linear);
  return found;
}

/// `linear`: the layer whose weight it is, or nullptr.
TensorPortrait portray(const LanguageModel& model, const NamedShape& named, const Linear* linear) {
  TensorPortrait tensor{.name = named.name, .shape = named.shape, .linear = linear != nullptr};
  if (const PackedLayout* layout = packed_layout(model, named.name)) {
    tensor.packed = true;
    if (linear) tensor.shape = {linear->out, linear->in};
    tensor.stored = describe(*layout);
    const PackedView view = view_of(model, tensor, *layout);
    tensor.bits = view.stored_bits();
    tensor.kept = view.outliers();
  } else {
    const TensorView& view = model.files().get(named.name);
    tensor.stored = view.type();
    tensor.bits = static_cast<std::int64_t>(view.bytes()) * 8;
  }
  tensor.weights = 1;
  for (const std::int64_t size : tensor.shape) tensor.weights *= size;
  return tensor;
}

float largest(const std::vector<float>& values, float so_far) {
  for (const float value : values) {
    if (!std::isfinite(value)) return std::numeric_limits<float>::quiet_NaN();
    so_far = std::max(so_far, std::abs(value));
  }
  return so_far;
}

}  // namespace

Portrait draw_portrait(const LanguageModel& model) {
  const Architecture& arch = model.architecture();
  Portrait portrait{.family = arch.family,
                    .method = model.quantization() ? model.quantization()->method : "",
                    .layers = static_cast<std::int64_t>(arch.blocks.size()),
                    .hidden = arch.hidden,
                    .ffn = arch.ffn,
                    .heads = arch.heads,
                    .kv_heads = arch.kv_heads,
                    .head_dim = arch.head_dim,
                    .context = arch.max_positions,
                    .vocab = arch.vocab,
                    .tied = arch.tied(),
                    .file_bytes = static_cast<std::int64_t>(model.files().file_bytes()),
                    .isa = std::string(kernels().isa)};
  for (const Block& block : arch.blocks)
    if (block.mlp.router) {
      portrait.experts = block.mlp.router->out;
      portrait.experts_per_token = block.top_k;
    }
  const std::map<std::string, const Linear*> linears = linears_of(arch);
  for (const NamedShape& named : tensor_shapes(arch)) {
    const auto linear = linears.find(named.name);
    portrait.tensors.push_back(
        portray(model, named, linear == linears.end() ? nullptr : linear->second));
    const TensorPortrait& tensor = portrait.tensors.back();
    portrait.parameters += tensor.weights;
    portrait.types[tensor.stored] += tensor.weights;
    if (!tensor.linear || tensor.packed != model.quantization().has_value()) continue;
    portrait.layer_weights += tensor.weights;
    portrait.layer_bits += tensor.bits;
    portrait.kept += tensor.kept;
  }
  portrait.cache_bytes = static_cast<std::int64_t>(cache_bytes_per_token(arch, CacheType::f32));
  portrait.bytes_per_token = static_cast<std::int64_t>(model.bytes_per_token());
  return portrait;
}

float largest_weight(const LanguageModel& model, const TensorPortrait& tensor) {
  float result = 0;
  const TensorView* view = model.files().find(tensor.name);
  if (const PackedLayout* layout = packed_layout(model, tensor.name))
    result = largest(unpack(view_of(model, tensor, *layout)), 0);
  else if (view->shape.size() != 2)
    result = largest(to_floats(*view), 0);
  else
    for (std::int64_t row = 0; row < view->shape[0] && !std::isnan(result); ++row)
      result = largest(row_floats(*view, row), result);
  model.files().check();
  return result;
}

}  // namespace karat
