// The training loop. Everything it needs to know of a step follows from the step's number, the
// weights and the moments, which is what makes a resumed run exact.
#include "karat/train.h"

#include <fmt/format.h>

#include <cmath>

#include "core/output.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "recipe/axis_text.h"
#include "train/checkpoint.h"
#include "train/clock.h"
#include "train/data.h"
#include "train/export.h"
#include "train/gradient.h"
#include "train/initial.h"
#include "train/learned.h"
#include "train/prepare.h"
#include "train/rank_parts.h"
#include "train/work_folder.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

class Trainer {
 public:
  Trainer(const TrainOptions& options, const ProgressFn& listener);
  TrainResult run();

 private:
  void begin();
  void step();
  void record(double loss, double lr, double norm);
  void report();
  Weights start();      // the first weights, and what is learned beside them: fills scene_.rules
  Weights remember() {  // what the optimizer begins with
    const SerialTorch single;
    return optimizer_.value.begin(scene_, weights_);
  }
  Weights own_weights() const;  // those that the optimizer's state does not hold
  void read_checkpoint();
  void measure_bytes();
  torch::Tensor batch_of(std::int64_t step);
  LossAndGradients gradients_of(const torch::Tensor& ids);
  double validate() const;
  bool on_lattice() const { return optimizer_.value.needs_lattice; }
  void judge();  // the trained model on the validation sequences
  void save();
  void write();
  torch::Device device() const { return options_.cuda ? torch::kCUDA : torch::kCPU; }
  fs::path checkpoint_file() const { return work_.path() / kCheckpointName; }

  const TrainOptions& options_;
  const ProgressFn& listener_;
  WorkFolder work_;
  TrainConfig config_;
  NamedQuantizer quantizer_;
  NamedPolicy policy_;
  NamedOptimizer optimizer_;
  OptimizerScene scene_;
  LinearProduct multiply_;  // empty where nothing is quantized
  TokenId separator_;
  std::int64_t sequence_;
  TokenStreamFile data_;
  WindowOrder order_;
  Weights weights_;           // leaves, float32: the model's and what the quantizer learns
  Weights remembered_;        // by the optimizer
  torch::Tensor validation_;  // ids [sequences, sequence]
  Checkpoint state_;
  Clock clock_;
  std::int64_t first_step_ = 0;  // of this part of the run
};

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
      config_(read_config(options.config)),
      quantizer_(quantizer_of(options, config_.arch)),
      policy_(policy_of(options, quantizer_)),
      optimizer_(optimizer_of(options, quantizer_)),
      scene_(scene_of(options, optimizer_, quantizer_, config_.arch)),
      multiply_(product_of(quantizer_, scene_, remembered_)),
      separator_(separator_of(config_.arch, options.tokenizer)),
      sequence_(sequence_of(options, config_.arch)),
      data_(TokenStreamFile::open({options.data, options.field}, options.tokenizer, separator_,
                                  work_.path(), listener)),
      order_(data_.size(), sequence_, options.seed),
      weights_(as_leaves(start(), device())),
      remembered_(remember()) {}

Weights Trainer::start() {
  const SerialTorch single;
  Weights weights = initial_weights(config_.arch, options_.seed, config_.deviation);
  start_weights(config_.arch, quantizer_.value, weights);
  const auto ids = batch_of(0).narrow(0, 0, std::min(options_.micro_batch, options_.batch));
  Weights learned = learned_parameters(config_.arch, quantizer_.value, weights, ids.cpu());
  scene_.rules = learned_rules(learned, quantizer_.value.decay);
  weights.merge(learned);
  return weights;
}

void Trainer::begin() {
  if (!options_.validation.empty()) {
    const auto stream =
        TokenStreamFile::open({options_.validation, options_.field}, options_.tokenizer, separator_,
                              work_.path(), listener_);
    WindowOrder windows(stream.size(), sequence_, 0);
    std::vector<torch::Tensor> rows;
    const std::int64_t count = std::min(options_.validation_sequences, windows.per_pass());
    for (std::int64_t i = 0; i < count; ++i)
      rows.push_back(stream.slice(windows.begin_of(i), sequence_));
    validation_ = torch::cat(rows).to(device());
  }
  state_.identity = identity_of(options_, config_, {quantizer_, policy_, optimizer_}, data_.hash());
  Ranks& ranks = Ranks::current();
  ranks.agree("training", state_.identity.dump());
  if (ranks.gather(options_.resume ? "resume" : "").front() == "resume") {
    copy_of_first(ranks, checkpoint_file());
    read_checkpoint();
  }
  for (const auto& [name, tensor] : weights_) {
    if (state_.step == 0 && !scene_.rules.contains(name))
      state_.result.parameters += tensor.numel();
  }
  first_step_ = state_.step;
}

Weights Trainer::own_weights() const {
  Weights own = weights_;
  if (optimizer_.value.held)
    for (const auto& [name, weight] : optimizer_.value.held(scene_, remembered_)) own.erase(name);
  return own;
}

