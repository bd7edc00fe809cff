#include "train/prepare.h"

#include <fmt/format.h>

#include <cmath>

#include "core/file.h"
#include "core/hash.h"
#include "core/temporary.h"
#include "karat/error.h"
#include "karat/text_file.h"
#include "recipe/axis_text.h"

namespace karat {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

void require(bool holds, std::string_view what, std::string_view got, std::string_view expected) {
  if (!holds) fail(fmt::format("train: {}", what), got, expected);
}

/// Every entry of a table as it is without options.
std::vector<TrainingChoice> choices_of(const auto& table, const auto& make) {
  std::vector<TrainingChoice> choices;
  for (const auto& entry : table) {
    auto named = make(entry.first);
    choices.push_back({entry.first, named.value.summary, named.options});
  }
  return choices;
}

}  // namespace

void check_options(const TrainOptions& o) {
  const auto positive = [](std::int64_t value, std::string_view what) {
    require(value >= 1, what, fmt::format("{}", value), "at least 1");
  };
  positive(o.steps, "--steps");
  positive(o.batch, "--batch");
  positive(o.micro_batch, "--micro-batch");
  positive(o.log_every, "--log-every");
  positive(o.validate_every, "--validate-every");
  positive(o.validation_sequences, "--validation-sequences");
  const auto share = [](double value) { return value >= 0 && value < 1; };
  const OptimizerOptions& a = o.optimizer;
  require(a.lr > 0 && std::isfinite(a.lr), "--lr", fmt::format("{}", a.lr), "above 0");
  require(a.final_lr >= 0 && a.final_lr <= 1, "--final-lr", fmt::format("{}", a.final_lr), "0..1");
  for (const auto& [name, beta] : {std::pair{"--beta1", a.beta1}, {"--beta2", a.beta2}})
    require(share(beta.value_or(0)), name, fmt::format("{}", beta.value_or(0)), "in [0, 1)");
  require(a.weight_decay >= 0 && a.clip >= 0 && a.warmup >= 0 && a.epsilon > 0,
          "--weight-decay, --clip, --warmup, --epsilon", "a negative number", "none below 0");
  require(o.dtype == DType::f32 || o.dtype == DType::f16 || o.dtype == DType::bf16, "--dtype",
          name_of(o.dtype), "f32, f16 or bf16");
  require(!o.cuda || torch::cuda::is_available(), "--device", "no CUDA device", "cpu");
  require(!o.data.empty(), "--data", "no file", "at least one text file");
  for (const auto* files : {&o.data, &o.validation})
    for (const fs::path& file : *files) TextFile::open(file, o.field);  // a wrong one is known now
}

TrainConfig read_config(const fs::path& given) {
  TrainConfig config;
  config.text = read_text(fs::is_directory(given) ? given / "config.json" : given, 1u << 20);
  const TemporaryFolder folder;  // the family files read one, and a config may have another name
  write_file(folder.path / "config.json", config.text);
  config.arch = read_architecture(folder.path);
  config.parsed = json::parse(config.text);
  const json deviation = config.parsed.value("initializer_range", json());
  if (deviation.is_number()) config.deviation = deviation;
  return config;
}

TokenId separator_of(const Architecture& arch, const fs::path& folder) {
  const Tokenizer tokenizer = Tokenizer::open(folder);
  require(tokenizer.vocab_size() <= arch.vocab, "tokenizer",
          fmt::format("{} tokens", tokenizer.vocab_size()),
          fmt::format("at most the config's vocab_size of {}", arch.vocab));
  if (const auto id = tokenizer.find("<|endoftext|>")) return *id;
  if (!arch.eos.empty()) return arch.eos.front();
  if (arch.bos) return *arch.bos;
  fail("train: tokenizer", "no <|endoftext|> token", "one, or an eos_token_id in the config");
}

std::int64_t sequence_of(const TrainOptions& options, const Architecture& arch) {
  const std::int64_t sequence = options.sequence == 0 ? arch.max_positions : options.sequence;
  require(sequence >= 2 && sequence <= arch.max_positions, "--sequence",
          fmt::format("{}", sequence), fmt::format("2 to {}", arch.max_positions));
  return sequence;
}

