// A decoder as a LibTorch graph: forward and loss, one block at a time. Weights are given by name,
// so the caller decides their dtype, device and whether they are leaves.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "karat/architecture.h"
#include "karat/safetensors.h"
#include "karat/torch.h"

namespace karat {

using Weights =
    std::map<std::string, torch::Tensor>;  // full tensor name ("….q_proj.weight") -> tensor

/// Told of every linear layer's input [tokens, in] and output [tokens, out] as the block runs; may
/// be empty.
using LinearObserver = std::function<void(const Linear& layer, const torch::Tensor& input,
                                          const torch::Tensor& output)>;

/// Gives a linear layer's output [tokens, out], bias included, from its input x [tokens, in] and
/// the block's weights, in the place of x Wᵀ + bias; empty: that. It may be asked in many threads.
using LinearProduct =
    std::function<torch::Tensor(const Linear& layer, const Weights& block, const torch::Tensor& x)>;

/// A tensor over mapped bytes, in its own dtype, without copying. `view` must outlive it. One of a
/// GGUF type is decoded to F32 instead.
torch::Tensor map_tensor(const TensorView& view);
/// The tensors of block `index` (or embedding, positions, final norm and head), converted to
/// `dtype` on `device`. Conv1D weights are transposed to [out, in].
Weights load_block(const Architecture& arch, const Safetensors& file, std::size_t index,
                   torch::Device device = torch::kCPU, torch::Dtype dtype = torch::kFloat32);
Weights load_ends(const Architecture& arch, const Safetensors& file,
                  torch::Device device = torch::kCPU, torch::Dtype dtype = torch::kFloat32);
/// Final norm and head, its bias too, alone: what next_token_loss() and logits() read.
Weights load_head(const Architecture& arch, const Safetensors& file,
                  torch::Device device = torch::kCPU, torch::Dtype dtype = torch::kFloat32);

/// ids [batch, time] -> activations [batch, time, hidden] entering block 0.
torch::Tensor embed(const Architecture& arch, const Weights& ends, const torch::Tensor& ids);
/// x [batch, time, hidden] -> the same after block `index`. Attention never holds its [time, time]
/// scores whole, forward or backward.
torch::Tensor block_forward(const Architecture& arch, std::size_t index, const Weights& block,
                            const torch::Tensor& x, const LinearObserver& observe = {},
                            const LinearProduct& multiply = {});
/// x [batch, time, hidden] after the last block -> logits [batch, time, vocab].
torch::Tensor logits(const Architecture& arch, const Weights& ends, const torch::Tensor& x);
/// Mean next-token cross-entropy of ids [batch, time] given x after the last block; scalar. With
/// `draws`, [batch · (time − 1)] F64 in [0, 1), its gradients alone are those of other labels: of
/// each position the token where the model's cumulative probability passes its draw.
torch::Tensor next_token_loss(const Architecture& arch, const Weights& ends, const torch::Tensor& x,
                              const torch::Tensor& ids, const torch::Tensor& draws = {});

/// Mean over the same predictions of KL(p ‖ q) in nats: q as next_token_loss() has it, p likewise
/// of another model's x and ends. Scalar; differentiable in x alone.
torch::Tensor next_token_divergence(const Architecture& arch, const Weights& ends,
                                    const torch::Tensor& x, const Weights& other_ends,
                                    const torch::Tensor& other_x);

/// What becomes of q kᵀ before its softmax, as Architecture and Block say it.
struct ScoreRule {
  std::int64_t window = 0;
  double scale = 0, cap = 0;
  std::vector<float> slopes = {};  // [heads] or empty
};

/// softmax(cap(scale q kᵀ) − slope · distance) v, causal, computed in chunks of queries with its
/// own backward. q [batch, heads, time, head_dim], k and v [batch, kv_heads, time, head_dim] ->
/// [batch, heads, time, head_dim].
torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const ScoreRule& rule);

}  // namespace karat
