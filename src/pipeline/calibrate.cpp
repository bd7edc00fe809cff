// calibrate: the text behind the statistics, or none when nothing asks for any.
#include <algorithm>

#include "karat/error.h"
#include "pipeline/steps.h"

namespace karat {

CalibrationSet calibrate(const Source& model, const Needs& needs, const Recipe& recipe,
                         const CalibrationRequest& request) {
  if (!needs.any()) {  // a text alone may stand, so that one command line serves every method
    if (request.samples || request.length || request.seed)
      fail("calibration", "--samples, --length or --seed", "none of them",
           "nothing in this recipe reads a text");
    return {};
  }
  if (request.file.empty())
    fail("calibration", "no text", "--calib FILE", "this recipe measures the model on a text");
  constexpr std::int64_t kLength = 2048;
  CalibrationOptions options;
  options.samples = request.samples.value_or(recipe.samples);
  options.length = request.length.value_or(
      std::min(recipe.length > 0 ? recipe.length : kLength, model.arch.max_positions));
  options.field = request.field;
  options.seed = static_cast<std::uint64_t>(request.seed.value_or(0));
  return read_calibration(request.file, Tokenizer::open(model.folder), options);
}

}  // namespace karat