NamedPolicy policy_of(const TrainOptions& options, const NamedQuantizer& quantizer) {
  if (options.policy.empty()) return {};
  NamedPolicy policy = make_training_policy(options.policy);
  require(!policy.value.needs_learned || quantizer.value.learned, "--policy", options.policy,
          "--quantize with steps that are learned, as lsq and pact have");
  return policy;
}

NamedQuantizer quantizer_of(const TrainOptions& options, const Architecture& arch) {
  if (options.quantize.empty()) return {};
  NamedQuantizer quantizer = make_training_quantizer(options.quantize);
  if (!quantizer.value.check) return quantizer;
  for (const Block& block : arch.blocks)
    for (const Linear* layer : block.linears()) quantizer.value.check(*layer);
  return quantizer;
}

NamedOptimizer optimizer_of(const TrainOptions& options, const NamedQuantizer& quantizer) {
  const std::string text = options.optimizer_name.empty() ? "adamw" : options.optimizer_name;
  NamedOptimizer optimizer = make_training_optimizer(text);
  require(!optimizer.value.needs_lattice || quantizer.value.lattice.steps, "--optimizer", text,
          "--quantize with a quantizer whose weights have one step a row: quest (grid=uniform, "
          "sparse=0), quarot or ste, weights below 16 bits");
  require(!optimizer.value.needs_lattice || options.policy.empty(), "--policy", options.policy,
          "none beside --optimizer " + text + ", which rounds away where a policy looks");
  require(!optimizer.value.cpu_only || !options.cuda, "--optimizer", text + " on cuda",
          "--device cpu");
  return optimizer;
}

OptimizerScene scene_of(const TrainOptions& options, const NamedOptimizer& optimizer,
                        const NamedQuantizer& quantizer, const Architecture& arch) {
  OptimizerScene scene{.options = options.optimizer, .seed = options.seed};
  scene.options.beta1 = options.optimizer.beta1.value_or(optimizer.value.beta1);
  scene.options.beta2 = options.optimizer.beta2.value_or(optimizer.value.beta2);
  if (!optimizer.value.needs_lattice) return scene;
  scene.lattice = quantizer.value.lattice;
  for (const Block& block : arch.blocks)
    for (const Linear* layer : block.linears()) scene.layers.insert(layer->name + ".weight");
  return scene;
}

LinearProduct product_of(const NamedQuantizer& quantizer, const OptimizerScene& scene,
                         const Weights& state) {
  if (scene.lattice.steps) return lattice_product(scene.lattice, state);
  return quantizer.value.operands ? quantized_product(quantizer.value) : LinearProduct();
}

LinearProduct plain_product_of(const NamedQuantizer& quantizer, const OptimizerScene& scene,
                               const Weights& state) {
  if (!scene.lattice.steps) return product_of_plain_inputs(quantizer);
  WeightLattice alone = scene.lattice;
  alone.inputs = {};
  return lattice_product(alone, state);
}

json identity_of(const TrainOptions& o, const TrainConfig& config, const NamedParts& parts,
                 const std::string& data_hash) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json() : json(text);
  };
  const OptimizerOptions& a = o.optimizer;
  return {{"config", sha256(std::as_bytes(std::span(config.text)))},
          {"data", data_hash},
          {"quantizer", text_or_null(parts.quantizer.text)},
          {"policy", text_or_null(parts.policy.text)},
          {"optimizer", parts.optimizer.text},
          {"batch", o.batch},
          {"micro_batch", o.micro_batch},
          {"sequence", sequence_of(o, config.arch)},
          {"seed", o.seed},
          {"lr", a.lr},
          {"final_lr", a.final_lr},
          {"warmup", a.warmup},
          {"weight_decay", a.weight_decay},
          {"beta1", a.beta1.value_or(parts.optimizer.value.beta1)},
          {"beta2", a.beta2.value_or(parts.optimizer.value.beta2)},
          {"epsilon", a.epsilon},
          {"clip", a.clip}};
}

std::vector<TrainingChoice> training_quantizers() {
  return choices_of(training_quantizer_table(), make_training_quantizer);
}

std::vector<TrainingChoice> training_optimizers() {
  return choices_of(training_optimizer_table(), make_training_optimizer);
}

std::vector<TrainingChoice> training_policies() {
  return choices_of(training_policy_table(), make_training_policy);
}

}  // namespace karat
