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
  require(share(a.beta1) && share(a.beta2), "--betas", fmt::format("{} {}", a.beta1, a.beta2),
          "two numbers in [0, 1)");
  require(a.weight_decay >= 0 && a.clip >= 0 && a.warmup >= 0 && a.epsilon > 0,
          "--weight-decay, --clip, --warmup, --epsilon", "a negative number", "none below 0");
  require(o.dtype == DType::f32 || o.dtype == DType::f16 || o.dtype == DType::bf16, "--dtype",
          name_of(o.dtype), "f32, f16 or bf16");
  require(!o.cuda || torch::cuda::is_available(), "--device", "no CUDA device", "cpu");
  require(!o.data.empty(), "--data", "no file", "at least one text file");
  for (const auto* files : {&o.data, &o.validation})
    for (const fs::path& file : *files) TextFile::open(file, o.field);
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

NamedQuantizer quantizer_of(const TrainOptions& options, const Architecture& arch) {
  if (options.quantize.empty()) return {};
  NamedQuantizer quantizer = make_training_quantizer(options.quantize);
  if (!quantizer.value.check) return quantizer;
  for (const Block& block : arch.blocks)
    for (const Linear* layer : block.linears()) quantizer.value.check(*layer);
  return quantizer;
}

LinearProduct with_plain_inputs(const NamedQuantizer& quantizer) {
  if (option_of(quantizer.text, "weights").value_or("16") == "16") return {};
  return quantized_product(
      make_training_quantizer(with_option(quantizer.text, "activations", "16")).value);
}

json identity_of(const TrainOptions& o, const TrainConfig& config, const std::string& quantizer,
                 const std::string& data_hash) {
  const OptimizerOptions& a = o.optimizer;
  return {{"config", sha256(std::as_bytes(std::span(config.text)))},
          {"data", data_hash},
          {"quantizer", quantizer.empty() ? json() : json(quantizer)},
          {"batch", o.batch},
          {"micro_batch", o.micro_batch},
          {"sequence", sequence_of(o, config.arch)},
          {"seed", o.seed},
          {"lr", a.lr},
          {"final_lr", a.final_lr},
          {"warmup", a.warmup},
          {"weight_decay", a.weight_decay},
          {"beta1", a.beta1},
          {"beta2", a.beta2},
          {"epsilon", a.epsilon},
          {"clip", a.clip}};
}

std::vector<TrainingQuantizerEntry> training_quantizers() {
  std::vector<TrainingQuantizerEntry> entries;
  for (const auto& [name, make] : training_quantizer_table()) {
    NamedQuantizer quantizer = make_training_quantizer(name);
    entries.push_back({name, std::move(quantizer.value.summary), std::move(quantizer.options)});
  }
  return entries;
}

}  // namespace karat
