// A trained model as the folder that Hugging Face, and every verb of Karat, reads.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "karat/graph.h"
#include "karat/train.h"
#include "train/checkpoint.h"

namespace karat {

/// What training_log.json holds: settings, files with hashes, tokens, times, curve.
nlohmann::json training_log(const TrainOptions& options, const Checkpoint& state,
                            std::int64_t tokens_in_data);

/// Writes config.json, model.safetensors, the tokenizer's files and training_log.json into
/// `folder`. `weights` are float32 with linear layers as [out, in]; Conv1D's are transposed back.
void export_model(const std::filesystem::path& folder, const Architecture& arch,
                  const Weights& weights, const nlohmann::json& config,
                  const std::filesystem::path& tokenizer, DType dtype, const nlohmann::json& log);

/// Throws Error when what was written does not read back as a model with a tokenizer.
void check_folder(const std::filesystem::path& folder);

}  // namespace karat
