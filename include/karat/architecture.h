// What a config.json says about a decoder, as plain data that the graph and the runtime both read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "karat/visit_block.h"

namespace karat {

class Safetensors;

/// Rows of a tensor [experts, rows, columns], counted through all experts, from `first` on.
struct StackedRows {
  std::string tensor;
  std::int64_t first = 0;
};

/// y = x Wᵀ + b with W [out, in]. Tensors are `name`.weight and, when `bias`, `name`.bias.
struct Linear {
  std::string name;
  std::int64_t out = 0;
  std::int64_t in = 0;
  bool bias = false;
  bool transposed = false;               // stored [in, out], as GPT-2's Conv1D does
  std::vector<StackedRows> stacks = {};  // where else a checkpoint may hold the weight
};

/// y = x Wᵀ with W [out, in], `name`.weight, which is never quantized: what sends tokens to
/// experts, or weighs what these give.
struct Router {
  std::string name;
  std::int64_t out = 0, in = 0;
};

/// RMSNorm or LayerNorm of rows of `size` values: a token's state, its head, all its heads. Tensors
/// are `name`.weight and, where it has one, `name`.bias: [size], or [rows, size] where so many rows
/// in turn have weights of their own.
struct Norm {
  enum class Kind { rms, layer, layer_without_bias };
  std::string name;
  std::int64_t size = 0;
  Kind kind = Kind::rms;
  float eps = 1e-6f;
  float offset = 0;  // multiplies by offset + weight: 1 in Gemma
  std::int64_t rows = 1;

  bool centred() const { return kind != Kind::rms; }
  bool has_bias() const { return kind == Kind::layer; }
  std::vector<std::int64_t> shape() const {
    return rows == 1 ? std::vector{size} : std::vector{rows, size};
  }
};

/// Rotary embedding of the first 2 · frequencies values of a head. `frequencies` are the final
/// inverse ones (scaling already applied), `factor` multiplies cosines and sines (YaRN).
struct Rope {
  std::vector<float> frequencies;
  float factor = 1;
  bool interleaved = false;  // pairs (2i, 2i + 1); otherwise (i, i + count), Hugging Face's halves
  std::int64_t context = 0;  // positions that it is right for; 0: all
};

using Attention = AttentionParts<Norm, Linear>;
using Mlp = MlpParts<Norm, Linear, Router>;
using Expert = ExpertParts<Linear>;

/// How a block's two parts stand to each other. sequential: x += attention(x); x += mlp(x).
/// parallel: x += attention(x) + mlp(x). shared: parallel, and what attention's norm gives is what
/// the MLP reads, which has none.
enum class Joining { sequential, parallel, shared };

/// One decoder block; what it adds to x is multiplied by Architecture::residual_scale.
struct Block : BlockParts<Norm, Linear, Router> {
  Joining joining = Joining::sequential;
  std::optional<std::size_t> rope;  // which of Architecture::ropes rotates q and k; none: none
  bool rope_first = false;          // q_norm and k_norm come after the rotation
  std::int64_t window = 0;          // attends to the last `window` positions; 0: all
  std::int64_t top_k = 0;           // experts that see a token, where there are any
  bool shares_of_chosen = false;    // their shares are the softmax of their scores; else of all

  std::vector<const Linear*> linears() const;  // in the visitor's order
};

enum class Activation { silu, gelu, gelu_tanh, relu, relu2 };

/// A checkpoint may say `body` for the first part of all names ("model.", "transformer."), and put
/// `head` before the head's.
struct NamePlace {
  std::string body, head;
};

struct Architecture {
  std::string family;  // "llama"
  std::int64_t vocab = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
  std::int64_t max_positions = 0;
  Activation activation = Activation::silu;
  std::vector<Rope> ropes;
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
  float score_scale = 0;               // of q·k; 0: 1/√head_dim
  float score_cap = 0, logit_cap = 0;  // x becomes cap · tanh(x / cap), scaled before; 0: none
  std::vector<float> slopes;      // [heads] of scores by how far back the key is (ALiBi), or empty
  std::vector<NamePlace> places;  // where else a checkpoint may hold the tensors
  std::string embedding;          // tensor [vocab, hidden]
  std::string positions;  // tensor of learned ones, or empty: [offset + max_positions, hidden]
  std::int64_t position_offset = 0;  // the row of the first position
  std::vector<Block> blocks;
  Norm final_norm;
  std::string head;                         // tensor [vocab, hidden]; equals `embedding` when tied
  std::string own_head = "lm_head.weight";  // what a head that is not tied is called
  std::string head_bias;                    // tensor [vocab] that the logits have added, or empty
  std::vector<std::string> left_alone;      // prefixes of other parts' tensors: a vision tower's
  std::optional<std::int32_t> bos;
  std::vector<std::int32_t> eos;
  /// What the checkpoint says and Karat does not know, one sentence each: keys of config.json,
  /// tensors that nothing reads.
  std::vector<std::string> warnings;

  bool tied() const { return head == embedding; }
  bool mixture() const;  // whether a block has experts
};

/// Reads `folder`/config.json through the family file of its model_type, and the tokens that end a
/// text from generation_config.json where that names them; or what a GGUF file says of these.
/// Throws Error on a missing or malformed file, an unknown model_type, a value out of range, or an
/// adapter beside the weights.
Architecture read_architecture(const std::filesystem::path& folder);

/// Model types that have a family file, sorted.
std::vector<std::string> known_families();

/// Checks that every tensor `arch` needs is in `weights` with the right shape and a float type
/// (a linear layer may instead be stored packed), and renames what stands at another of its places
/// there, or without "transformer." or "model.". Cuts tensors of all experts into one each. A head
/// of other values beside tied embeddings is used. Adds a warning that names the tensors nothing
/// reads. Throws naming the tensor.
void match_weights(Architecture& arch, Safetensors& weights);

/// Every dense tensor of the checkpoint that `arch` reads: name and shape, in model order.
struct NamedShape {
  std::string name;
  std::vector<std::int64_t> shape;
};
std::vector<NamedShape> tensor_shapes(const Architecture& arch);

}  // namespace karat
