#include "run/mlp.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>

#include "core/threads.h"
#include "kernel/kernel.h"
#include "run/layers.h"

namespace karat {
namespace {

constexpr std::int64_t kRouteGrain = 8;

/// y [tokens, 2 · width] -> its two halves [tokens, width].
std::vector<std::vector<float>> halves(const std::vector<float>& y, std::int64_t tokens) {
  std::vector<std::vector<float>> parts(2);
  const auto width = static_cast<std::ptrdiff_t>(y.size()) / (2 * tokens);
  for (auto row = y.begin(); row != y.end();)
    for (std::vector<float>& part : parts) {
      part.insert(part.end(), row, row + width);
      row += width;
    }
  return parts;
}

/// What enters the last layer: act(gate) · up, or act(up) alone. [tokens, ffn]
std::vector<float> expand(std::span<const LinearWeights* const> layers, bool fused,
                          Activation activation, const float* x, std::int64_t tokens) {
  std::vector<std::vector<float>> y;
  for (const LinearWeights* layer : layers) y.push_back(floats(tokens, layer->matrix.out()));
  apply(layers, x, tokens, y);
  if (fused) y = halves(y[0], tokens);
  std::vector<float>& gate = y[0];
  activate(activation, gate.data(), static_cast<std::int64_t>(gate.size()),
           y.size() > 1 ? y[1].data() : nullptr);
  return std::move(gate);
}

/// [tokens, router.out], each token by itself.
std::vector<float> scores(const RouterWeights& router, const float* x, std::int64_t tokens) {
  std::vector<float> y = floats(tokens, router.out);
  const KernelSet& set = kernels();
  parallel_for(tokens, kRouteGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * router.out; i < end * router.out; ++i)
      y[static_cast<std::size_t>(i)] =
          set.dot(x + i / router.out * router.in, router.weight.data() + i % router.out * router.in,
                  router.in);
  });
  return y;
}

/// A token that an expert sees, and the share of what that gives.
struct Visit {
  std::int64_t token = 0;
  float share = 0;
};

/// The experts that see a token with these scores, highest first: of equal ones the first.
std::vector<std::pair<std::size_t, float>> choose(const Block& block,
                                                  std::span<const float> scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto top = order.begin() + block.top_k;
  std::partial_sort(order.begin(), top, order.end(), [&](std::size_t a, std::size_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  const float highest = scores[order.front()];
  const auto weight = [&](std::size_t e) { return std::exp(scores[e] - highest); };
  float sum = 0;
  const auto counted = block.shares_of_chosen ? top : order.end();
  for (auto e = order.begin(); e != counted; ++e) sum += weight(*e);
  std::vector<std::pair<std::size_t, float>> chosen;
  for (auto e = order.begin(); e != top; ++e) chosen.emplace_back(*e, weight(*e) / sum);
  return chosen;
}

/// By expert, its tokens in order.
std::vector<std::vector<Visit>> route(const Block& block, const RouterWeights& router,
                                      const float* x, std::int64_t tokens) {
  std::vector<std::vector<Visit>> visits(static_cast<std::size_t>(router.out));
  const std::vector<float> all = scores(router, x, tokens);
  const auto count = static_cast<std::size_t>(router.out);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::span<const float> own(all.data() + static_cast<std::size_t>(t) * count, count);
    for (const auto& [expert, share] : choose(block, own)) visits[expert].push_back({t, share});
  }
  return visits;
}

/// y += what one expert gives of its tokens.
void add_expert(const MlpShape& shape, const ExpertParts<LinearWeights>& expert,
                std::span<const Visit> visits, const float* x, std::vector<float>& y) {
  const auto count = static_cast<std::int64_t>(visits.size());
  // Rows of zeros fill up what fewer would multiply in another order.
  const std::int64_t rows = shape.independent ? std::max(count, kManyTokens) : count;
  std::vector<float> seen = floats(rows, shape.hidden), given = floats(rows, shape.hidden);
  for (std::int64_t r = 0; r < count; ++r)
    std::copy_n(x + visits[static_cast<std::size_t>(r)].token * shape.hidden, shape.hidden,
                seen.data() + r * shape.hidden);
  const auto inner =
      expand(std::array{&expert.gate, &expert.up}, false, shape.activation, seen.data(), rows);
  apply(expert.down, inner.data(), rows, given.data());
  const KernelSet& set = kernels();
  for (std::int64_t r = 0; r < count; ++r) {
    const auto& [token, share] = visits[static_cast<std::size_t>(r)];
    set.axpy(share, given.data() + r * shape.hidden, y.data() + token * shape.hidden, shape.hidden);
  }
}

/// What all tokens go through.
std::vector<float> own_layers(const MlpShape& shape, const BlockWeights& block, const float* x) {
  const MlpWeights& mlp = block.mlp;
  std::vector<float> y = floats(shape.tokens, shape.hidden);
  if (mlp.kind == MlpKind::none) return y;
  const auto layers = layers_reading(Input::mlp, block);
  const std::vector<float> inner =
      expand(layers, mlp.kind == MlpKind::fused, shape.activation, x, shape.tokens);
  apply(mlp.down, inner.data(), shape.tokens, y.data());
  if (!mlp.own_share) return y;
  const std::vector<float> shares = scores(*mlp.own_share, x, shape.tokens);
  for (std::size_t i = 0; i < y.size(); ++i)
    y[i] /= 1 + std::exp(-shares[i / static_cast<std::size_t>(shape.hidden)]);
  return y;
}

}  // namespace

std::vector<float> feed_forward(const MlpShape& shape, const Block& block,
                                const BlockWeights& weights, const float* x) {
  std::vector<float> y = own_layers(shape, weights, x);
  if (!weights.mlp.router) return y;
  const std::vector<std::vector<Visit>> visits = route(block, *weights.mlp.router, x, shape.tokens);
  for (std::size_t e = 0; e < visits.size(); ++e)
    if (!visits[e].empty()) add_expert(shape, weights.mlp.experts[e], visits[e], x, y);
  return y;
}

}  // namespace karat
