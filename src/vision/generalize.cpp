#include "vision/generalize.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "core/rng.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "tuner/shared/adamw.h"
#include "train/gradient.h"
#include "train/learned.h"

namespace karat {
namespace {

constexpr std::int64_t kHeldOut = 5;  // of so many images of a source domain one is not trained on
constexpr std::int64_t kScored = 64;  // images of a pass without gradients

/// Indices of images, in a shuffled order.
std::vector<std::int64_t> shuffled(std::vector<std::int64_t> indices, Rng& rng) {
  for (std::size_t i = indices.size(); i > 1; --i) std::swap(indices[i - 1], indices[rng.below(i)]);
  return indices;
}

/// Endless shuffled passes over one domain's images.
class Passes {
 public:
  Passes(std::vector<std::int64_t> images, std::uint64_t seed)
      : images_(std::move(images)), rng_(seed) {}
  std::int64_t next() {
    if (at_ == 0) images_ = shuffled(std::move(images_), rng_);
    const std::int64_t image = images_[at_];
    at_ = (at_ + 1) % images_.size();
    return image;
  }

 private:
  std::vector<std::int64_t> images_;
  std::size_t at_ = 0;
  Rng rng_;
};

class Generalization {
 public:
  Generalization(const DomainImages& set, const GeneralizeOptions& options);
  GeneralizeResult run(const ProgressFn& listener);

 private:
  void divide();
  Weights step_gradients();
  Weights gradients_of(const torch::Tensor& images, const torch::Tensor& labels);
  void record_scales();
  void validate();
  double accuracy(const std::vector<std::int64_t>& indices) const;
  void tell(const ProgressFn& listener) const;
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  }

