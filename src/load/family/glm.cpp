// GLM-4 (Team GLM 2024): gate and up in one layer; the first half of every head is rotated, in
// neighbouring pairs.
#include "load/glm_like.h"

namespace karat {

Architecture glm_family(const ConfigReader& config) {
  return glm_like(config);
}

}  // namespace karat
