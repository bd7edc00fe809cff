#include "tuner/shared/scale_gate.h"

#include <doctest/doctest.h>

namespace karat {
namespace {

const std::set<std::string> kScale{"s"};

/// What the scale's gradient becomes of two.
double combined(const GateOptions& options, Weights& memory, double task, double smooth) {
  Weights gradients{{"s", torch::full({1}, task)}};
  ScaleGate(options, kScale, memory).combine(gradients, {{"s", torch::full({1}, smooth)}});
  return gradients.at("s").item<double>();
}

TEST_CASE("a gate halves the sum, and leaves the task out where its sign never changed") {
  const GateOptions options{.window = 4, .threshold = 0.3};
  Weights memory;
  CHECK_FALSE(gate_decided(memory));
  for (int step = 0; step < 4; ++step) {
    CHECK_FALSE(gate_decided(memory));
    CHECK_FALSE(gate_window(memory, "s").disorder.defined());
    CHECK(combined(options, memory, 3, -1) == 1);
  }
  CHECK(gate_decided(memory));
  CHECK(gate_window(memory, "s").disorder.item<double>() == 0);
  CHECK(gate_window(memory, "s").conflict.item<double>() == 1);
  CHECK(gate_window(memory, "s").frozen.item<double>() == 1);
  CHECK(combined(options, memory, 3, -1) == -1);
}

TEST_CASE("a frozen scale thaws when its signs alternate, unless it never may") {
  for (const bool thaws : {true, false}) {
    CAPTURE(thaws);
    const GateOptions options{.window = 4, .threshold = 0.3, .thaws = thaws};
    Weights memory;
    for (int step = 0; step < 4; ++step) combined(options, memory, 1, 1);
    for (int step = 0; step < 4; ++step) combined(options, memory, step % 2 == 0 ? 1 : -1, 1);
    CHECK(gate_window(memory, "s").disorder.item<double>() == 1);
    CHECK(gate_window(memory, "s").conflict.item<double>() == 0.5);
    CHECK(gate_window(memory, "s").frozen.item<double>() == (thaws ? 0 : 1));
  }
}

TEST_CASE("each entry of a tensor of scales is a scale, and 0 freezes none") {
  for (const double threshold : {0.5, 0.0}) {
    Weights memory;
    for (const double sign : {1.0, -1.0, 1.0}) {
      Weights task{{"s", torch::tensor({1.0, sign})}};
      ScaleGate({.window = 3, .threshold = threshold}, kScale, memory)
          .combine(task, {{"s", torch::tensor({-1.0, 1.0})}});
    }
    const GateWindow window = gate_window(memory, "s");
    CHECK(torch::equal(window.disorder, torch::tensor({0.0, 1.0})));
    CHECK(torch::equal(window.frozen, torch::tensor({threshold > 0 ? 1.0 : 0.0, 0.0})));
  }
}

}  // namespace
}  // namespace karat
