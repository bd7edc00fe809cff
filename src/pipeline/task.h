// What quantizing and planning begin with: everything that a job names, read and checked.
#pragma once

#include <string>
#include <vector>

#include "pipeline/steps.h"

namespace karat {

struct QuantizeTask {
  Assembled recipe;
  Source model;
  CalibrationSet text;
};
/// Throws Error on what can be known to be wrong before any pass.
QuantizeTask open_task(const QuantizeJob& job);

Output folder_output(const QuantizeJob& job);

/// What is to be told of the text and the model's folder.
std::vector<std::string> notices(const QuantizeJob& job, const QuantizeTask& task);

}  // namespace karat
