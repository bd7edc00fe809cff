// A layer once it is solved: its tensors, and what the report says of it.
#pragma once

#include "pipeline/block_store.h"
#include "pipeline/widths.h"

namespace karat {

/// Errors are relative to the output's energy where the layer's Hessian is known. Throws Error on
/// values beyond FP16.
QuantizedLayer quantized_layer(const Layer& layer, Stored stored);

/// What the report says of a width that was chosen.
void note_width(const LayerWidth& width, LayerReport& report);

}  // namespace karat
