// DL-QAT: Weight-Decomposed Low-Rank Quantization-Aware Training (arXiv 2504.09223): the size of a
// group and a low-rank change of its weights are learned over the whole model. The paper learns
// from tasks with labels; here it is what the original model predicts on the calibration text.
#include "karat/recipe.h"

namespace karat {

Recipe dl_qat_method() {
  return {.summary = "learn each group's magnitude and a low-rank change of weights, end to end",
          .paper = "DL-QAT, arXiv 2504.09223",
          .grid = {"uniform:bits=3,group=128"},
          .tuner = {"dl-qat:iterations=64,batch=8"},
          .samples = 128};
}

}  // namespace karat
