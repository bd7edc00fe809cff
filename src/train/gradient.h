// Loss of a batch and its gradients in every weight.
#pragma once

#include <functional>

#include "karat/graph.h"
#include "tuner/shared/training_policy.h"

namespace karat {

/// Mean next-token loss of ids [batch, time]; builds a graph when the weights are leaves. Here and
/// below, `multiply` is what block_forward() takes.
torch::Tensor batch_loss(const Architecture& arch, const Weights& weights, const torch::Tensor& ids,
                         const LinearProduct& multiply = {});

/// Mean loss, as a graph of the leaves, of `count` items of a batch from `first` on.
using PartLoss = std::function<torch::Tensor(std::int64_t first, std::int64_t count)>;

/// Mean loss of a batch of any kind and its gradients, through graphs of `micro_batch` items.
///
/// On the CPU each graph runs on one thread of our pool and as many graphs as there are threads run
/// side by side: small matrices gain little from a BLAS that divides each product, and lose much to
/// its barriers when the machine is busy. Parts are added in their order in the batch, so the bits
/// do not depend on the number of threads. Ranks::current() share the parts, and their sums have
/// the bits of one rank. Call it within a SerialTorch.
LossAndGradients gradients_in_parts(const Weights& leaves, std::int64_t batch,
                                    std::int64_t micro_batch, const PartLoss& mean_loss);
/// Of ids [batch, time].
LossAndGradients loss_and_gradients(const Architecture& arch, const Weights& leaves,
                                    const torch::Tensor& ids, std::int64_t micro_batch,
                                    const LinearProduct& multiply = {});

/// Mean loss of ids [sequences, time] without gradients, divided and shared in the same way.
double mean_loss(const Architecture& arch, const Weights& weights, const torch::Tensor& ids,
                 std::int64_t micro_batch, const LinearProduct& multiply = {});
/// The loss of each sequence of ids [sequences, time].
std::vector<double> sequence_losses(const Architecture& arch, const Weights& weights,
                                    const torch::Tensor& ids, const LinearProduct& multiply = {});

/// Cosines between the gradients in what enters each block, [blocks], of the mean loss of ids
/// [batch, time] with one product and with another: how far a quantizer bends them on their way
/// down (QuEST, arXiv 2502.05003). One graph of each.
std::vector<double> gradient_alignment(const Architecture& arch, const Weights& leaves,
                                       const torch::Tensor& ids, const LinearProduct& one,
                                       const LinearProduct& other);

}  // namespace karat
