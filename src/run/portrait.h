// What can be said of a model without running it: sizes, types, bits per weight.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "karat/language_model.h"

namespace karat {

/// One weight as the model sees it, dense or packed.
struct TensorPortrait {
  std::string name;
  std::vector<std::int64_t> shape;
  std::string stored = {};              // "BF16", "3-bit g16 bilevel"
  std::int64_t weights = 0, bits = 0;   // bits: stored, all parts of a packed matrix together
  std::int64_t kept = 0;                // outliers at FP16
  bool linear = false, packed = false;  // linear: the weight of a block's linear layer
};

struct Portrait {
  std::string family, method;  // method: empty for an original folder
  std::int64_t parameters = 0, layers = 0, hidden = 0, ffn = 0, heads = 0, kv_heads = 0;
  std::int64_t head_dim = 0, context = 0, vocab = 0;
  std::int64_t experts = 0, experts_per_token = 0;  // of a sparse block, where there is one
  bool tied = false;
  std::map<std::string, std::int64_t> types = {};  // stored as -> weights
  std::int64_t file_bytes = 0;
  // Of the packed layers; of all linear layers of the blocks where none is packed.
  std::int64_t layer_weights = 0, layer_bits = 0, kept = 0;
  std::int64_t cache_bytes = 0;  // keys and values of one position, F32
  std::int64_t bytes_per_token = 0;
  std::string isa;                           // kernels in use
  std::vector<TensorPortrait> tensors = {};  // in model order
};

Portrait draw_portrait(const LanguageModel& model);

/// The largest |w| of a tensor, or NaN when one is not finite. Reads every weight.
float largest_weight(const LanguageModel& model, const TensorPortrait& tensor);

}  // namespace karat
