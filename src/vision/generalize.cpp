#include "vision/generalize.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <set>

#include "core/rng.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "train/gradient.h"
#include "train/learned.h"
#include "tuner/shared/adamw.h"
#include "tuner/shared/scale_gate.h"
#include "tuner/shared/training_policy.h"

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
  LossAndGradients step_gradients();
  LossAndGradients gradients_of(const Weights& leaves, const torch::Tensor& images,
                                const torch::Tensor& labels) const;
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
  OwnRules rules_;                 // of the leaves that are quantizers' steps
  std::set<std::string> learned_;  // their names
  const NamedPolicy policy_;
  Weights memory_;  // the policy's
  std::optional<AdamW> optimizer_;
  double loss_ = 0, loss_sum_ = 0;
  std::int64_t step_ = 0, losses_ = 0;
  GeneralizeResult result_;
};

Generalization::Generalization(const DomainImages& set, const GeneralizeOptions& options)
    : set_(set),
      options_(options),
      shape_{.classes = set.classes, .width = options.width},
      product_(options.bits == 0 ? plain_convolution : quantized_convolution(options.bits)),
      seeds_(options.seed),
      policy_(options.policy.empty() ? NamedPolicy() : make_training_policy(options.policy)) {
  leaves_ = vision_weights(shape_, seeds_.next());
  divide();
  if (options.bits > 0) {
    const auto first = torch::tensor(held_out_).narrow(
        0, 0, std::min<std::int64_t>(kScored, static_cast<std::int64_t>(held_out_.size())));
    Weights steps =
        vision_steps(shape_, leaves_, as_input(set.images.index_select(0, first)), options.bits);
    rules_ = learned_rules(steps, /*decay=*/0);
    learned_ = names_of(rules_);
    leaves_.merge(steps);
  }
  for (auto& [name, leaf] : leaves_) {
    result_.parameters += leaf.numel();
    leaf.requires_grad_(true);
  }
  optimizer_.emplace(OptimizerOptions{.lr = options.lr,
                                      .final_lr = 0.01,
                                      .warmup = options.steps / 20,
                                      .weight_decay = options.decay,
                                      .beta2 = 0.999},
                     leaves_, rules_);
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

LossAndGradients Generalization::gradients_of(const Weights& leaves, const torch::Tensor& images,
                                              const torch::Tensor& labels) const {
  return gradients_in_parts(
      leaves, images.size(0), options_.micro_batch, [&](std::int64_t first, std::int64_t count) {
        return torch::cross_entropy_loss(
            vision_logits(shape_, leaves, images.narrow(0, first, count), product_),
            labels.narrow(0, first, count));
      });
}

LossAndGradients Generalization::step_gradients() {
  std::vector<std::int64_t> drawn;
  for (Passes& domain : passes_)
    for (std::int64_t i = 0; i < options_.batch; ++i) drawn.push_back(domain.next());
  const auto indices = torch::tensor(drawn);
  const auto images = augmented(set_.images.index_select(0, indices), seeds_.next());
  const auto labels = set_.labels.index_select(0, indices);
  if (!policy_.value.gradients) return gradients_of(leaves_, images, labels);
  const GradientsAt at = [&](const Weights& values) {
    return gradients_of(leaves_with_floors(values, rules_), images, labels);
  };
  return policy_.value.gradients({leaves_, learned_, at, memory_});
}

void Generalization::record_scales() {
  if (!gate_decided(memory_)) return;
  for (const std::string& name : learned_) {
    const GateWindow window = gate_window(memory_, name);
    result_.scales.push_back({.step = step_,
                              .scale = name,
                              .disorder = window.disorder.item<double>(),
                              .conflict = window.conflict.item<double>(),
                              .frozen = window.frozen.item<double>() > 0});
  }
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
    const auto [loss, gradients] = step_gradients();
    loss_ = loss;
    const double norm = gradient_norm(gradients);
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
  if (!options.policy.empty() && options.bits == 0 &&
      make_training_policy(options.policy).value.needs_learned)
    reject("policy " + options.policy + " with 0 bits", "2 to 8 bits", "it is about learned steps");
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
