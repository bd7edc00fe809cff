#include "pipeline/file_size.h"

#include <algorithm>

#include "format/parts.h"
#include "karat/error.h"
#include "load/ends.h"
#include "pipeline/shards.h"
#include "recipe/best.h"

namespace karat {
namespace {

std::vector<TensorView> packed_tensors(const std::string& name, const PackedLayout& layout,
                                       std::int64_t out, std::int64_t in) {
  std::vector<TensorView> tensors;
  for (const Part& part : layout_parts(layout, out, in))
    tensors.push_back({name + "." + std::string(part.name), part.dtype, part.shape});
  return tensors;
}

/// Weights kept of a layer, and whether a row may have more than 255 of them.
void count_kept(const Assembled& recipe, const Chosen& kept, PackedPart& part) {
  if (const auto found = kept.find(part.name); found != kept.end() && found->second.numel() > 0) {
    part.kept = found->second.numel();
    const torch::Tensor rows = torch::div(found->second, part.in, "floor");
    part.many = torch::bincount(rows).max().item<std::int64_t>() > 255;
  }
  if (recipe.detach.ratio == 0) return;
  part.kept =
      std::min(part.out * part.in, part.kept + share(recipe.detach.ratio, part.out * part.in) + 1);
  part.many = part.in > 255;
}

}  // namespace

std::int64_t packed_bytes(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  std::size_t bytes = 0;
  for (const TensorView& tensor : packed_tensors("", layout, out, in)) bytes += tensor.bytes();
  return static_cast<std::int64_t>(bytes);
}

std::vector<TensorView> dense_tensors(const Source& model, const std::set<std::string>& packed) {
  std::set<std::string> replaced;
  for (const std::string& layer : packed) replaced.insert(layer + ".weight");
  for (const std::string& end : ends_of(model.arch))
    if (packed.contains(layer_of(end))) replaced.insert(end);
  if (model.arch.tied() && replaced.contains(model.arch.embedding))
    replaced.insert(model.arch.own_head);
  std::vector<TensorView> dense;
  for (const TensorView& view : model.files.tensors())
    if (!replaced.contains(view.name)) dense.push_back(view);
  return dense;
}

const PackedLayout& PackedPart::layout(const LayerWidths& widths) const {
  const auto found = widths.find(name);
  return found == widths.end() ? layouts->begin()->second : layouts->at(found->second.bits);
}

std::vector<TensorView> PackedPart::tensors(const LayerWidths& widths) const {
  std::vector<TensorView> tensors = packed_tensors(name, layout(widths), out, in);
  if (kept == 0) return tensors;
  tensors.push_back({name + ".outlier_counts", many ? DType::u16 : DType::u8, {out}});
  tensors.push_back({name + ".outlier_columns", DType::u16, {kept}});
  tensors.push_back({name + ".outlier_values", DType::f16, {kept}});
  return tensors;
}

FileSize::FileSize(const Source& model, const Assembled& recipe, const Chosen& kept)
    : layers_(layer_layouts(recipe)) {
  std::set<std::string> packed;
  for (const Block& block : model.arch.blocks) {
    blocks_.push_back(parts_.size());
    for (const Linear* linear : block.linears()) {
      parts_.push_back({linear->name, linear->out, linear->in, false, &layers_});
      count_kept(recipe, kept, parts_.back());
      packed.insert(linear->name);
    }
  }
  if (recipe.ends) {
    ends_ = end_layouts(*recipe.ends);
    blocks_.push_back(parts_.size());
    for (const std::string& end : ends_of(model.arch)) {
      parts_.push_back({layer_of(end), model.arch.vocab, model.arch.hidden, true, &ends_});
      packed.insert(layer_of(end));
    }
  }
  dense_ = dense_tensors(model, packed);
  for (TensorView& tensor : dense_)
    if (tensor.dtype == DType::block) tensor.dtype = DType::f16;
  if (recipe.transform.fold)  // norms and biases are written in F32
    for (TensorView& tensor : dense_)
      if (tensor.shape.size() == 1 && byte_size(tensor.dtype) < byte_size(DType::f32))
        tensor.dtype = DType::f32;
}

std::int64_t FileSize::bytes(const LayerWidths& widths) const {
  std::vector<TensorView> all = dense_;
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    const std::size_t end = b + 1 < blocks_.size() ? blocks_[b + 1] : parts_.size();
    const auto first = static_cast<std::ptrdiff_t>(all.size());
    for (std::size_t p = blocks_[b]; p < end; ++p)
      for (TensorView& tensor : parts_[p].tensors(widths)) all.push_back(std::move(tensor));
    std::sort(all.begin() + first, all.end(),  // as a block's own file has them
              [](const TensorView& a, const TensorView& b) { return a.name < b.name; });
  }
  return shard_bytes(all, kShardBytes);
}

LayerWidths FileSize::extreme(bool widest) const {
  LayerWidths widths;
  for (const PackedPart& part : parts_)
    if (part.layouts->size() > 1)
      widths[part.name].bits =
          widest ? part.layouts->rbegin()->first : part.layouts->begin()->first;
  return widths;
}

}  // namespace karat
