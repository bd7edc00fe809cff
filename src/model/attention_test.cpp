// The chunked attention against the whole-score one, values and gradients, in float64.
#include <doctest/doctest.h>

#include "karat/error.h"
#include "karat/graph.h"

namespace {

/// The oracle: every score at once, differentiated by autograd.
torch::Tensor whole_attention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, const karat::ScoreRule& rule) {
  const std::int64_t window = rule.window;
  const auto time = q.size(2), repeat = q.size(1) / k.size(1);
  const auto keys = k.repeat_interleave(repeat, 1), values = v.repeat_interleave(repeat, 1);
  auto hidden = torch::ones({time, time}, torch::kBool).triu(1);
  if (window > 0) hidden = hidden | torch::ones({time, time}, torch::kBool).tril(-window);
  auto scores = torch::matmul(q, keys.transpose(2, 3));
  scores = rule.scale == 0 ? scores / std::sqrt(double(q.size(3))) : scores * rule.scale;
  if (rule.cap > 0) scores = (scores / rule.cap).tanh() * rule.cap;
  if (!rule.slopes.empty()) {
    const auto place = torch::arange(time, torch::kFloat64);
    const auto slopes = torch::tensor(rule.slopes).to(torch::kFloat64).view({-1, 1, 1});
    scores = scores - slopes * (place.unsqueeze(1) - place.unsqueeze(0));
  }
  return torch::matmul(
      torch::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1),
      values);
}

struct Case {
  std::int64_t batch, heads, kv_heads, time, head_dim, window;
  double scale = 0, cap = 0;
  std::vector<float> slopes = {};
};

void check_case(const Case& c) {
  CAPTURE(c.heads);
  CAPTURE(c.time);
  CAPTURE(c.window);
  torch::manual_seed(c.time);
  const auto leaf = [&](std::int64_t heads) {  // memory as the projections leave it
    return torch::randn({c.batch, c.time, heads, c.head_dim}, torch::kFloat64)
        .transpose(1, 2)
        .requires_grad_();
  };
  const auto q = leaf(c.heads), k = leaf(c.kv_heads), v = leaf(c.kv_heads);
  const karat::ScoreRule rule{c.window, c.scale, c.cap, c.slopes};
  const auto expected = whole_attention(q, k, v, rule);
  const auto grad = torch::randn_like(expected);
  const auto wanted = torch::autograd::grad({expected}, {q, k, v}, {grad});
  const auto got = karat::causal_attention(q, k, v, rule);
  const auto gradients = torch::autograd::grad({got}, {q, k, v}, {grad});
  CHECK((got - expected).abs().max().item<double>() < 1e-12);
  for (int i = 0; i < 3; ++i) CHECK((gradients[i] - wanted[i]).abs().max().item<double>() < 1e-11);
}

}  // namespace

TEST_CASE("chunked attention equals whole-score attention, gradients included") {
  check_case({1, 1, 1, 1, 4, 0});
  check_case({2, 4, 2, 37, 8, 0});
  check_case({1, 6, 1, 300, 10, 0});   // several query chunks, one kv head
  check_case({1, 3, 3, 257, 6, 0});    // one query in the last chunk
  check_case({2, 4, 2, 300, 8, 5});    // a window inside one chunk
  check_case({1, 2, 1, 400, 8, 150});  // a window across chunks
  check_case({1, 2, 2, 130, 8, 130});  // a window that hides nothing
  check_case({1, 2, 2, 64, 8, 1});     // every token sees itself alone
  check_case({2, 4, 2, 150, 8, 0, 0.7, 1.5});
  check_case({2, 4, 2, 150, 8, 9, 0, 0, {0.5f, 0.25f, 0.125f, 0.0625f}});
  check_case({1, 6, 3, 130, 4, 0, 0, 2, {0.5f, 0.4f, 0.3f, 0.2f, 0.1f, 0.0f}});
}

TEST_CASE("attention rejects shapes that do not fit") {
  const auto q = torch::zeros({1, 3, 4, 8}), k = torch::zeros({1, 2, 4, 8});
  CHECK_THROWS_AS(karat::causal_attention(q, k, k, {}), karat::Error);
}
