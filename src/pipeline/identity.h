// Whether two pieces of work are the same.
#pragma once

#include <string>

#include "pipeline/steps.h"
#include "pipeline/work.h"

namespace karat {

/// The version of Karat's format and the recipe: all that is known before the model is read.
WorkIdentity identity_of_recipe(const Assembled& recipe);
/// Also config.json, every tensor's name, type and shape, and the token sequences.
WorkIdentity identity_of_job(const Source& model, const Assembled& recipe,
                             const CalibrationSet& text);
/// Also all bytes of the tensors: everything that the bytes of a result depend on. Names, sizes and
/// times of files do not count. A gigabyte takes a second or two of one core; more than that shows
/// as a stage of progress.
WorkIdentity identity_of_work(const Source& model, const Assembled& recipe,
                              const CalibrationSet& text, const ProgressFn& progress = {});

}  // namespace karat
