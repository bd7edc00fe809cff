// karat train: Pretrains a small model from a config.json and text
#include "karat/train.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/torch/shared/ranks.h"
#include "cli/warnings.h"
#include "karat/error.h"
#include "karat/text_notice.h"

namespace karat {
namespace {

constexpr const char* kTrainHelp =
    R"(Pretrains a small model from a config.json and text

  karat train config.json --tokenizer FOLDER --data books.txt --out my-model \
      --validation held-out.txt --steps 3000 --batch 8 --lr 3e-3

The config may be of any known family; what is written is a Hugging Face folder. A plain text holds
documents separated by lines `<|endoftext|>`; JSON records are one document each. They are tokenized
once; the tokens and a checkpoint are kept in OUT.work until the run is complete. Ctrl-C writes a
checkpoint and stops; the same command with --resume goes on, to the same weights bit for bit.
--steps may be raised on resuming. AdamW, or what --optimizer names, linear warm-up then a cosine,
clipped gradients, float32 arithmetic.

With --quantize the linear layers of the blocks multiply quantized weights and quantized inputs, in
training and in validation, and their weights learn to bear it:

  karat train config.json ... --quantize quest:weights=4,activations=4

Bits are 1 to 8, or 16 for what is not quantized. Embedding and head are left alone. What is written
are the weights before quantizing, as float32 unless --dtype says otherwise, and quantizer.json,
which says how to quantize them.)";

/// What an option may name, for the end of the help.
std::string choices_help(const std::string& title, const std::vector<TrainingChoice>& choices) {
  std::string text = title + " and their options:\n";
  for (const TrainingChoice& entry : choices) {
    text += fmt::format("  {:<8}{}\n", entry.name, entry.summary);
    for (const OptionEntry& option : entry.options)
      text += fmt::format("    {:<16}{}\n", option.key + "=" + option.value, option.help);
  }
  return text;
}

struct TrainArguments {
  TrainOptions options;
  std::string device = "cpu", dtype;
  bool json = false;
};

void declare_files(CLI::App& app, TrainArguments& a) {
  TrainOptions& o = a.options;
  app.add_option("config", o.config, "config.json, or a folder that holds one")->required();
  app.add_option("--data", o.data, "Text files to train on")->required();
  app.add_option("--field", o.field, "The key of a JSON record's text")->capture_default_str();
  app.add_option("--tokenizer", o.tokenizer, "Folder of the tokenizer")->required();
  app.add_option("--out", o.out, "Folder to write")->required();
  app.add_option("--validation", o.validation, "Text files that are only measured");
  app.add_option("--work", o.work, "Folder for checkpoint and tokens; kept (default: OUT.work)");
  app.add_flag("--force", o.replace,
               "Replace what train wrote to OUT before, or an unfinished run");
  app.add_flag("--resume", o.resume, "Go on from the checkpoint");
  app.add_option("--dtype", a.dtype, "Type of the saved weights (default: bf16, quantized f32)")
      ->check(CLI::IsMember({"f16", "bf16", "f32"}));
  app.add_option("--device", a.device, "Where to compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_flag("--json", a.json, "Print the result as JSON on stdout");
}

void declare_schedule(CLI::App& app, TrainOptions& o) {
  const auto option = [&](const std::string& name, auto& value, const std::string& help) {
    return app.add_option(name, value, help)->capture_default_str();
  };
  option("--steps", o.steps, "Optimizer steps");
  option("--batch", o.batch, "Sequences per step");
  option("--micro-batch", o.micro_batch, "Sequences computed together by one thread");
  option("--sequence", o.sequence, "Tokens per sequence; 0: the model's maximum");
  option("--lr", o.optimizer.lr, "Peak learning rate");
  option("--final-lr", o.optimizer.final_lr, "Share of --lr left at the end");
  option("--warmup", o.optimizer.warmup, "Steps of linear warm-up");
  option("--weight-decay", o.optimizer.weight_decay, "Decoupled, on matrices");
  app.add_option("--optimizer", o.optimizer_name,
                 "What is kept from step to step: NAME:OPTION=VALUE,… (default: adamw)");
  app.add_option("--beta1", o.optimizer.beta1,
                 "Decay of the first moment (default: the optimizer's, adamw 0.9)");
  app.add_option("--beta2", o.optimizer.beta2,
                 "Decay of the second moment (default: the optimizer's, adamw 0.95)");
  option("--clip", o.optimizer.clip, "Largest global gradient norm; 0: none");
  app.add_option("--quantize", o.quantize,
                 "Quantizer of the linear layers: NAME:OPTION=VALUE,…, see below");
  app.add_option("--policy", o.policy, "Which gradients a step takes: NAME:OPTION=VALUE,…");
  option("--seed", o.seed, "Of the initial weights and the order of the data")
      ->check(whole_number(std::numeric_limits<std::uint64_t>::max()));
  option("--log-every", o.log_every, "Steps per point of the curve");
  option("--validate-every", o.validate_every, "Steps between validations");
  option("--validation-sequences", o.validation_sequences, "Sequences validated, at most");
  option("--checkpoint-every", o.checkpoint_every, "Steps between checkpoints; 0: on Ctrl-C only");
}

/// Of the mean of `values`, two or more.
double standard_error(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  for (const double value : values) squares += (value - sum / count) * (value - sum / count);
  return std::sqrt(squares / (count - 1) / count);
}

void print_result(const TrainOptions& options, const TrainResult& result, bool as_json) {
  const TrainPoint& last = result.curve.back();
  if (as_json) {
    nlohmann::json object = {{"out", options.out.string()},       {"parameters", result.parameters},
                             {"tokens", result.tokens},           {"seconds", result.seconds},
                             {"cpu_seconds", result.cpu_seconds}, {"loss", last.loss}};
    if (last.validation) object["validation_loss"] = *last.validation;
    if (result.validation_losses.size() > 1)
      object["validation_standard_error"] = standard_error(result.validation_losses);
    if (!options.quantize.empty()) object["quantize"] = options.quantize;
    object["optimizer_bytes"] = result.state_bytes;
    object["weight_bytes"] = result.weight_bytes;
    if (!result.warnings.empty()) object["warnings"] = result.warnings;
    fmt::print("{}\n", object.dump(2));
    return;
  }
  fmt::print("{}: {} parameters, {} tokens in {:.0f} s, loss {:.4f}", options.out.string(),
             result.parameters, result.tokens, result.seconds, last.loss);
  if (last.validation) fmt::print(", validation {:.4f}", *last.validation);
  if (result.validation_losses.size() > 1)
    fmt::print(" ± {:.4f}", standard_error(result.validation_losses));
  fmt::print("\n");
}

}  // namespace

Action train_verb(CLI::App& app) {
  app.description(std::string(kTrainHelp) + "\n" + kRanksHelp);
  app.footer(choices_help("Quantizers of --quantize", training_quantizers()) + "\n" +
             choices_help("Policies of --policy", training_policies()) + "\n" +
             choices_help("Optimizers of --optimizer", training_optimizers()));
  auto arguments = std::make_shared<TrainArguments>();
  declare_files(app, *arguments);
  declare_schedule(app, arguments->options);
  return [arguments] {
    TrainOptions& options = arguments->options;
    options.cuda = arguments->device == "cuda";
    const std::string fallback = options.quantize.empty() ? "bf16" : "f32";
    const std::string& dtype = arguments->dtype.empty() ? fallback : arguments->dtype;
    options.dtype = dtype == "f32" ? DType::f32 : dtype == "f16" ? DType::f16 : DType::bf16;
    with_ranks([&](Ranks& ranks) {
      if (!ranks.first()) return static_cast<void>(train(options, quiet_progress()));
      for (const auto* files : {&options.data, &options.validation})
        for (const std::filesystem::path& file : *files) tell(text_notices(file, options.field));
      const TrainResult result = train(options, terminal_progress());
      tell(result.warnings);
      print_result(options, result, arguments->json);
    });
  };
}

}  // namespace karat
