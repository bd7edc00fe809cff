// What lies before the first block and after the last: embedding, head and loss. The loss works in
// chunks of tokens with its gradient in closed form, softmax − one-hot, so logits are never whole.
#include <algorithm>
#include <numeric>
#include <utility>

#include "karat/error.h"
#include "karat/graph.h"
#include "model/ops.h"
#include "model/parallel.h"

namespace karat {
namespace {

constexpr std::int64_t kChunkElements = 8 << 20;  // logits that exist at a time

std::int64_t chunk_rows(std::int64_t vocab) {
  return std::clamp<std::int64_t>(kChunkElements / vocab, 16, 2048);
}

const torch::Tensor& end(const Weights& ends, const std::string& name) {
  const auto found = ends.find(name);
  if (found == ends.end()) fail("model graph", "no tensor " + name, "the weights of load_ends");
  return found->second;
}

constexpr std::int64_t kRowPiece = 8;

/// log softmax of every row, in place.
torch::Tensor log_probabilities(torch::Tensor logits) {
  parallel_rows(logits.size(0), kRowPiece, logits.device(), [&](auto first, auto count) {
    auto part = logits.narrow(0, first, count);
    part.copy_(torch::log_softmax(part, 1));
  });
  return logits;
}

/// exp of every element, in place.
torch::Tensor exponentials(torch::Tensor x) {
  parallel_rows(x.size(0), kRowPiece, x.device(),
                [&](auto first, auto count) { x.narrow(0, first, count).exp_(); });
  return x;
}

/// Of every row of `probabilities` [rows, vocab] the first place where their sum from the left
/// passes draw · (sum of the row); draws [rows] F64. [rows, 1] int64.
torch::Tensor drawn_labels(const torch::Tensor& probabilities, const torch::Tensor& draws) {
  const torch::Tensor p = probabilities.to(torch::kCPU).contiguous();
  const torch::Tensor labels = torch::empty({p.size(0), 1}, torch::kInt64);
  const std::int64_t vocab = p.size(1);
  const auto draw = [vocab](const auto* row, double at) {
    const double wanted = at * std::accumulate(row, row + vocab, 0.0);
    double sum = 0;
    std::int64_t last = 0;  // where rounding leaves nothing beyond the draw
    for (std::int64_t i = 0; i < vocab; ++i) {
      if (row[i] > 0) last = i;
      if ((sum += row[i]) > wanted) return i;
    }
    return last;
  };
  const torch::Tensor at = draws.to(torch::kCPU).contiguous();
  parallel_rows(p.size(0), kRowPiece, torch::kCPU, [&](auto first, auto count) {
    AT_DISPATCH_FLOATING_TYPES(p.scalar_type(), "drawn_labels", [&] {
      for (std::int64_t i = first; i < first + count; ++i)
        labels.data_ptr<std::int64_t>()[i] =
            draw(p.data_ptr<scalar_t>() + i * vocab, at.data_ptr<double>()[i]);
    });
  });
  return labels.to(probabilities.device());
}

/// tanh(x / cap) of every element, in place.
torch::Tensor bend(torch::Tensor x, double cap) {
  parallel_rows(x.size(0), kRowPiece, x.device(),
                [&](auto first, auto count) { x.narrow(0, first, count).div_(cap).tanh_(); });
  return x;
}

/// x [rows, hidden] -> logits [rows, vocab] as the head gives them: with its bias, empty for none,
/// capped. `bent` becomes tanh(logit / cap) where there is a cap.
torch::Tensor head_logits(const torch::Tensor& x, const torch::Tensor& head,
                          const torch::Tensor& bias, double cap, torch::Tensor& bent) {
  auto logits = product(x, head.t());
  if (bias.numel() > 0) logits += bias;
  if (cap == 0) return logits;
  bent = bend(logits, cap);
  return bent * cap;
}

/// Mean cross-entropy of the rows of x [tokens, hidden] against targets [tokens]. The gradients are
/// made with the loss, while a chunk's logits exist, and only scaled in the backward. With `draws`
/// they are those of labels drawn from the rows' own probabilities.
struct HeadLoss : torch::autograd::Function<HeadLoss> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, torch::Tensor x,
                               torch::Tensor head, torch::Tensor bias, torch::Tensor targets,
                               double cap, c10::optional<torch::Tensor> draws, bool with_gradient) {
    const auto gradient = [&](const torch::Tensor& of) {
      const bool wanted = with_gradient && of.requires_grad();
      return wanted ? torch::zeros_like(of) : torch::Tensor();
    };
    auto grad_x = gradient(x), grad_head = gradient(head), grad_bias = gradient(bias);
    auto total = torch::zeros({}, x.options().dtype(torch::kFloat64));
    const auto rows = chunk_rows(head.size(0));
    for (std::int64_t begin = 0; begin < x.size(0); begin += rows) {
      const auto count = std::min(rows, x.size(0) - begin);
      const auto inputs = x.narrow(0, begin, count);
      const auto wanted = targets.narrow(0, begin, count).unsqueeze(1);
      torch::Tensor bent;
      auto logarithm = log_probabilities(head_logits(inputs, head, bias, cap, bent));
      total -= logarithm.gather(1, wanted).sum(torch::kFloat64);
      if (!grad_x.defined() && !grad_head.defined() && !grad_bias.defined()) continue;
      auto grad = exponentials(logarithm);
      const auto labels = draws ? drawn_labels(grad, draws->narrow(0, begin, count)) : wanted;
      grad.scatter_add_(1, labels, torch::full({count, 1}, -1, x.options()));
      if (bent.defined()) grad = at::tanh_backward(grad, bent);
      if (grad_x.defined()) grad_x.narrow(0, begin, count).copy_(product(grad, head));
      if (grad_head.defined()) add_product(grad_head, grad.t(), inputs);
      if (grad_bias.defined()) grad_bias += grad.sum(0);
    }
    const auto tokens = static_cast<double>(x.size(0));
    for (const auto& [name, of] :
         {std::pair{"x", grad_x}, {"head", grad_head}, {"bias", grad_bias}})
      if (of.defined()) ctx->saved_data[name] = torch::Tensor(of).div_(tokens);
    return total.div_(tokens).to(x.scalar_type());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const bool whole = grads[0].item<double>() == 1;  // then a copy of a large head is spared
    const auto scaled = [&](const char* name) {
      const auto found = ctx->saved_data.find(name);
      if (found == ctx->saved_data.end()) return torch::Tensor();
      return whole ? found->second.toTensor() : found->second.toTensor() * grads[0];
    };
    return {scaled("x"),     scaled("head"),  scaled("bias"), torch::Tensor(),
            torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

/// What gives logits, of one of two models.
struct Head {
  torch::Tensor x, weight, bias;  // [tokens, hidden], [vocab, hidden], [vocab] or empty
  torch::Tensor log_softmax(std::int64_t begin, std::int64_t count, double cap,
                            torch::Tensor& bent) const {
    return log_probabilities(head_logits(x.narrow(0, begin, count), weight, bias, cap, bent));
  }
};

/// Σ over rows of KL(p ‖ q), given their logarithms; that of q becomes its gradient, q − p.
torch::Tensor divergences(const torch::Tensor& log_p, const torch::Tensor& log_q) {
  const auto of_rows = torch::empty({log_q.size(0)}, log_q.options().dtype(torch::kFloat64));
  parallel_rows(log_q.size(0), kRowPiece, log_q.device(), [&](auto first, auto count) {
    auto q = log_q.narrow(0, first, count);
    const auto logarithm = log_p.narrow(0, first, count), p = logarithm.exp();
    of_rows.narrow(0, first, count).copy_((p * (logarithm - q)).sum(1, false, torch::kFloat64));
    q.exp_().sub_(p);
  });
  return of_rows.sum();
}

/// Mean KL of the rows of x from those of `other`, its gradient in x made likewise.
struct HeadDivergence : torch::autograd::Function<HeadDivergence> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, torch::Tensor x,
                               const Head& head, const Head& other, double cap,
                               bool with_gradient) {
    const Head mine{x, head.weight, head.bias};
    auto total = torch::zeros({}, x.options().dtype(torch::kFloat64));
    torch::Tensor grad_x = with_gradient ? torch::zeros_like(x) : torch::Tensor(), ignored;
    const auto rows = chunk_rows(head.weight.size(0));
    for (std::int64_t begin = 0; begin < x.size(0); begin += rows) {
      const auto count = std::min(rows, x.size(0) - begin);
      torch::Tensor bent;
      auto grad = mine.log_softmax(begin, count, cap, bent);
      total += divergences(other.log_softmax(begin, count, cap, ignored), grad);
      if (!with_gradient) continue;
      if (bent.defined()) grad = at::tanh_backward(grad, bent);
      grad_x.narrow(0, begin, count).copy_(product(grad, head.weight));
    }
    const auto tokens = static_cast<double>(x.size(0));
    if (with_gradient) ctx->saved_data["x"] = grad_x.div_(tokens);
    return total.div_(tokens).to(x.scalar_type());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    return {ctx->saved_data.at("x").toTensor() * grads[0], torch::Tensor(), torch::Tensor(),
            torch::Tensor(), torch::Tensor()};
  }
};

/// What the head multiplies. A scale of the logits is as well one of these.
torch::Tensor final_states(const Architecture& arch, const Weights& ends, const torch::Tensor& x) {
  const auto normed = normalize(arch.final_norm, ends, x);
  return arch.logit_scale == 1 ? normed : normed * arch.logit_scale;
}

}  // namespace

