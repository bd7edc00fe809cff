// What stands before the first step: options checked, config, separator and validation text read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "karat/architecture.h"
#include "karat/tokenizer.h"
#include "karat/torch.h"
#include "karat/train.h"
#include "tuner/shared/training_optimizer.h"
#include "tuner/shared/training_policy.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// Throws Error naming the first option that cannot be, or the first file that holds no text.
void check_options(const TrainOptions& options);

/// The quantizer that the options name, made for `arch`; one without operands where they name none.
/// Throws Error on one that is malformed or that cannot quantize a layer.
NamedQuantizer quantizer_of(const TrainOptions& options, const Architecture& arch);

/// The policy that the options name; one without function where they name none. Throws Error where
/// it needs what this quantizer does not learn.
NamedPolicy policy_of(const TrainOptions& options, const NamedQuantizer& quantizer);

/// The optimizer that the options name, adamw where they name none. Throws Error where it needs
/// weights on a lattice that this quantizer does not have, or a policy would look beside them.
NamedOptimizer optimizer_of(const TrainOptions& options, const NamedQuantizer& quantizer);
/// What it is told, betas filled in, of a model whose blocks have these layers.
OptimizerScene scene_of(const TrainOptions& options, const NamedOptimizer& optimizer,
                        const NamedQuantizer& quantizer, const Architecture& arch);
/// What the layers multiply: rounded operands, of which the weights are rounded already where
/// `scene` has a lattice, by the steps that the optimizer's `state` holds while the product is
/// used; empty where nothing is quantized. And the same with inputs left alone.
LinearProduct product_of(const NamedQuantizer& quantizer, const OptimizerScene& scene,
                         const Weights& state);
LinearProduct plain_product_of(const NamedQuantizer& quantizer, const OptimizerScene& scene,
                               const Weights& state);

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

/// Options in full, as their names have them.
struct NamedParts {
  const NamedQuantizer& quantizer;
  const NamedPolicy& policy;
  const NamedOptimizer& optimizer;
};
/// Everything that the weights depend on but the number of steps. Equal on both sides of a resume.
nlohmann::json identity_of(const TrainOptions& options, const TrainConfig& config,
                           const NamedParts& parts, const std::string& data_hash);

}  // namespace karat
