// Causal attention in chunks of queries (Rabe and Staats 2021, "Self-attention does not need O(n²)
// memory"): the scores of one chunk exist at a time and the backward recomputes them.
#include <algorithm>

#include "karat/error.h"
#include "karat/graph.h"
#include "model/parallel.h"

namespace karat {
namespace {

constexpr std::int64_t kQueryChunk = 128;

/// Queries [begin, end) and the keys they can reach, [first, end).
struct Chunk {
  std::int64_t begin, end, first;
  std::int64_t queries() const { return end - begin; }
  std::int64_t keys() const { return end - first; }
};

std::vector<Chunk> query_chunks(std::int64_t time, std::int64_t window) {
  std::vector<Chunk> chunks;
  for (std::int64_t begin = 0; begin < time; begin += kQueryChunk) {
    const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, begin - window + 1) : 0;
    chunks.push_back({begin, std::min(begin + kQueryChunk, time), first});
  }
  return chunks;
}

/// [queries, keys]: −inf where the key lies in the future or beyond the window, else 0.
torch::Tensor mask_of(const Chunk& chunk, std::int64_t window,
                      const torch::TensorOptions& options) {
  const auto index = options.dtype(torch::kInt64);
  const auto query = torch::arange(chunk.begin, chunk.end, index).unsqueeze(1);
  const auto key = torch::arange(chunk.first, chunk.end, index).unsqueeze(0);
  auto hidden = key > query;
  if (window > 0) hidden = hidden | (key <= query - window);
  return torch::zeros({chunk.queries(), chunk.keys()}, options)
      .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

/// Views [batch, kv_heads, heads per kv head, time, head_dim] of q, or of k and v with 1 in place
/// 2, whose two first places are worked on independently.
struct Problem {
  torch::Tensor q, k, v;
  std::int64_t window;
  double scale, cap;
  torch::Tensor slopes;  // [kv_heads, heads per kv head, 1, 1], where there are any

  Problem(const torch::Tensor& q_in, const torch::Tensor& k_in, const torch::Tensor& v_in,
          const ScoreRule& rule)
      : q(grouped(q_in, k_in.size(1))),
        k(grouped(k_in, k_in.size(1))),
        v(grouped(v_in, k_in.size(1))),
        window(rule.window),
        scale(rule.scale != 0 ? rule.scale : 1.0 / std::sqrt(static_cast<double>(q_in.size(3)))),
        cap(rule.cap) {
    if (!rule.slopes.empty())
      slopes = torch::tensor(rule.slopes).to(q_in.options()).view({k_in.size(1), -1, 1, 1});
  }

  static torch::Tensor grouped(const torch::Tensor& x, std::int64_t kv_heads) {
    return x.detach().unflatten(1, {kv_heads, x.size(1) / kv_heads});
  }
  std::int64_t count() const { return q.size(0) * q.size(1); }
  /// [time, head_dim] of kv head `n`.
  static torch::Tensor kv_of(const torch::Tensor& x, std::int64_t n) {
    return x[n / x.size(1)][n % x.size(1)][0];
  }
  /// [heads per kv head, queries, head_dim] of kv head `n`, a view.
  static torch::Tensor queries_of(const torch::Tensor& x, std::int64_t n, const Chunk& chunk) {
    return x[n / x.size(1)][n % x.size(1)].narrow(1, chunk.begin, chunk.queries());
  }
  /// What kv head `n` adds to the scores of a chunk, [heads per kv head, queries, keys].
  torch::Tensor distances(std::int64_t n, const Chunk& chunk) const {
    const auto key = torch::arange(chunk.first, chunk.end, q.options()).unsqueeze(0);
    const auto query = torch::arange(chunk.begin, chunk.end, q.options()).unsqueeze(1);
    return slopes[n % slopes.size(0)] * (key - query);
  }
};

/// Rows of a [heads, queries, head_dim] view as one matrix.
torch::Tensor rows(const torch::Tensor& x) {
  return x.reshape({-1, x.size(-1)});
}

/// Attention weights [heads · queries, keys] of one chunk, and tanh(score / cap) where there is
/// one.
struct Weighed {
  torch::Tensor weights, bent;
};

Weighed weigh(const Problem& problem, std::int64_t n, const Chunk& chunk,
              const torch::Tensor& queries, const torch::Tensor& keys, const torch::Tensor& mask) {
  auto scores = torch::mm(queries * problem.scale, keys.t());
  torch::Tensor bent;
  if (problem.cap > 0) {
    bent = scores.div_(problem.cap).tanh_();
    scores = bent * problem.cap;
  }
  const auto by_head = scores.view({-1, chunk.queries(), chunk.keys()}).add_(mask);
  if (problem.slopes.defined()) by_head.add_(problem.distances(n, chunk));
  return {torch::softmax(scores, -1), bent};
}

std::vector<torch::Tensor> masks_of(const std::vector<Chunk>& chunks, std::int64_t window,
                                    const torch::TensorOptions& options) {
  std::vector<torch::Tensor> masks;
  for (const Chunk& chunk : chunks) masks.push_back(mask_of(chunk, window, options));
  return masks;
}

/// A tensor shaped like [batch, heads, time, head_dim] whose memory is [batch, time, heads,
/// head_dim]: what the projections around it read and write without a copy.
torch::Tensor empty_heads(const torch::Tensor& like) {
  return torch::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options())
      .transpose(1, 2);
}

torch::Tensor forward_chunks(const Problem& problem, const torch::Tensor& q_in) {
  const auto chunks = query_chunks(q_in.size(2), problem.window);
  const auto masks = masks_of(chunks, problem.window, q_in.options());
  auto out = empty_heads(q_in);
  const auto out_groups = Problem::grouped(out, problem.k.size(1));
  parallel_indices(problem.count(), q_in.device(), [&](std::int64_t n) {
    const auto keys = Problem::kv_of(problem.k, n), values = Problem::kv_of(problem.v, n);
    for (std::size_t c = 0; c < chunks.size(); ++c) {
      const Chunk& chunk = chunks[c];
      const auto weights = weigh(problem, n, chunk, rows(Problem::queries_of(problem.q, n, chunk)),
                                 keys.narrow(0, chunk.first, chunk.keys()), masks[c])
                               .weights;
      auto target = Problem::queries_of(out_groups, n, chunk);
      target.copy_(
          torch::mm(weights, values.narrow(0, chunk.first, chunk.keys())).view(target.sizes()));
    }
  });
  return out;
}

/// Adds one chunk's part to the gradients of k and v and writes that of its queries.
void backward_chunk(const Problem& problem, std::int64_t n, const Chunk& chunk,
                    const torch::Tensor& mask, const torch::Tensor& grad_out,
                    torch::Tensor grad_queries, torch::Tensor grad_keys,
                    torch::Tensor grad_values) {
  const auto queries = rows(Problem::queries_of(problem.q, n, chunk));
  const auto keys = Problem::kv_of(problem.k, n).narrow(0, chunk.first, chunk.keys());
  const auto values = Problem::kv_of(problem.v, n).narrow(0, chunk.first, chunk.keys());
  const auto [weights, bent] = weigh(problem, n, chunk, queries, keys, mask);
  grad_values.narrow(0, chunk.first, chunk.keys()).addmm_(weights.t(), grad_out);
  const auto grad_weights = torch::mm(grad_out, values.t());
  auto grad_scores = at::_softmax_backward_data(grad_weights, weights, -1, weights.scalar_type());
  if (bent.defined()) grad_scores = at::tanh_backward(grad_scores, bent);
  grad_queries.copy_(torch::mm(grad_scores, keys).mul_(problem.scale).view(grad_queries.sizes()));
  grad_keys.narrow(0, chunk.first, chunk.keys())
      .addmm_(grad_scores.t(), queries, 1.0, problem.scale);
}

struct ChunkedAttention : torch::autograd::Function<ChunkedAttention> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, torch::Tensor q,
                               torch::Tensor k, torch::Tensor v, ScoreRule rule) {
    ctx->save_for_backward({q, k, v});
    ctx->saved_data["window"] = rule.window;
    ctx->saved_data["scale"] = rule.scale;
    ctx->saved_data["cap"] = rule.cap;
    ctx->saved_data["slopes"] = std::vector<double>(rule.slopes.begin(), rule.slopes.end());
    return forward_chunks(Problem(q, k, v, rule), q);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto slopes = ctx->saved_data["slopes"].toDoubleVector();
    const Problem problem(saved[0], saved[1], saved[2],
                          {ctx->saved_data["window"].toInt(),
                           ctx->saved_data["scale"].toDouble(),
                           ctx->saved_data["cap"].toDouble(),
                           {slopes.begin(), slopes.end()}});
    const auto chunks = query_chunks(saved[0].size(2), problem.window);
    const auto masks = masks_of(chunks, problem.window, saved[0].options());
    auto grad_q = empty_heads(saved[0]);
    auto grad_k = empty_heads(saved[1]).zero_(), grad_v = empty_heads(saved[2]).zero_();
    const auto kv_heads = saved[1].size(1);
    const auto out_groups = Problem::grouped(grads[0], kv_heads);
    const auto q_groups = Problem::grouped(grad_q, kv_heads);
    const auto k_groups = Problem::grouped(grad_k, kv_heads);
    const auto v_groups = Problem::grouped(grad_v, kv_heads);
    parallel_indices(problem.count(), saved[0].device(), [&](std::int64_t n) {
      for (std::size_t c = 0; c < chunks.size(); ++c)
        backward_chunk(problem, n, chunks[c], masks[c],
                       rows(Problem::queries_of(out_groups, n, chunks[c])),
                       Problem::queries_of(q_groups, n, chunks[c]), Problem::kv_of(k_groups, n),
                       Problem::kv_of(v_groups, n));
    });
    return {grad_q, grad_k, grad_v, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const ScoreRule& rule) {
  if (q.dim() != 4 || k.sizes() != v.sizes() || k.dim() != 4 || q.size(1) % k.size(1) != 0)
    fail("attention", shape_text(q.sizes()) + " and " + shape_text(k.sizes()),
         "[batch, heads, time, head_dim] with heads a multiple of kv_heads");
  return ChunkedAttention::apply(q, k, v, rule);
}

}  // namespace karat
