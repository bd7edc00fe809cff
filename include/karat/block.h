// The norms and linear layers of a decoder block. What config.json describes and what the runtime
// has loaded are the same parts with other leaves.
#pragma once

#include <array>
#include <optional>
#include <vector>

namespace karat {

/// What a norm or a linear layer is to its block.
// clang-format off
enum class Role { attention_norm, q, k, v, qkv, q_norm, k_norm, o, attention_out_norm,
                  mlp_norm, gate, up, gate_up, down, own_share,
                  router, expert_gate, expert_up, expert_down, mlp_out_norm };
// clang-format on

/// The activations that a linear layer reads. Layers with the same input stand side by side; what
/// an expert reads are the tokens that were sent to it.
enum class Input { attention, heads, mlp, inner, expert, expert_inner };

constexpr Input input_of(Role linear) {
  const bool of_mlp = linear == Role::gate || linear == Role::up || linear == Role::gate_up;
  const bool of_expert = linear == Role::expert_gate || linear == Role::expert_up;
  return linear == Role::o             ? Input::heads
         : linear == Role::down        ? Input::inner
         : linear == Role::expert_down ? Input::expert_inner
         : of_expert                   ? Input::expert
         : of_mlp                      ? Input::mlp
                                       : Input::attention;
}

/// Whether a linear layer's output is added to the residual stream.
constexpr bool ends_branch(Role linear) {
  return linear == Role::o || linear == Role::down || linear == Role::expert_down;
}

enum class AttentionKind { separate, fused, grouped };
enum class MlpKind { plain, gated, fused, none };

/// out_norm(o(softmax(q kᵀ) v)), q, k and v made of norm(x) by a layer each or by one.
template <class N, class L>
struct AttentionParts {
  AttentionKind kind = AttentionKind::separate;
  std::optional<N> norm;
  L q, k, v;  // separate
  L qkv;      // fused: outputs [q | k | v]; grouped: for each key head, its queries, it, its value
  std::optional<N> q_norm, k_norm;  // of a token's q and k
  L o;
  std::optional<N> out_norm;
};

/// down(act(gate(y)) · up(y)) of the tokens y that a router sends to it.
template <class L>
struct ExpertParts {
  L gate, up, down;
};

/// out_norm(own(y) + experts(y)), y = norm(x). own is, plain: down(act(up(y))); gated:
/// down(act(gate(y)) · up(y)); none: 0; and is multiplied by σ(own_share(y)) where there is one.
/// experts: of those that the router scores highest, weighed; 0 where there is no router.
template <class N, class L, class R>
struct MlpParts {
  MlpKind kind = MlpKind::gated;
  std::optional<N> norm;
  L gate, up;  // gated; plain has `up` alone
  L gate_up;   // fused: gated, outputs [gate | up]
  L down;
  std::optional<R> own_share;  // of one output
  std::optional<R> router;     // of an output for each expert
  std::vector<ExpertParts<L>> experts;
  std::optional<N> out_norm;
};

template <class N, class L, class R>
struct BlockParts {
  AttentionParts<N, L> attention;
  MlpParts<N, L, R> mlp;

  /// The same parts as `other`, empty.
  template <class Other>
  static BlockParts like(const Other& other) {
    BlockParts parts;
    parts.attention.kind = other.attention.kind;
    parts.mlp.kind = other.mlp.kind;
    const auto from = norms(other);
    const auto to = norms(parts);
    for (std::size_t i = 0; i < to.size(); ++i)
      if (*from[i]) to[i]->emplace();
    if (other.mlp.own_share) parts.mlp.own_share.emplace();
    if (other.mlp.router) parts.mlp.router.emplace();
    parts.mlp.experts.resize(other.mlp.experts.size());
    return parts;
  }

 private:
  template <class Block>
  static auto norms(Block& of) {
    return std::array{&of.attention.norm,     &of.attention.q_norm, &of.attention.k_norm,
                      &of.attention.out_norm, &of.mlp.norm,         &of.mlp.out_norm};
  }
};

}  // namespace karat
