#include "tuner/shared/adamw.h"

#include <doctest/doctest.h>

#include <cmath>

namespace karat {
namespace {

/// Algorithm 2 of the paper for one number, in double.
struct ScalarAdamW {
  double weight, m = 0, v = 0;
  void update(const OptimizerOptions& o, double g, double lr, double decay, int t) {
    m = *o.beta1 * m + (1 - *o.beta1) * g;
    v = *o.beta2 * v + (1 - *o.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(*o.beta1, t));
    const double v_hat = v / (1 - std::pow(*o.beta2, t));
    weight -= lr * (m_hat / (std::sqrt(v_hat) + o.epsilon) + decay * weight);
  }
};

TEST_CASE("AdamW follows the paper and decays matrices alone") {
  const OptimizerOptions options{.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.95};
  Weights weights = {{"matrix", torch::full({1, 1}, 0.5)}, {"bias", torch::full({1}, 0.5)}};
  ScalarAdamW matrix{0.5}, bias{0.5};
  AdamW optimizer(options, weights);
  for (int step = 0; step < 20; ++step) {
    const double gradient = std::sin(1.0 + step);
    const double lr = 0.01 * (1 + step % 3);
    optimizer.update(
        weights, {{"matrix", torch::full({1, 1}, gradient)}, {"bias", torch::full({1}, gradient)}},
        lr, step);
    matrix.update(options, gradient, lr, options.weight_decay, step + 1);
    bias.update(options, gradient, lr, 0, step + 1);
  }
  CHECK(weights.at("matrix").item<double>() == doctest::Approx(matrix.weight).epsilon(1e-5));
  CHECK(weights.at("bias").item<double>() == doctest::Approx(bias.weight).epsilon(1e-5));
  CHECK(std::abs(matrix.weight - bias.weight) > 1e-3);
}

TEST_CASE("a weight with its own rule has its rate, its decay and a floor") {
  const OptimizerOptions options{.weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.95};
  Weights weights = {{"step", torch::full({1, 1}, 0.5)}, {"low", torch::full({1, 1}, 0.5)}};
  ScalarAdamW step{0.5};
  AdamW optimizer(options, weights,
                  {{"step", {.rate = 0.25, .decay = 0.4, .least = 0.01}},
                   {"low", {.rate = 100, .decay = 0, .least = 0.01}}});
  for (int i = 0; i < 20; ++i) {
    const double gradient = std::sin(1.0 + i);
    optimizer.update(weights,
                     {{"step", torch::full({1, 1}, gradient)}, {"low", torch::full({1, 1}, 1.0)}},
                     0.01, i);
    step.update(options, gradient, 0.01 * 0.25, 4 * 0.4, i + 1);  // decay has no part in the rate
  }
  CHECK(weights.at("step").item<double>() == doctest::Approx(step.weight).epsilon(1e-5));
  CHECK(weights.at("low").item<float>() == 0.01f);
}

TEST_CASE("the global norm is clipped, not each tensor") {
  Weights gradients = {{"a", torch::tensor({3.0f})}, {"b", torch::tensor({{0.0f, 4.0f}})}};
  CHECK(clip_gradients(gradients, 10) == doctest::Approx(5));
  CHECK(gradients.at("a").item<float>() == 3.0f);
  CHECK(clip_gradients(gradients, 1) == doctest::Approx(5));
  CHECK(gradients.at("a").item<float>() == doctest::Approx(0.6));
  CHECK(gradients.at("b")[0][1].item<float>() == doctest::Approx(0.8));
  CHECK(clip_gradients(gradients, 0) == doctest::Approx(1));
}

TEST_CASE("the learning rate warms up and follows a cosine") {
  const OptimizerOptions options{.lr = 1.0, .final_lr = 0.1, .warmup = 10};
  CHECK(learning_rate(options, 0, 110) == doctest::Approx(0.1));
  CHECK(learning_rate(options, 9, 110) == doctest::Approx(1.0));
  CHECK(learning_rate(options, 60, 110) == doctest::Approx(0.55));  // halfway: the mean
  CHECK(learning_rate(options, 110, 110) == doctest::Approx(0.1));
}

}  // namespace
}  // namespace karat
