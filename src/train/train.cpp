// The training loop. Everything it needs to know of a step follows from the step's number, the
// weights and the moments, which is what makes a resumed run exact.
#include "karat/train.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/hash.h"
#include "core/threads.h"
#include "karat/error.h"
#include "train/checkpoint.h"
#include "train/data.h"
#include "train/export.h"
#include "train/gradient.h"
#include "train/initial.h"
#include "train/work_folder.h"

namespace karat {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

double process_cpu_seconds() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Wall and CPU time of this part of the run, added to what earlier parts took.
struct Clock {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  double cpu_start = process_cpu_seconds();
  double seconds_before = 0, cpu_before = 0;

  double seconds_here() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  void stamp(TrainResult& result) const {
    result.seconds = seconds_before + seconds_here();
    result.cpu_seconds = cpu_before + process_cpu_seconds() - cpu_start;
  }
};

void require(bool holds, std::string_view what, std::string_view got, std::string_view expected) {
  if (!holds) fail(fmt::format("train: {}", what), got, expected);
}

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
}

/// The config as text, as JSON and as the architecture that its family makes of it.
struct Config {
  std::string text;
  json parsed;
  Architecture arch;
  double deviation = 0.02;  // of the initial weights; GPT-2's, and Hugging Face's default
};

Config read_config(const fs::path& given, const fs::path& work) {
  Config config;
  config.text = read_text(fs::is_directory(given) ? given / "config.json" : given, 1u << 20);
  // The family files read a folder; a config under another name gets one.
  write_file(work / "config.json", config.text);
  config.arch = read_architecture(work);
  config.parsed = json::parse(config.text);
  const json deviation = config.parsed.value("initializer_range", json());
  if (deviation.is_number()) config.deviation = deviation;
  return config;
}

/// The id between documents.
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

class Trainer {
 public:
  Trainer(const TrainOptions& options, const ProgressFn& listener);
  TrainResult run();

 private:
  json identity() const;
  void begin();
  void step();
  void record(double loss, double lr, double norm);
  void report();
  torch::Tensor next_batch();
  double validate() const;
  void save();
  json log() const;
  torch::Device device() const { return options_.cuda ? torch::kCUDA : torch::kCPU; }
  fs::path checkpoint_file() const { return work_.path() / kCheckpointName; }

  const TrainOptions& options_;
  const ProgressFn& listener_;
  WorkFolder work_;
  Config config_;
  TokenId separator_;
  std::int64_t sequence_;
  TokenStreamFile data_;
  WindowOrder order_;
  Weights weights_;  // leaves, float32
  AdamW optimizer_;
  torch::Tensor validation_;  // ids [sequences, sequence]
  Checkpoint state_;
  Clock clock_;
  std::int64_t first_step_ = 0;  // of this part of the run
};

std::int64_t sequence_of(const TrainOptions& options, const Architecture& arch) {
  const std::int64_t sequence = options.sequence == 0 ? arch.max_positions : options.sequence;
  require(sequence >= 2 && sequence <= arch.max_positions, "--sequence",
          fmt::format("{}", sequence), fmt::format("2 to {}", arch.max_positions));
  return sequence;
}

Weights as_leaves(const Weights& weights, torch::Device device) {
  Weights leaves;
  for (const auto& [name, tensor] : weights)
    leaves[name] = tensor.to(device).detach().requires_grad_(true);
  return leaves;
}

Trainer::Trainer(const TrainOptions& options, const ProgressFn& listener)
    : options_(options),
      listener_(listener),
      work_(options),
      config_(read_config(options.config, work_.path())),
      separator_(separator_of(config_.arch, options.tokenizer)),
      sequence_(sequence_of(options, config_.arch)),
      data_(TokenStreamFile::open(options.data, options.tokenizer, separator_, work_.path(),
                                  listener)),
      order_(data_.size(), sequence_, options.seed),
      weights_(as_leaves(initial_weights(config_.arch, options.seed, config_.deviation), device())),
      optimizer_(options.optimizer, weights_) {}

json Trainer::identity() const {
  const OptimizerOptions& a = options_.optimizer;
  return {{"config", sha256(std::as_bytes(std::span(config_.text)))},
          {"data", data_.hash()},
          {"batch", options_.batch},
          {"micro_batch", options_.micro_batch},
          {"sequence", sequence_},
          {"seed", options_.seed},
          {"lr", a.lr},
          {"final_lr", a.final_lr},
          {"warmup", a.warmup},
          {"weight_decay", a.weight_decay},
          {"beta1", a.beta1},
          {"beta2", a.beta2},
          {"epsilon", a.epsilon},
          {"clip", a.clip}};
}

void Trainer::begin() {
  if (!options_.validation.empty()) {
    const auto stream = TokenStreamFile::open(options_.validation, options_.tokenizer, separator_,
                                              work_.path(), listener_);
    WindowOrder windows(stream.size(), sequence_, 0);
    std::vector<torch::Tensor> rows;
    const std::int64_t count = std::min(options_.validation_sequences, windows.per_pass());
    for (std::int64_t i = 0; i < count; ++i)
      rows.push_back(stream.slice(windows.begin_of(i), sequence_));
    validation_ = torch::cat(rows).to(device());
  }
  state_.identity = identity();
  if (options_.resume) {
    state_ = load_checkpoint(checkpoint_file(), state_.identity, weights_, optimizer_);
    clock_.seconds_before = state_.result.seconds;
    clock_.cpu_before = state_.result.cpu_seconds;
  }
  for (const auto& [name, tensor] : weights_) {
    if (state_.step == 0) state_.result.parameters += tensor.numel();
  }
  first_step_ = state_.step;
}

