// QTIP: Quantization with Trellises and Incoherence Processing (Tseng et al., arXiv 2406.11235).
// Rotated weights look normal; a trellis then codes 16 × 16 of them at once, close to what a rate
// can do at best, and later columns make up for the error.
#include "karat/recipe.h"

namespace karat {

Recipe qtip_method() {
  return {.summary = "rotated weights on a trellis of 2^16 states, 16 × 16 at a time",
          .paper = "QTIP, arXiv 2406.11235",
          .transform = {"hadamard"},
          .grid = {"trellis:bits=2"},
          .solver = {"gptq:damp=0.01"},
          .samples = 16};
}

}  // namespace karat
