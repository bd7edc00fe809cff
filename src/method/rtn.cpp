// Round to nearest: the floor every method has to beat.
#include "karat/recipe.h"

namespace karat {

Recipe rtn_method() {
  return {.summary = "round every weight to the nearest value of its group",
          .paper = "folklore; the baseline of all the others",
          .grid = {"uniform:bits=4,group=128"}};
}

}  // namespace karat
