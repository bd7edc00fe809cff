// Keys of quantization_config that several formats have.
#pragma once

#include "format/codec.h"

namespace karat {

Key bits_key();
Key group_key();
Key symmetric_key();

// Of every format; optional.
Key input_scales_key();
Key rotation_key();

// Of formats whose inputs may have a basis and a rounding of their own; optional.
Key hadamard_key();
Key input_grid_key();
Key input_bits_key();

}  // namespace karat