torch::Tensor embed(const Architecture& arch, const Weights& ends, const torch::Tensor& ids) {
  auto x = torch::embedding(end(ends, arch.embedding), ids);
  if (arch.embedding_scale != 1) x = x * arch.embedding_scale;
  if (arch.positions.empty()) return x;
  const auto& positions = end(ends, arch.positions);
  const auto most = positions.size(0) - arch.position_offset;
  if (ids.size(1) > most)
    fail("model graph", std::to_string(ids.size(1)) + " tokens",
         "at most " + std::to_string(most) + " positions");
  return x + positions.narrow(0, arch.position_offset, ids.size(1));
}

torch::Tensor logits(const Architecture& arch, const Weights& ends, const torch::Tensor& x) {
  auto y = torch::matmul(final_states(arch, ends, x), end(ends, arch.head).t());
  if (!arch.head_bias.empty()) y = y + end(ends, arch.head_bias);
  return arch.logit_cap == 0 ? y : (y / arch.logit_cap).tanh() * arch.logit_cap;
}

torch::Tensor next_token_loss(const Architecture& arch, const Weights& ends, const torch::Tensor& x,
                              const torch::Tensor& ids, const torch::Tensor& draws) {
  const auto time = ids.size(1);
  if (time < 2)
    fail("next-token loss", std::to_string(time) + " tokens in a sequence", "at least 2");
  const auto normed = final_states(arch, ends, x.narrow(1, 0, time - 1).flatten(0, 1));
  const auto bias =
      arch.head_bias.empty() ? torch::empty({0}, x.options()) : end(ends, arch.head_bias);
  return HeadLoss::apply(
      normed, end(ends, arch.head), bias, ids.narrow(1, 1, time - 1).flatten().to(torch::kInt64),
      double{arch.logit_cap}, draws.defined() ? c10::optional<torch::Tensor>(draws) : c10::nullopt,
      torch::GradMode::is_enabled());
}

torch::Tensor next_token_divergence(const Architecture& arch, const Weights& ends,
                                    const torch::Tensor& x, const Weights& other_ends,
                                    const torch::Tensor& other_x) {
  const auto head = [&](const Weights& of, const torch::Tensor& states) {
    const auto bias =
        arch.head_bias.empty() ? torch::empty({0}, states.options()) : end(of, arch.head_bias);
    return Head{final_states(arch, of, states.narrow(1, 0, states.size(1) - 1).flatten(0, 1)),
                end(of, arch.head), bias};
  };
  Head mine = head(ends, x);
  const torch::Tensor states = std::exchange(mine.x, {});
  return HeadDivergence::apply(states, mine, head(other_ends, other_x), double{arch.logit_cap},
                               torch::GradMode::is_enabled());
}

}  // namespace karat
