// The norms and linear layers of a decoder block, and one visitor over them. What config.json
// describes and what the runtime has loaded are the same parts with other leaves, so that nothing
// else enumerates a block: a new part is added here, and every reader of blocks meets it.
#pragma once

#include <array>
#include <optional>
#include <type_traits>
#include <vector>

namespace karat {

/// What a norm or a linear layer is to its block.
// clang-format off
enum class Role { attention_norm, q, k, v, qkv, q_norm, k_norm, o, attention_out_norm,
                  mlp_norm, gate, up, gate_up, down, mlp_out_norm };
// clang-format on

/// The activations that a linear layer reads. Layers with the same input stand side by side.
enum class Input { attention, heads, mlp, inner };

constexpr Input input_of(Role linear) {
  const bool of_mlp = linear == Role::gate || linear == Role::up || linear == Role::gate_up;
  return linear == Role::o      ? Input::heads
         : linear == Role::down ? Input::inner
         : of_mlp               ? Input::mlp
                                : Input::attention;
}

/// Whether a linear layer's output is added to the residual stream.
constexpr bool ends_branch(Role linear) {
  return linear == Role::o || linear == Role::down;
}

enum class AttentionKind { separate, fused, grouped };
enum class MlpKind { plain, gated, fused };

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

/// plain: out_norm(down(act(up(y)))), y = norm(x). gated: out_norm(down(act(gate(y)) · up(y))).
template <class N, class L>
struct MlpParts {
  MlpKind kind = MlpKind::gated;
  std::optional<N> norm;
  L gate, up;  // gated; plain has `up` alone
  L gate_up;   // fused: gated, outputs [gate | up]
  L down;
  std::optional<N> out_norm;
};

template <class N, class L>
struct BlockParts {
  AttentionParts<N, L> attention;
  MlpParts<N, L> mlp;

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
    return parts;
  }

 private:
  template <class Block>
  static auto norms(Block& of) {
    return std::array{&of.attention.norm,     &of.attention.q_norm, &of.attention.k_norm,
                      &of.attention.out_norm, &of.mlp.norm,         &of.mlp.out_norm};
  }
};

template <class Visit, class Attention, class... Others>
void visit_attention(Visit& visit, Attention& part, Others&... others) {
  if (part.norm) visit(Role::attention_norm, *part.norm, *others.norm...);
  if (part.kind == AttentionKind::separate) {
    visit(Role::q, part.q, others.q...);
    visit(Role::k, part.k, others.k...);
    visit(Role::v, part.v, others.v...);
  } else {
    visit(Role::qkv, part.qkv, others.qkv...);
  }
  if (part.q_norm) visit(Role::q_norm, *part.q_norm, *others.q_norm...);
  if (part.k_norm) visit(Role::k_norm, *part.k_norm, *others.k_norm...);
  visit(Role::o, part.o, others.o...);
  if (part.out_norm) visit(Role::attention_out_norm, *part.out_norm, *others.out_norm...);
}

template <class Visit, class Mlp, class... Others>
void visit_mlp(Visit& visit, Mlp& part, Others&... others) {
  if (part.norm) visit(Role::mlp_norm, *part.norm, *others.norm...);
  if (part.kind == MlpKind::gated) visit(Role::gate, part.gate, others.gate...);
  if (part.kind == MlpKind::fused)
    visit(Role::gate_up, part.gate_up, others.gate_up...);
  else
    visit(Role::up, part.up, others.up...);
  visit(Role::down, part.down, others.down...);
  if (part.out_norm) visit(Role::mlp_out_norm, *part.out_norm, *others.out_norm...);
}

/// Calls visit(role, part, the same part of `others`…) for every norm and linear layer of `block`,
/// in the order in which a token meets them. The others are `like` it.
template <class Visit, class Block, class... Others>
void visit_parts(Visit&& visit, Block& block, Others&... others) {
  visit_attention(visit, block.attention, others.attention...);
  visit_mlp(visit, block.mlp, others.mlp...);
}

/// The same for the linear layers alone, or the norms.
template <class Part, class Block, class Visit>
void visit_only(Block& block, Visit& visit) {
  const auto one = [&](Role role, auto& part) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(part)>, Part>) visit(role, part);
  };
  visit_parts(one, block);
}
template <class Block, class Visit>
void visit_linears(Block& block, Visit&& visit) {
  visit_only<std::remove_cvref_t<decltype(block.mlp.down)>>(block, visit);
}
template <class Block, class Visit>
void visit_norms(Block& block, Visit&& visit) {
  visit_only<typename std::remove_cvref_t<decltype(block.mlp.norm)>::value_type>(block, visit);
}

/// The linear layers that read `input`, in the order of the visitor.
template <class Block>
auto layers_reading(Input input, Block& block) {
  std::vector<decltype(&block.mlp.down)> layers;
  visit_linears(block, [&](Role role, auto& layer) {
    if (input_of(role) == input) layers.push_back(&layer);
  });
  return layers;
}

}  // namespace karat