  const DomainImages& set_;
  const GeneralizeOptions& options_;
  const VisionShape shape_;
  const ConvolutionProduct product_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  Rng seeds_;
  std::vector<Passes> passes_;  // of each source domain
  std::vector<std::int64_t> held_out_, target_;
  Weights leaves_;
  Weights steps_;  // those of the leaves that are quantizers' steps
  std::set<std::string> positive_;
  std::optional<AdamW> optimizer_;
  std::optional<GaqatGate> gate_;
  double loss_ = 0, loss_sum_ = 0;
  std::int64_t step_ = 0, losses_ = 0;
  GeneralizeResult result_;
};

Generalization::Generalization(const DomainImages& set, const GeneralizeOptions& options)
    : set_(set),
      options_(options),
      shape_{.classes = set.classes, .width = options.width},
      product_(options.bits == 0 ? plain_convolution : quantized_convolution(options.bits)),
      seeds_(options.seed) {
  leaves_ = vision_weights(shape_, seeds_.next());
  divide();
  if (options.bits > 0) {
    const auto first = torch::tensor(held_out_).narrow(
        0, 0, std::min<std::int64_t>(kScored, static_cast<std::int64_t>(held_out_.size())));
    steps_ =
        vision_steps(shape_, leaves_, as_input(set.images.index_select(0, first)), options.bits);
    leaves_.insert(steps_.begin(), steps_.end());
  }
  for (auto& [name, leaf] : leaves_) {
    result_.parameters += leaf.numel();
    leaf.requires_grad_(true);
  }
  for (const auto& [name, step] : steps_) positive_.insert(name);
  optimizer_.emplace(OptimizerOptions{.lr = options.lr,
                                      .final_lr = 0.01,
                                      .warmup = options.steps / 20,
                                      .weight_decay = options.decay,
                                      .beta2 = 0.999},
                     leaves_, learned_rules(steps_, /*decay=*/0));
  if (options.sagm && options.bits > 0) {
    GaqatOptions gate = options.gate.value_or(GaqatOptions{});
    if (!options.gate) gate.threshold = 0;  // records, and freezes nothing
    gate_.emplace(steps_, gate);
  }
}

/// Who is trained on, held out, and the target's.
void Generalization::divide() {
  for (std::int64_t domain = 0; domain < std::ssize(set_.domain_names); ++domain) {
    const auto found = (set_.domains == domain).nonzero().flatten();
    std::vector<std::int64_t> images(found.data_ptr<std::int64_t>(),
                                     found.data_ptr<std::int64_t>() + found.numel());
    Rng rng(static_cast<std::uint64_t>(domain));  // the same division for every seed
    images = shuffled(std::move(images), rng);
    if (domain == options_.target) {
      target_ = images;
      continue;
    }
    const auto held = std::ssize(images) / kHeldOut;
    held_out_.insert(held_out_.end(), images.begin(), images.begin() + held);
    passes_.emplace_back(std::vector(images.begin() + held, images.end()), seeds_.next());
  }
  result_.target_images = std::ssize(target_);
}

Weights Generalization::gradients_of(const torch::Tensor& images, const torch::Tensor& labels) {
  auto [loss, gradients] = gradients_in_parts(
      leaves_, images.size(0), options_.micro_batch, [&](std::int64_t first, std::int64_t count) {
        return torch::cross_entropy_loss(
            vision_logits(shape_, leaves_, images.narrow(0, first, count), product_),
            labels.narrow(0, first, count));
      });
  loss_ = loss;
  return gradients;
}

Weights Generalization::step_gradients() {
  std::vector<std::int64_t> drawn;
  for (Passes& domain : passes_)
    for (std::int64_t i = 0; i < options_.batch; ++i) drawn.push_back(domain.next());
  const auto indices = torch::tensor(drawn);
  const auto images = augmented(set_.images.index_select(0, indices), seeds_.next());
  const auto labels = set_.labels.index_select(0, indices);
  if (!options_.sagm) return gradients_of(images, labels);

  double task_loss = 0;
  bool first = true;
  GradientPair pair = sagm_pair(leaves_, *options_.sagm, positive_, [&] {
    Weights gradients = gradients_of(images, labels);
    if (std::exchange(first, false)) task_loss = loss_;
    return gradients;
  });
  loss_ = task_loss;
  Weights combined = gate_ ? gate_->combine(pair.task, pair.smooth) : Weights();
  for (auto& [name, gradient] : pair.task)
    combined.try_emplace(name, (gradient + pair.smooth.at(name)) * 0.5);
  return combined;
}

void Generalization::record_scales() {
  const std::int64_t window = options_.gate.value_or(GaqatOptions{}).window;
  if (!gate_ || step_ % window != 0) return;
  for (const auto& [name, disorder] : gate_->disorder())
    result_.scales.push_back({.step = step_,
                              .scale = name,
                              .disorder = disorder.item<double>(),
                              .conflict = gate_->conflict().at(name).item<double>(),
                              .frozen = gate_->frozen().at(name).item<bool>()});
}

double Generalization::accuracy(const std::vector<std::int64_t>& indices) const {
  const std::int64_t count = std::ssize(indices), parts = (count + kScored - 1) / kScored;
  std::vector<std::int64_t> right(static_cast<std::size_t>(parts));
  parallel_indices(parts, torch::kCPU, [&](std::int64_t part) {
    const torch::NoGradGuard no_grad;
    const auto chosen = torch::tensor(indices).slice(0, part * kScored, (part + 1) * kScored);
    const auto found =
        vision_logits(shape_, leaves_, as_input(set_.images.index_select(0, chosen)), product_)
            .argmax(1);
    right[static_cast<std::size_t>(part)] =
        (found == set_.labels.index_select(0, chosen)).sum().item<std::int64_t>();
  });
  std::int64_t sum = 0;
  for (const std::int64_t n : right) sum += n;
  return static_cast<double>(sum) / static_cast<double>(count);
}

void Generalization::validate() {
  const GeneralizePoint point{.step = step_,
                              .loss = loss_sum_ / static_cast<double>(losses_),
                              .source = accuracy(held_out_),
                              .target = accuracy(target_)};
  loss_sum_ = 0;
  losses_ = 0;
  result_.curve.push_back(point);
  if (result_.curve.size() == 1 || point.source > result_.chosen.source) result_.chosen = point;
}

void Generalization::tell(const ProgressFn& listener) const {
  if (!listener) return;
  const double here = seconds(), left = static_cast<double>(options_.steps - step_);
  std::string detail = fmt::format("loss {:.3f}", loss_);
  if (!result_.curve.empty())
    detail += fmt::format("  source {:.3f}  target {:.3f}", result_.curve.back().source,
                          result_.curve.back().target);
  const bool go_on = listener({.stage = "generalize",
                               .done = step_,
                               .total = options_.steps,
                               .seconds = here,
                               .seconds_left = here / static_cast<double>(step_) * left,
                               .detail = detail});
  if (!go_on && left > 0) throw Interrupted{fmt::format("generalize: stopped at step {}", step_)};
}

GeneralizeResult Generalization::run(const ProgressFn& listener) {
  const SerialTorch single;
  while (step_ < options_.steps) {
    Weights gradients = step_gradients();
    const double norm = clip_gradients(gradients, 0);
    if (!std::isfinite(loss_) || !std::isfinite(norm))
      fail(fmt::format("generalize: step {}", step_ + 1),
           fmt::format("loss {} and gradient norm {}", loss_, norm), "finite numbers",
           "lower the learning rate");
    const double lr = learning_rate(optimizer_->options, step_, options_.steps);
    optimizer_->update(leaves_, gradients, lr, step_);
    ++step_;
    loss_sum_ += loss_;
    ++losses_;
    record_scales();
    if (step_ == options_.steps || step_ % options_.validate_every == 0) validate();
    tell(listener);
  }
  result_.seconds = seconds();
  return result_;
}

void check(const DomainImages& set, const GeneralizeOptions& options) {
  const auto reject = [](const std::string& got, const std::string& expected,
                         const std::string& hint = {}) { fail("generalize", got, expected, hint); };
  const std::int64_t domains = std::ssize(set.domain_names);
  if (domains < 2) reject(fmt::format("{} domain", domains), "two or more");
  if (options.target < 0 || options.target >= domains)
    reject(fmt::format("target {}", options.target), fmt::format("0 to {}", domains - 1));
  if (options.bits != 0 && (options.bits < 2 || options.bits > 8))
    reject(fmt::format("{} bits", options.bits), "2 to 8, or 0 for F32");
  if (options.gate && !(options.sagm && options.bits > 0))
    reject("a gate without two gradients of learned steps", "sagm and bits",
           "it chooses between the task's gradient and the smooth one");
  if (options.width < 8 || options.width % 8 != 0)
    reject(fmt::format("width {}", options.width), "a multiple of 8");
  if (options.steps < 1 || options.batch < 1 || options.micro_batch < 1 ||
      options.validate_every < 1)
    reject("no step or no image", "steps, batch, micro_batch and validate_every from 1 on");
  for (std::int64_t domain = 0; domain < domains; ++domain)
    if ((set.domains == domain).sum().item<std::int64_t>() < kHeldOut)
      reject(fmt::format("fewer than {} images of domain {}", kHeldOut,
                         set.domain_names[static_cast<std::size_t>(domain)]),
             "enough to hold some out");
}

}  // namespace

GeneralizeResult generalize(const DomainImages& set, const GeneralizeOptions& options,
                            const ProgressFn& listener) {
  check(set, options);
  return Generalization(set, options).run(listener);
}

}  // namespace karat
