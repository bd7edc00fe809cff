// HQQ: data-free; a zero that makes errors sparse (mobiusml/hqq, 2023).
#include "karat/recipe.h"

namespace karat {

Recipe hqq_method() {
  return {
      .summary = "rounding with the zero that makes errors sparse; needs no text",
      .paper = "HQQ, mobiusml/hqq",
      .grid = {"uniform:bits=4,group=64,fit=hqq"},
  };
}

}  // namespace karat
