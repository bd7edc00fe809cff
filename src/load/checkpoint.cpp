#include "load/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "load/ends.h"

namespace karat {
namespace {

bool same_values(const TensorView& a, const TensorView& b) {
  if (a.type() == b.type()) return std::memcmp(a.data, b.data, a.bytes()) == 0;
  for (std::int64_t row = 0; row < a.shape[0]; ++row)
    if (to_floats(rows_of(a, row, 1)) != to_floats(rows_of(b, row, 1))) return false;
  return true;
}

/// Buffers that older versions of transformers saved beside the weights and computes again.
bool is_buffer(const TensorView& view) {
  const std::string& name = view.name;
  if (name.ends_with("rotary_emb.inv_freq") || name.ends_with(".masked_bias") ||
      name.ends_with("position_ids"))
    return true;
  const bool mask = view.shape.size() == 4 && view.shape[0] == 1 && view.shape[1] == 1;
  return mask && (name.ends_with("attn.bias") || name.ends_with("attention.bias"));
}

/// Whether a layer of `layers` is the part of `name` before its last dot.
bool belongs_to(const std::string& name, const std::set<std::string>& layers) {
  const std::size_t dot = name.rfind('.');
  return dot != name.npos && layers.contains(name.substr(0, dot));
}

}  // namespace

bool is_packed(const Safetensors& weights, const std::string& weight) {
  return weights.find(layer_of(weight) + ".codes") != nullptr && weights.find(weight) == nullptr;
}

std::set<std::string> packed_weights(const Architecture& arch, const Safetensors& weights) {
  std::vector<std::string> matrices = ends_of(arch);
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears()) matrices.push_back(linear->name + ".weight");
  std::set<std::string> packed;
  for (const std::string& weight : matrices)
    if (is_packed(weights, weight)) packed.insert(weight);
  return packed;
}

void choose_head(Architecture& arch, const Safetensors& weights) {
  if (!arch.tied()) return;
  const TensorView* head = weights.find(arch.own_head);
  const TensorView* embedding = weights.find(arch.embedding);
  const bool packed_head = is_packed(weights, arch.own_head),
             packed_embedding = is_packed(weights, arch.embedding);
  if (head == nullptr && !packed_head) return;
  if (packed_head || packed_embedding)
    arch.head = arch.own_head;
  else if (embedding == nullptr)
    arch.embedding = arch.head = arch.own_head;
  else if (head->shape != embedding->shape || !has_floats(head->dtype) ||
           !has_floats(embedding->dtype) || !same_values(*head, *embedding))
    arch.head = arch.own_head;
}

std::vector<std::string> unread_tensors(const Architecture& arch, const Safetensors& weights) {
  std::set<std::string> read, packed;
  for (const std::string& weight : packed_weights(arch, weights)) packed.insert(layer_of(weight));
  for (const NamedShape& named : tensor_shapes(arch)) read.insert(named.name);
  if (arch.tied()) read.insert(arch.own_head);  // equal to the embedding
  std::vector<std::string> unread;
  for (const TensorView& view : weights.tensors()) {
    const bool other = std::ranges::any_of(
        arch.left_alone, [&](const std::string& prefix) { return view.name.starts_with(prefix); });
    if (!other && !read.contains(view.name) && !belongs_to(view.name, packed) && !is_buffer(view))
      unread.push_back(view.name);
  }
  return unread;
}

}  // namespace karat
