#include "tuner/policy/gaqat.h"

#include <doctest/doctest.h>

#include "karat/error.h"

namespace karat {
namespace {

Weights one(double value) {
  return {{"s", torch::full({1}, value)}};
}
double entry(const Weights& weights, std::int64_t i = 0) {
  return weights.at("s")[i].item<double>();
}

TEST_CASE("a gate halves the sum, and leaves the task out where its sign never changed") {
  GaqatGate gate(one(1), {.window = 4, .threshold = 0.3});
  for (int step = 0; step < 4; ++step) CHECK(entry(gate.combine(one(3), one(-1))) == 1);
  CHECK(entry(gate.disorder()) == 0);
  CHECK(entry(gate.conflict()) == 1);
  CHECK(gate.frozen().at("s").item<bool>());
  CHECK(entry(gate.combine(one(3), one(-1))) == -1);
}

TEST_CASE("a frozen scale thaws when its signs alternate, unless it never may") {
  for (const bool thaws : {true, false}) {
    CAPTURE(thaws);
    GaqatGate gate(one(1), {.window = 4, .threshold = 0.3, .thaws = thaws});
    for (int step = 0; step < 4; ++step) gate.combine(one(1), one(1));
    for (int step = 0; step < 4; ++step) gate.combine(one(step % 2 == 0 ? 1 : -1), one(1));
    CHECK(entry(gate.disorder()) == 1);
    CHECK(entry(gate.conflict()) == 0.5);
    CHECK(gate.frozen().at("s").item<bool>() == !thaws);
  }
}

TEST_CASE("each entry of a tensor of scales is a scale") {
  const Weights scales{{"s", torch::ones({2})}};
  GaqatGate gate(scales, {.window = 3, .threshold = 0.5});
  for (const double sign : {1.0, -1.0, 1.0})
    gate.combine({{"s", torch::tensor({1.0, sign})}}, {{"s", torch::tensor({-1.0, 1.0})}});
  CHECK(entry(gate.disorder(), 0) == 0);
  CHECK(entry(gate.disorder(), 1) == 1);
  CHECK(gate.frozen().at("s")[0].item<bool>());
  CHECK_FALSE(gate.frozen().at("s")[1].item<bool>());
}

TEST_CASE("a window that cannot hold a change and a threshold that is no share are refused") {
  CHECK_THROWS_WITH_AS(GaqatGate(one(1), {.window = 1}), doctest::Contains("2 or more"), Error);
  CHECK_THROWS_WITH_AS(GaqatGate(one(1), {.threshold = 1.5}), doctest::Contains("0 to 1"), Error);
}

}  // namespace
}  // namespace karat
