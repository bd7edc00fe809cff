#include "model/experts.h"

#include "model/ops.h"

namespace karat {
namespace {

/// Which experts see a token, [tokens, top_k], and what of each is added.
struct Routes {
  torch::Tensor chosen, shares;
};

Routes routes_of(const Block& block, const Weights& weights, const torch::Tensor& x) {
  const auto scores = score(*block.mlp.router, weights, x);
  const auto [best, chosen] = scores.topk(block.top_k, 1);
  return {chosen, block.shares_of_chosen ? best.softmax(1) : scores.softmax(1).gather(1, chosen)};
}

}  // namespace

torch::Tensor experts_forward(const Architecture& arch, const Block& block, const Weights& weights,
                              const torch::Tensor& x, const ApplyLinear& apply) {
  const Routes routes = routes_of(block, weights, x);
  const auto shares = routes.shares.flatten();
  std::vector<torch::Tensor> tokens, given;
  for (std::size_t e = 0; e < block.mlp.experts.size(); ++e) {
    const auto& [gate, up, down] = block.mlp.experts[e];
    const auto places =
        (routes.chosen.flatten() == static_cast<std::int64_t>(e)).nonzero().view(-1);
    if (places.size(0) == 0) continue;
    tokens.push_back(places.floor_divide(block.top_k));
    const auto seen = x.index_select(0, tokens.back());
    const auto inner = activate_gated(arch.activation, apply(gate, seen), apply(up, seen));
    given.push_back(apply(down, inner) * shares.index_select(0, places).unsqueeze(1));
  }
  return torch::zeros_like(x).index_add(0, torch::cat(tokens), torch::cat(given));
}

std::vector<torch::Tensor> gradients_of(const torch::Tensor& y,
                                        const std::vector<torch::Tensor>& leaves,
                                        const torch::Tensor& upstream) {
  std::vector<torch::Tensor> from;
  if (upstream.defined()) from.push_back(upstream);
  auto gradients = torch::autograd::grad({y}, leaves, from, /*retain_graph=*/c10::nullopt,
                                         /*create_graph=*/false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (!gradients[i].defined()) gradients[i] = torch::zeros_like(leaves[i]);
  return gradients;
}

}  // namespace karat
