// What a training run needs to go on as if it had never stopped, in one safetensors file: weights,
// the state of the optimizer and a JSON text in its metadata. One file, so one rename makes it
// appear whole.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "karat/graph.h"
#include "karat/train.h"

namespace karat {

struct Checkpoint {
  nlohmann::json identity;  // everything the weights depend on but the number of steps
  std::int64_t step = 0;    // steps done; also the cursor of the data (see WindowOrder)
  TrainResult result;       // so far
  double loss_sum = 0;      // of the steps since the last point of the curve
  std::int64_t loss_count = 0;
  Weights memory = {};  // of the policy
};

/// The file appears whole: a run that is killed keeps the one before. `optimizer` are tensors of
/// F32 or U8 by their own names, which do not begin with "weights." or "memory.".
void save_checkpoint(const std::filesystem::path& file, const Checkpoint& checkpoint,
                     const Weights& weights, const Weights& optimizer);

/// Whether `file` is one, or what is left of a damaged one: no file of somebody else.
bool is_checkpoint(const std::filesystem::path& file);

/// Fills `weights` and `optimizer` in place. Throws Error when the file is malformed or its
/// identity differs from `identity`, naming the first difference.
Checkpoint load_checkpoint(const std::filesystem::path& file, const nlohmann::json& identity,
                           Weights& weights, Weights& optimizer);

nlohmann::json to_json(const std::vector<TrainPoint>& curve);

/// Views of the bytes of `weights` (F32 or U8, on the CPU, contiguous), each named `prefix` + name.
std::vector<TensorView> views_of(const std::string& prefix, const Weights& weights);

}  // namespace karat
