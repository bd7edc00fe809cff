// The weights that training starts from.
#pragma once

#include "karat/graph.h"

namespace karat {

/// Matrices and embeddings from N(0, deviation²), those that write into the residual stream divided
/// by √(2·layers) (GPT-2; Radford et al. 2019, §2.3), norms 1, biases 0. Float32 on the CPU, linear
/// layers as [out, in]. Every tensor draws from its own stream of `seed`.
Weights initial_weights(const Architecture& arch, std::uint64_t seed, double deviation);

}  // namespace karat
