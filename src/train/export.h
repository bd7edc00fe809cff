// A trained model as the folder that Hugging Face, and every verb of Karat, reads.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "karat/graph.h"
#include "karat/train.h"
#include "load/training_record.h"
#include "train/checkpoint.h"

namespace karat {

inline constexpr const char* kOnLattice = "weights_are_levels";  // of quantizer.json
inline constexpr const char* kQuantizerLearned = "quantizer.safetensors";

/// What training_log.json holds: settings, files with hashes, tokens, times, curve.
nlohmann::json training_log(const TrainOptions& options, const Checkpoint& state,
                            std::int64_t tokens_in_data);

/// Writes config.json, model.safetensors, the tokenizer's files and training_log.json into
/// `folder`. `weights` are float32 with linear layers as [out, in]; Conv1D's are transposed back.
void export_model(const std::filesystem::path& folder, const Architecture& arch,
                  const Weights& weights, const nlohmann::json& config,
                  const std::filesystem::path& tokenizer, DType dtype, const nlohmann::json& log);

/// The quantizer in full, and whether the weights are its levels already, by the steps that stand
/// in quantizer.safetensors.
struct TrainedThrough {
  std::string text;
  bool on_lattice = false;
};
/// Writes quantizer.json, how the linear layers were quantized, and quantizer.safetensors with what
/// was learned beside the weights, if anything, as F32; returns the former.
nlohmann::json export_quantizer(const std::filesystem::path& folder, const Architecture& arch,
                                const TrainedThrough& quantizer, const Weights& learned,
                                DType dtype);

/// Throws Error when what was written does not read back as a model with a tokenizer.
void check_folder(const std::filesystem::path& folder);

}  // namespace karat
