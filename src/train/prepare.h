// What stands before the first step: options checked, config, separator and validation text read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "karat/architecture.h"
#include "karat/tokenizer.h"
#include "karat/torch.h"
#include "karat/train.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// Throws Error naming the first option that cannot be, or the first file that holds no text.
void check_options(const TrainOptions& options);

/// The quantizer that the options name, made for `arch`; one without operands where they name none.
/// Throws Error on one that is malformed or that cannot quantize a layer.
NamedQuantizer quantizer_of(const TrainOptions& options, const Architecture& arch);

/// What the layers multiply where only their inputs are left alone; empty without a quantizer, and
/// where the weights are not quantized either.
LinearProduct with_plain_inputs(const NamedQuantizer& quantizer);

/// The config as text, as JSON and as the architecture that its family makes of it.
struct TrainConfig {
  std::string text;
  nlohmann::json parsed;
  Architecture arch;
  double deviation = 0.02;  // of the initial weights; GPT-2's, and Hugging Face's default
};
/// Reads the config at `given`, a file or a folder.
TrainConfig read_config(const std::filesystem::path& given);

/// The id between documents. Throws when the tokenizer has more tokens than the model.
TokenId separator_of(const Architecture& arch, const std::filesystem::path& tokenizer);

/// Tokens per sequence that the options ask for.
std::int64_t sequence_of(const TrainOptions& options, const Architecture& arch);

/// Everything that the weights depend on but the number of steps. Equal on both sides of a resume.
nlohmann::json identity_of(const TrainOptions& options, const TrainConfig& config,
                           const std::string& quantizer, const std::string& data_hash);

}  // namespace karat
