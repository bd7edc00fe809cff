#include "model/blas.h"

namespace karat {

std::string_view better_blas_core(std::string_view core, bool avx2, bool avx512) {
  if (core != "Prescott") return "";
  return avx512 ? "SkylakeX" : avx2 ? "Haswell" : "";
}

}  // namespace karat
