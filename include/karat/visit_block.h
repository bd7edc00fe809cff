// One visitor over the parts of a decoder block. Nothing else enumerates them, so that a new part
// is added here and every reader of blocks meets it.
#pragma once

#include <type_traits>
#include <vector>

#include "karat/block.h"

namespace karat {

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
  if (part.kind == MlpKind::fused) visit(Role::gate_up, part.gate_up, others.gate_up...);
  if (part.kind == MlpKind::gated || part.kind == MlpKind::plain)
    visit(Role::up, part.up, others.up...);
  if (part.kind != MlpKind::none) visit(Role::down, part.down, others.down...);
  if (part.own_share) visit(Role::own_share, *part.own_share, *others.own_share...);
  if (part.router) visit(Role::router, *part.router, *others.router...);
  for (std::size_t e = 0; e < part.experts.size(); ++e) {
    visit(Role::expert_gate, part.experts[e].gate, others.experts[e].gate...);
    visit(Role::expert_up, part.experts[e].up, others.experts[e].up...);
    visit(Role::expert_down, part.experts[e].down, others.experts[e].down...);
  }
  if (part.out_norm) visit(Role::mlp_out_norm, *part.out_norm, *others.out_norm...);
}

/// Calls visit(role, part, the same part of `others`…) for every norm, linear layer and router of
/// `block`, in the order in which a token meets them, expert after expert. The others are `like`
/// it.
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
