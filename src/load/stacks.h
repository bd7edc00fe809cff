// Tensors that hold the weights of many layers.
#pragma once

#include "karat/architecture.h"
#include "karat/safetensors.h"

namespace karat {

/// Puts the weight of each layer in the place of the tensors [experts, rows, columns] that hold
/// several, where the layer has none of its own. Throws when such a tensor has other sizes.
void split_stacks(const Architecture& arch, Safetensors& weights);

}  // namespace karat
