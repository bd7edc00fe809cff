// GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers (Frantar et
// al., arXiv 2210.17323). Each column's rounding error is made up for by the columns after it,
// large activations first; groups are fitted beforehand (act-order, static groups).
#include "karat/recipe.h"

namespace karat {

Recipe gptq_method() {
  return {.summary = "round column by column, later columns making up for the error",
          .paper = "GPTQ, arXiv 2210.17323",
          .grid = {"uniform:bits=4,group=128"},
          .solver = {"gptq:damp=0.01,order=1"},
          .samples = 16};
}

}  // namespace karat