void Trainer::read_checkpoint() {
  Weights own = own_weights();
  state_ = load_checkpoint(checkpoint_file(), state_.identity, own, remembered_);
  const torch::NoGradGuard no_grad;
  if (optimizer_.value.held)
    for (const auto& [name, weight] : optimizer_.value.held(scene_, remembered_))
      weights_.at(name).detach().copy_(weight);
  clock_.seconds_before = state_.result.seconds;
  clock_.cpu_before = state_.result.cpu_seconds;
}

void Trainer::measure_bytes() {
  const auto bytes_of = [](const Weights& tensors) {
    std::int64_t bytes = 0;
    for (const auto& [name, tensor] : tensors) bytes += static_cast<std::int64_t>(tensor.nbytes());
    return bytes;
  };
  state_.result.state_bytes = bytes_of(remembered_);
  state_.result.weight_bytes = bytes_of(own_weights());
}

torch::Tensor Trainer::batch_of(std::int64_t step) {
  std::vector<torch::Tensor> rows;
  for (std::int64_t i = 0; i < options_.batch; ++i)
    rows.push_back(data_.slice(order_.begin_of(step * options_.batch + i), sequence_));
  return torch::cat(rows).to(device());
}

double Trainer::validate() const {
  return mean_loss(config_.arch, weights_, validation_, options_.micro_batch, multiply_);
}

void Trainer::save() {
  if (!Ranks::current().first()) return;
  clock_.stamp(state_.result);
  save_checkpoint(checkpoint_file(), state_, own_weights(), remembered_);
  work_.keep();
}

LossAndGradients Trainer::gradients_of(const torch::Tensor& ids) {
  const auto at = [&](const Weights& leaves) {
    return loss_and_gradients(config_.arch, leaves, ids, options_.micro_batch, multiply_);
  };
  if (!policy_.value.gradients) return at(weights_);
  const GradientsAt elsewhere = [&](const Weights& values) {
    return at(leaves_with_floors(values, scene_.rules));
  };
  return policy_.value.gradients({weights_, names_of(scene_.rules), elsewhere, state_.memory});
}

void Trainer::step() {
  auto [loss, gradients] = gradients_of(batch_of(state_.step));
  const double norm = clip_gradients(gradients, options_.optimizer.clip);
  if (!std::isfinite(loss) || !std::isfinite(norm))
    fail(fmt::format("train: step {}", state_.step + 1),
         fmt::format("loss {} and gradient norm {}", loss, norm), "finite numbers",
         "lower --lr, lengthen --warmup, or check the data");
  const double lr = learning_rate(options_.optimizer, state_.step, options_.steps);
  optimizer_.value.update({scene_, gradients, lr, state_.step}, weights_, remembered_);
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

void Trainer::judge() {
  constexpr std::int64_t kAligned = 8;  // sequences
  TrainResult& result = state_.result;
  result.validation_losses = sequence_losses(config_.arch, weights_, validation_, multiply_);
  if (option_of(quantizer_.text, "activations").value_or("16") != "16")
    result.gradient_alignment = gradient_alignment(
        config_.arch, weights_, validation_.narrow(0, 0, std::min(kAligned, validation_.size(0))),
        multiply_, plain_product_of(quantizer_, scene_, remembered_));
}

TrainResult Trainer::run() {
  begin();
  {
    std::optional<SerialTorch> single;
    if (!options_.cuda) single.emplace();
    while (state_.step < options_.steps) {
      step();
      if (options_.checkpoint_every > 0 && state_.step % options_.checkpoint_every == 0) save();
      report();
    }
    if (validation_.defined()) judge();
  }
  clock_.stamp(state_.result);
  measure_bytes();
  state_.result.warnings = config_.arch.warnings;
  if (Ranks::current().first()) write();
  work_.finish();
  return state_.result;
}

void Trainer::write() {
  OutputFolder output(output_of(options_));
  Weights model = weights_, learned;
  for (const auto& [name, rule] : scene_.rules) learned.insert(model.extract(name));
  if (optimizer_.value.beside) learned.merge(optimizer_.value.beside(remembered_));
  nlohmann::json log = training_log(options_, state_, data_.size());
  if (!quantizer_.text.empty())
    log["quantizer"] = export_quantizer(output.path(), config_.arch,
                                        {quantizer_.text, on_lattice()}, learned, options_.dtype);
  export_model(output.path(), config_.arch, model, config_.parsed, options_.tokenizer,
               options_.dtype, log);
  check_folder(output.path());
  output.commit();
}

/// Every rank has tokens of its own, beside those of rank 0 where they are on one machine. What is
/// resumed is rank 0's.
TrainOptions options_of_rank(TrainOptions options) {
  const int rank = Ranks::current().rank();
  if (rank == 0) return options;
  options.resume = false;
  options.replace = true;
  std::filesystem::path& folder = options.work.empty() ? options.out : options.work;
  folder = without_slash(folder);
  folder += fmt::format(".rank{}", rank);
  return options;
}

}  // namespace

TrainResult train(const TrainOptions& options, const ProgressFn& listener) {
  check_options(options);
  const TrainOptions own = options_of_rank(options);  // the trainer refers to it
  return Trainer(own, listener).run();
}

}  // namespace karat
