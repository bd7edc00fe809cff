// SpQR: A Sparse-Quantized Representation for Near-Lossless LLM Weight Compression (Dettmers et
// al., arXiv 2306.03078). GPTQ on small groups whose statistics are quantized themselves; weights
// that cost their group too much are kept. The paper's runs also reorder columns, and groups with
// them; in our files a group's columns are neighbours, so that reordering means fitting all groups
// beforehand (--solver gptq:damp=1,outliers=0.2,order=1).
#include "karat/recipe.h"

namespace karat {

Recipe spqr_method() {
  return {
      .summary = "gptq that keeps the weights whose absence lowers their group's error most",
      .paper = "SpQR, arXiv 2306.03078",
      .grid = {"uniform:bits=3,group=16,bilevel=1"},
      .solver = {"gptq:damp=1,outliers=0.2"},
      .samples = 16,
  };
}

}  // namespace karat
