// One decoder block, read from its description.
#include "karat/error.h"
#include "karat/graph.h"
#include "model/ops.h"

namespace karat {
namespace {

torch::Tensor apply(const Linear& linear, const Weights& weights, const torch::Tensor& x,
                    const LinearObserver& observe) {
  auto y = project(linear, weights, x);
  if (observe) observe(linear, x, y);
  return y;
}

/// [q | k | v] of x [tokens, hidden], each [batch, time, its heads, head_dim].
struct Heads {
  torch::Tensor q, k, v;
};

Heads project_heads(const Architecture& arch, const Block& block, const Weights& weights,
                    const torch::Tensor& x, std::int64_t batch, const LinearObserver& observe) {
  std::vector<torch::Tensor> parts;
  for (const Linear* linear : layers_reading(Input::attention_norm, block))
    parts.push_back(apply(*linear, weights, x, observe));
  const auto kv = arch.kv_heads * arch.head_dim;
  if (block.attention.kind == AttentionKind::fused)
    parts = parts[0].split_with_sizes({arch.heads * arch.head_dim, kv, kv}, 1);
  const auto heads = [&](const torch::Tensor& part) {
    return part.unflatten(1, {part.size(1) / arch.head_dim, arch.head_dim})
        .unflatten(0, {batch, part.size(0) / batch});
  };
  return {heads(parts.at(0)), heads(parts.at(1)), heads(parts.at(2))};
}

torch::Tensor attention(const Architecture& arch, const Block& block, const Weights& weights,
                        const torch::Tensor& x, const LinearObserver& observe) {
  const auto normed = normalize(block.attention.norm, weights, x).flatten(0, 1);
  auto heads = project_heads(arch, block, weights, normed, x.size(0), observe);
  if (const auto& norm = block.attention.q_norm) heads.q = normalize(*norm, weights, heads.q);
  if (const auto& norm = block.attention.k_norm) heads.k = normalize(*norm, weights, heads.k);
  if (block.rope) {
    const auto angles = rope_angles(arch.ropes.at(*block.rope), x.size(1), x.options());
    heads.q = rotate(heads.q, angles);
    heads.k = rotate(heads.k, angles);
  }
  const auto mixed = causal_attention(heads.q.transpose(1, 2), heads.k.transpose(1, 2),
                                      heads.v.transpose(1, 2), block.window, arch.score_scale)
                         .transpose(1, 2)
                         .reshape({-1, arch.heads * arch.head_dim});
  return apply(block.attention.o, weights, mixed, observe).view(x.sizes());
}

torch::Tensor feed_forward(const Architecture& arch, const Block& block, const Weights& weights,
                           const torch::Tensor& x, const LinearObserver& observe) {
  const auto normed = normalize(block.mlp.norm, weights, x).flatten(0, 1);
  std::vector<torch::Tensor> parts;
  for (const Linear* linear : layers_reading(Input::mlp_norm, block))
    parts.push_back(apply(*linear, weights, normed, observe));
  if (block.mlp.kind == MlpKind::fused) parts = parts[0].split(arch.ffn, 1);
  const auto inner = block.mlp.kind == MlpKind::plain
                         ? activate(arch.activation, parts.at(0))
                         : activate_gated(arch.activation, parts.at(0), parts.at(1));
  return apply(block.mlp.down, weights, inner, observe).view(x.sizes());
}

}  // namespace

torch::Tensor block_forward(const Architecture& arch, std::size_t index, const Weights& weights,
                            const torch::Tensor& x, const LinearObserver& observe) {
  const Block& block = arch.blocks.at(index);
  const auto middle = x.add(attention(arch, block, weights, x, observe), arch.residual_scale);
  return middle.add(feed_forward(arch, block, weights, middle, observe), arch.residual_scale);
}

}  // namespace karat
