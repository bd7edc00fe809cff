// One decoder block, read from its description.
#include "karat/error.h"
#include "karat/graph.h"
#include "model/experts.h"
#include "model/ops.h"

namespace karat {
namespace {

/// x, normalized where there is a norm.
torch::Tensor normalized(const std::optional<Norm>& norm, const Weights& weights,
                         const torch::Tensor& x) {
  return norm ? normalize(*norm, weights, x) : x;
}

/// [q | k | v] of x [tokens, hidden], each [batch, time, its heads, head_dim].
struct Heads {
  torch::Tensor q, k, v;
};

Heads project_heads(const Architecture& arch, const Block& block, const torch::Tensor& x,
                    std::int64_t batch, const ApplyLinear& apply) {
  std::vector<torch::Tensor> parts;
  for (const Linear* linear : layers_reading(Input::attention, block))
    parts.push_back(apply(*linear, x));
  const auto kv = arch.kv_heads * arch.head_dim, group = arch.heads / arch.kv_heads;
  if (block.attention.kind == AttentionKind::fused)
    parts = parts[0].split_with_sizes({arch.heads * arch.head_dim, kv, kv}, 1);
  if (block.attention.kind == AttentionKind::grouped) {
    parts = parts[0]
                .view({-1, arch.kv_heads, (group + 2) * arch.head_dim})
                .split_with_sizes({group * arch.head_dim, arch.head_dim, arch.head_dim}, 2);
    for (torch::Tensor& part : parts) part = part.flatten(1);
  }
  const auto heads = [&](const torch::Tensor& part) {
    return part.unflatten(1, {part.size(1) / arch.head_dim, arch.head_dim})
        .unflatten(0, {batch, part.size(0) / batch});
  };
  return {heads(parts.at(0)), heads(parts.at(1)), heads(parts.at(2))};
}

/// Of x [batch, time, hidden], normalized already.
torch::Tensor attention(const Architecture& arch, const Block& block, const Weights& weights,
                        const torch::Tensor& x, const ApplyLinear& apply) {
  auto heads = project_heads(arch, block, x.flatten(0, 1), x.size(0), apply);
  const auto norms = [&] {
    heads.q = normalized(block.attention.q_norm, weights, heads.q);
    heads.k = normalized(block.attention.k_norm, weights, heads.k);
  };
  if (!block.rope_first) norms();
  if (block.rope) {
    const auto angles = rope_angles(arch.ropes.at(*block.rope), x.size(1), x.options());
    heads.q = rotate(heads.q, angles);
    heads.k = rotate(heads.k, angles);
  }
  if (block.rope_first) norms();
  const auto mixed =
      causal_attention(heads.q.transpose(1, 2), heads.k.transpose(1, 2), heads.v.transpose(1, 2),
                       {block.window, arch.score_scale, arch.score_cap, arch.slopes})
          .transpose(1, 2)
          .reshape({-1, arch.heads * arch.head_dim});
  const auto y = apply(block.attention.o, mixed).view(x.sizes());
  return normalized(block.attention.out_norm, weights, y);
}

/// What all tokens go through, of rows [tokens, hidden].
torch::Tensor own_layers(const Architecture& arch, const Block& block, const Weights& weights,
                         const torch::Tensor& rows, const ApplyLinear& apply) {
  std::vector<torch::Tensor> parts;
  for (const Linear* linear : layers_reading(Input::mlp, block))
    parts.push_back(apply(*linear, rows));
  if (block.mlp.kind == MlpKind::fused) parts = parts[0].chunk(2, 1);
  const auto inner = block.mlp.kind == MlpKind::plain
                         ? activate(arch.activation, parts.at(0))
                         : activate_gated(arch.activation, parts.at(0), parts.at(1));
  const auto y = apply(block.mlp.down, inner);
  const auto& share = block.mlp.own_share;
  return share ? y * torch::sigmoid(score(*share, weights, rows)) : y;
}

/// Of x [batch, time, hidden], normalized already.
torch::Tensor feed_forward(const Architecture& arch, const Block& block, const Weights& weights,
                           const torch::Tensor& x, const ApplyLinear& apply) {
  const auto rows = x.flatten(0, 1);
  torch::Tensor y;
  if (block.mlp.kind != MlpKind::none) y = own_layers(arch, block, weights, rows, apply);
  if (block.mlp.router) {
    const auto of_experts = experts_forward(arch, block, weights, rows, apply);
    y = y.defined() ? y + of_experts : of_experts;
  }
  return normalized(block.mlp.out_norm, weights, y.view(x.sizes()));
}

}  // namespace

torch::Tensor block_forward(const Architecture& arch, std::size_t index, const Weights& weights,
                            const torch::Tensor& x, const LinearObserver& observe,
                            const LinearProduct& multiply) {
  const Block& block = arch.blocks.at(index);
  const ApplyLinear apply = [&](const Linear& linear, const torch::Tensor& in) {
    auto out = multiply ? multiply(linear, weights, in) : project(linear, weights, in);
    if (observe) observe(linear, in, out);
    return out;
  };
  const auto read = normalized(block.attention.norm, weights, x);
  const auto middle = x.add(attention(arch, block, weights, read, apply), arch.residual_scale);
  const auto& mlp_reads = block.joining == Joining::sequential ? middle
                          : block.joining == Joining::parallel ? x
                                                               : read;
  const auto y =
      feed_forward(arch, block, weights, normalized(block.mlp.norm, weights, mlp_reads), apply);
  return middle.add(y, arch.residual_scale);
}

}  // namespace karat
