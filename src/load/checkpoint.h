// What match_weights asks of a checkpoint beyond the tensors that must be there.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "karat/architecture.h"
#include "karat/safetensors.h"

namespace karat {

/// Whether the matrix whose tensor would be `weight` is stored packed instead.
bool is_packed(const Safetensors& weights, const std::string& weight);

/// The tensors ("….weight") of linear layers, embedding and head that are stored packed instead.
std::set<std::string> packed_weights(const Architecture& arch, const Safetensors& weights);

/// Of tied embeddings of which the checkpoint holds a head too, uses that head when its values
/// differ, and of embeddings that are not there the head in their place, as transformers 5 does.
void choose_head(Architecture& arch, const Safetensors& weights);

/// Names of tensors that `arch` does not read, sorted, but for buffers that change nothing and the
/// parts that arch.left_alone names.
std::vector<std::string> unread_tensors(const Architecture& arch, const Safetensors& weights);

}  // namespace karat
