// LoTA-QAF: Lossless Ternary Adaptation for Quantization-Aware Fine-Tuning (arXiv 2505.18724):
// codes that GPTQ found move by one where a ternary product says so. The paper learns from
// instructions; here it is what the original model predicts on the calibration text.
#include "karat/recipe.h"

namespace karat {

Recipe lota_qaf_method() {
  return {.summary = "move the codes of gptq by a ternary product, learned end to end",
          .paper = "LoTA-QAF, arXiv 2505.18724",
          .grid = {"uniform:bits=4,group=64"},
          .solver = {"gptq:damp=0.01,order=1"},
          .tuner = {"lota-qaf:iterations=64,batch=8"},
          .samples = 128};
}

}  // namespace karat