torch::Tensor Trainer::next_batch() {
  std::vector<torch::Tensor> rows;
  for (std::int64_t i = 0; i < options_.batch; ++i)
    rows.push_back(data_.slice(order_.begin_of(state_.step * options_.batch + i), sequence_));
  return torch::cat(rows).to(device());
}

double Trainer::validate() const {
  return mean_loss(config_.arch, weights_, validation_, options_.micro_batch);
}

void Trainer::save() {
  clock_.stamp(state_.result);
  save_checkpoint(checkpoint_file(), state_, weights_, optimizer_);
  work_.keep();
}

void Trainer::step() {
  auto [loss, gradients] =
      loss_and_gradients(config_.arch, weights_, next_batch(), options_.micro_batch);
  const double norm = clip_gradients(gradients, options_.optimizer.clip);
  if (!std::isfinite(loss) || !std::isfinite(norm))
    fail(fmt::format("train: step {}", state_.step + 1),
         fmt::format("loss {} and gradient norm {}", loss, norm), "finite numbers",
         "lower --lr, lengthen --warmup, or check the data");
  const double lr = learning_rate(options_.optimizer, state_.step, options_.steps);
  optimizer_.update(weights_, gradients, lr, state_.step);
  ++state_.step;
  state_.result.tokens += options_.batch * (sequence_ - 1);
  record(loss, lr, norm);
}

void Trainer::record(double loss, double lr, double norm) {
  state_.loss_sum += loss;
  ++state_.loss_count;
  const bool last = state_.step == options_.steps;
  const bool validates =
      validation_.defined() && (last || state_.step % options_.validate_every == 0);
  if (!last && !validates && state_.step % options_.log_every != 0) return;
  TrainPoint point{.step = state_.step,
                   .loss = state_.loss_sum / static_cast<double>(state_.loss_count),
                   .validation = std::nullopt,
                   .lr = lr,
                   .gradient_norm = norm,
                   .seconds = clock_.seconds_before + clock_.seconds_here()};
  if (validates) point.validation = validate();
  state_.result.curve.push_back(point);
  state_.loss_sum = 0;
  state_.loss_count = 0;
}

void Trainer::report() {
  if (!listener_) return;
  const double seconds = clock_.seconds_here();
  const auto done = static_cast<double>(state_.step - first_step_);
  std::string detail;
  if (!state_.result.curve.empty()) {
    const TrainPoint& point = state_.result.curve.back();
    detail = fmt::format("loss {:.3f}  ", point.loss);
    for (auto p = state_.result.curve.rbegin(); p != state_.result.curve.rend(); ++p)
      if (p->validation) {
        detail += fmt::format("validation {:.3f}  ", *p->validation);
        break;
      }
  }
  const double per_step = static_cast<double>(options_.batch * (sequence_ - 1));
  detail += fmt::format("{:.0f} tokens/s", done * per_step / seconds);
  const bool go_on =
      listener_({.stage = "train",
                 .done = state_.step,
                 .total = options_.steps,
                 .seconds = seconds,
                 .seconds_left = seconds / done * static_cast<double>(options_.steps - state_.step),
                 .detail = detail});
  if (go_on || state_.step == options_.steps) return;
  save();
  throw Interrupted{
      fmt::format("step {} is in {}; go on with --resume", state_.step, work_.path().string())};
}

json Trainer::log() const {
  const TrainResult& result = state_.result;
  json files = json::array();
  for (const auto* list : {&options_.data, &options_.validation})
    for (const fs::path& file : *list)
      files.push_back({{"file", file.filename().string()},
                       {"bytes", fs::file_size(file)},
                       {"sha256", sha256_file(file)},
                       {"use", list == &options_.data ? "training" : "validation"}});
  return {{"settings", state_.identity},
          {"steps", state_.step},
          {"files", files},
          {"parameters", result.parameters},
          {"tokens_in_data", data_.size()},
          {"tokens_trained", result.tokens},
          {"seconds", result.seconds},
          {"cpu_seconds", result.cpu_seconds},
          {"threads", thread_count()},
          {"device", options_.cuda ? "cuda" : "cpu"},
          {"curve", to_json(result.curve)}};
}

TrainResult Trainer::run() {
  begin();
  {
    std::optional<SingleThreadedTorch> single;
    if (!options_.cuda) single.emplace();
    while (state_.step < options_.steps) {
      step();
      if (options_.checkpoint_every > 0 && state_.step % options_.checkpoint_every == 0) save();
      report();
    }
  }
  clock_.stamp(state_.result);
  OutputFolder output(options_.out, options_.replace);
  export_model(output.path(), config_.arch, weights_, config_.parsed, options_.tokenizer,
               options_.dtype, log());
  output.commit();
  work_.finish();
  return state_.result;
}

}  // namespace

TrainResult train(const TrainOptions& options, const ProgressFn& listener) {
  check_options(options);
  return Trainer(options, listener).run();
}

}  // namespace karat
