#include "train/gradient.h"

#include <algorithm>

#include "core/threads.h"
#include "model/experts.h"
#include "train/rank_parts.h"

namespace karat {
namespace {

/// One graph: the loss of a part and its gradients, both times `share`.
LossAndGradients part(const Weights& leaves, const PartLoss& mean_loss, std::int64_t first,
                      std::int64_t count, double share) {
  const torch::AutoGradMode grad(true);
  const torch::Tensor loss = mean_loss(first, count) * share;
  std::vector<torch::Tensor> inputs;
  for (const auto& [name, leaf] : leaves) inputs.push_back(leaf);
  const auto gradients = gradients_of(loss, inputs);
  LossAndGradients result{loss.item<double>(), {}};
  std::size_t i = 0;
  for (const auto& [name, leaf] : leaves) result.gradients[name] = gradients[i++];
  return result;
}

void add(LossAndGradients& sum, LossAndGradients&& part) {
  sum.loss += part.loss;
  if (sum.gradients.empty()) {
    sum.gradients = std::move(part.gradients);
    return;
  }
  const torch::NoGradGuard no_grad;
  for (auto& [name, gradient] : sum.gradients) gradient.add_(part.gradients.at(name));
}

std::int64_t parts_of(std::int64_t batch, std::int64_t micro_batch) {
  return (batch + micro_batch - 1) / micro_batch;
}

/// Calls body(index, first sequence, sequences) for every part of this rank, `side_by_side` of them
/// at a time, and then(index) in order once each such round is done.
template <typename Body, typename Then>
void for_each_part(const Ranks& ranks, std::int64_t batch, std::int64_t micro_batch,
                   std::int64_t side_by_side, const Body& body, const Then& then) {
  const std::int64_t own =
      (parts_of(batch, micro_batch) - ranks.rank() + ranks.size() - 1) / ranks.size();
  for (std::int64_t round = 0; round < own; round += side_by_side) {
    const std::int64_t in_round = std::min(side_by_side, own - round);
    parallel_for(in_round, 1, [&](auto begin, auto end) {
      for (auto i = begin; i < end; ++i) {
        const std::int64_t first = ((round + i) * ranks.size() + ranks.rank()) * micro_batch;
        body(i, first, std::min(micro_batch, batch - first));
      }
    });
    for (std::int64_t i = 0; i < in_round; ++i) then(i);
  }
}

/// Gradients of the mean loss in what enters each block.
std::vector<torch::Tensor> gradients_of_inputs(const Architecture& arch, const Weights& weights,
                                               const torch::Tensor& ids,
                                               const LinearProduct& multiply) {
  const torch::AutoGradMode grad(true);
  std::vector<torch::Tensor> inputs;
  torch::Tensor x = embed(arch, weights, ids).detach().requires_grad_();
  for (std::size_t i = 0; i < arch.blocks.size(); ++i) {
    inputs.push_back(x);
    x = block_forward(arch, i, weights, x, {}, multiply);
  }
  return torch::autograd::grad({next_token_loss(arch, weights, x, ids)}, inputs);
}

std::int64_t side_by_side(const Weights& weights) {
  return weights.begin()->second.is_cuda() ? 1 : thread_count();
}

/// Of each part of ids [sequences, time], in order, the sum of its sequences' losses.
std::vector<double> part_losses(const Architecture& arch, const Weights& weights,
                                const torch::Tensor& ids, std::int64_t micro_batch,
                                const LinearProduct& multiply) {
  Ranks& ranks = Ranks::current();
  const std::int64_t lanes = side_by_side(weights);
  std::vector<double> parts(static_cast<std::size_t>(lanes)), own;
  for_each_part(
      ranks, ids.size(0), micro_batch, lanes,
      [&](std::int64_t i, std::int64_t first, std::int64_t count) {
        const torch::NoGradGuard no_grad;
        parts[static_cast<std::size_t>(i)] =
            static_cast<double>(count) *
            batch_loss(arch, weights, ids.narrow(0, first, count), multiply).item<double>();
      },
      [&](std::int64_t i) { own.push_back(parts[static_cast<std::size_t>(i)]); });
  return values_of_all(ranks, own, parts_of(ids.size(0), micro_batch));
}

}  // namespace

torch::Tensor batch_loss(const Architecture& arch, const Weights& weights, const torch::Tensor& ids,
                         const LinearProduct& multiply) {
  torch::Tensor x = embed(arch, weights, ids);
  for (std::size_t i = 0; i < arch.blocks.size(); ++i)
    x = block_forward(arch, i, weights, x, {}, multiply);
  return next_token_loss(arch, weights, x, ids);
}

LossAndGradients gradients_in_parts(const Weights& leaves, std::int64_t batch,
                                    std::int64_t micro_batch, const PartLoss& mean_loss) {
  Ranks& ranks = Ranks::current();
  LossAndGradients sum;
  std::vector<LossAndGradients> own;  // where others have parts too
  const std::int64_t lanes = side_by_side(leaves);
  std::vector<LossAndGradients> parts(static_cast<std::size_t>(lanes));
  for_each_part(
      ranks, batch, micro_batch, lanes,
      [&](std::int64_t i, std::int64_t first, std::int64_t count) {
        const double share = static_cast<double>(count) / static_cast<double>(batch);
        parts[static_cast<std::size_t>(i)] = part(leaves, mean_loss, first, count, share);
      },
      [&](std::int64_t i) {
        LossAndGradients& done = parts[static_cast<std::size_t>(i)];
        if (ranks.alone())
          add(sum, std::move(done));
        else
          own.push_back(std::move(done));
      });
  if (ranks.alone()) return sum;
  return sum_of_all(ranks, own, leaves, parts_of(batch, micro_batch));
}

LossAndGradients loss_and_gradients(const Architecture& arch, const Weights& leaves,
                                    const torch::Tensor& ids, std::int64_t micro_batch,
                                    const LinearProduct& multiply) {
  return gradients_in_parts(leaves, ids.size(0), micro_batch, [&](auto first, auto count) {
    return batch_loss(arch, leaves, ids.narrow(0, first, count), multiply);
  });
}

double mean_loss(const Architecture& arch, const Weights& weights, const torch::Tensor& ids,
                 std::int64_t micro_batch, const LinearProduct& multiply) {
  double sum = 0;
  for (const double part : part_losses(arch, weights, ids, micro_batch, multiply)) sum += part;
  return sum / static_cast<double>(ids.size(0));
}

std::vector<double> sequence_losses(const Architecture& arch, const Weights& weights,
                                    const torch::Tensor& ids, const LinearProduct& multiply) {
  return part_losses(arch, weights, ids, 1, multiply);
}

std::vector<double> gradient_alignment(const Architecture& arch, const Weights& leaves,
                                       const torch::Tensor& ids, const LinearProduct& one,
                                       const LinearProduct& other) {
  const auto first = gradients_of_inputs(arch, leaves, ids, one);
  const auto second = gradients_of_inputs(arch, leaves, ids, other);
  std::vector<double> cosines;
  for (std::size_t i = 0; i < first.size(); ++i)
    cosines.push_back(
        ((first[i] * second[i]).sum() / (first[i].norm() * second[i].norm())).item<double>());
  return cosines;
}

}  // namespace karat
