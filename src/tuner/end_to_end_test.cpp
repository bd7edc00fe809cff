// Tuners of the whole model on one layer: what each leaves frozen, and what is merged in the end.
#include <doctest/doctest.h>

#include <cmath>
#include <optional>

#include "karat/error.h"
#include "karat/progress.h"
#include "tuner/testing.h"

namespace karat {

Tuner e2e_qp_tuner(Options&);
Tuner dl_qat_tuner(Options&);
Tuner lota_qaf_tuner(Options&);
Tuner wct_tuner(Options&);

namespace {

struct NamedTuner {
  const char* name;
  Tuner (*factory)(Options&);
  const char* options;  // that suit so small a layer
};
const std::vector<NamedTuner> kEndToEnd{
    {"e2e-qp", e2e_qp_tuner, "iterations=80,batch=2,lr=0.01,held=0"},
    {"dl-qat", dl_qat_tuner, "iterations=80,batch=2,rank=4,lr=0.02,magnitude-lr=0.01,held=0"},
    {"lota-qaf", lota_qaf_tuner, "iterations=80,batch=2,rank=8,threshold=0.5,held=0"},
    {"wct", wct_tuner, "iterations=80,batch=2,lr=0.02,held=0"}};

constexpr std::int64_t kOut = 32, kIn = 80, kGroup = 32;  // the last group is narrower

/// With a tenth of its weights kept.
TunedLayer partly_kept(int seed) {
  torch::manual_seed(seed);
  TunedLayer layer = rounded(torch::randn({kOut, kIn}), kGroup, 3);
  layer.start.kept = torch::rand({kOut, kIn}) < 0.1;
  return layer;
}

/// Remembers what it was last asked the value of.
TunedLoss remembering(const TunedLoss& loss, std::vector<torch::Tensor>& seen) {
  TunedLoss other = loss;
  other.value = [=, &seen](const auto& weights, const auto& which) {
    seen.push_back(weights(0).detach().clone());
    return loss.value([&](std::size_t) { return seen.back(); }, which);
  };
  return other;
}

Solution tuned(const NamedTuner& tuner, const std::string& text, const TunedLayer& layer,
               const TunedLoss& loss) {
  return tuner_of(tuner.factory, text).in_turn[0].tune({layer}, loss).at(0);
}

bool same_tensors(const std::vector<GridParams>& a, const std::vector<GridParams>& b,
                  std::size_t part) {
  for (std::size_t g = 0; g < a.size(); ++g)
    if (!torch::equal(a[g][part], b[g][part])) return false;
  return true;
}

}  // namespace

TEST_CASE("each lowers the loss, by what it may change alone") {
  for (const NamedTuner& tuner : kEndToEnd)
    for (const int seed : {1, 2, 3}) {
      CAPTURE(tuner.name);
      const TunedLayer layer = partly_kept(seed);
      const Solution& start = layer.start;
      const TunedLoss loss =
          linear_loss(correlated(6, 16, kIn), torch::randn({kOut, kIn}) * 0.1 + start.weight);
      const Solution found = tuned(tuner, tuner.options, layer, loss);
      CHECK(loss_of(loss, found, kGroup) < 0.97 * loss_of(loss, start, kGroup));
      const std::string name = tuner.name;
      const bool codes = name == "dl-qat" || name == "lota-qaf";
      CHECK(torch::equal(found.codes, start.codes) == !codes);
      CHECK(same_tensors(found.params, start.params, 0) == (name == "lota-qaf" || name == "wct"));
      CHECK(same_tensors(found.params, start.params, 1) == (name != "lota-qaf"));
      CHECK(torch::equal(found.weight, start.weight) == (name != "wct"));
      CHECK(torch::equal(torch::where(start.kept, 0, found.weight),
                         torch::where(start.kept, 0, start.weight)));
    }
}

TEST_CASE("what is merged decodes to what the forward multiplied, bit for bit where codes move") {
  for (const NamedTuner& tuner : kEndToEnd) {
    CAPTURE(tuner.name);
    const TunedLayer layer = partly_kept(4);
    const TunedLoss loss = linear_loss(correlated(6, 16, kIn), layer.start.weight);
    std::vector<torch::Tensor> seen;
    const Solution found = tuned(tuner, tuner.options, layer, remembering(loss, seen));
    const torch::Tensor merged = decoded(found, kGroup);
    double nearest = INFINITY;  // one of those that were judged was kept
    bool equal = false;
    for (const torch::Tensor& one : seen) {
      nearest = std::min(nearest, (one - merged).abs().max().item<double>());
      equal = equal || torch::equal(one, merged);
    }
    const double rounding = std::string(tuner.name) == "wct" ? 2e-3 : 1e-6;  // FP16 residuals
    CHECK(nearest <= rounding);
    if (std::string(tuner.name) == "lota-qaf") CHECK(equal);
    const torch::Tensor start = decoded(layer.start, kGroup);  // where learning begins
    CHECK((seen.front() - start).abs().max().item<double>() <= rounding);
  }
}

TEST_CASE("lota-qaf: a step moves a code by one at most, within the codes there are") {
  const TunedLayer layer = partly_kept(5);
  const TunedLoss loss = linear_loss(correlated(6, 16, kIn), torch::randn({kOut, kIn}));
  const auto with = [&](const char* threshold) {
    return tuned(kEndToEnd[2], std::string("iterations=80,rank=8,held=0,threshold=") + threshold,
                 layer, loss);
  };
  const Solution found = with("0.25");
  const torch::Tensor moved = found.codes.to(torch::kInt32) - layer.start.codes.to(torch::kInt32);
  CHECK(moved.abs().max().item<int>() == 1);
  CHECK(found.codes.max().item<int>() <= 3);
  // Where no product passes the threshold, codes stay and offsets alone move.
  const Solution still = with("1");
  CHECK(torch::equal(still.codes, layer.start.codes));
  CHECK(!same_tensors(still.params, layer.start.params, 1));
}

TEST_CASE("a magnitude of one group is found by hand") {
  // The target is the start with one group's scale half as large: e2e-qp and m find it.
  for (const std::size_t which : {std::size_t{0}, std::size_t{1}}) {
    CAPTURE(kEndToEnd[which].name);
    torch::manual_seed(6);
    const TunedLayer layer = rounded(torch::randn({1, 16}), 8, 3);
    torch::Tensor target = decoded(layer.start, 8).clone();
    target.slice(1, 0, 8).mul_(0.9);
    const TunedLoss loss = linear_loss(torch::randn({8, 64, 16}), target);
    const char* options = which == 0 ? "iterations=200,lr=0.01,held=0"
                                     : "iterations=200,lr=0,magnitude-lr=0.01,held=0";
    const Solution found = tuned(kEndToEnd[which], options, layer, loss);
    const auto ratio = [&](std::size_t g) {
      return (found.params[g][0] / layer.start.params[g][0]).item<double>();
    };
    CHECK(ratio(0) == doctest::Approx(0.9).epsilon(0.01));
    CHECK(ratio(1) == doctest::Approx(1).epsilon(0.01));
  }
}

TEST_CASE("an interrupted tuner goes on to the same result") {
  for (const NamedTuner& tuner : kEndToEnd) {
    CAPTURE(tuner.name);
    const TunedLayer layer = partly_kept(7);
    TunedLoss loss = linear_loss(correlated(6, 16, kIn), layer.start.weight);
    const Solution whole = tuned(tuner, tuner.options, layer, loss);
    std::optional<TunerState> kept;
    loss.keep = [&](const TunerState& state) {
      kept = state;
      for (auto& [name, tensor] : kept->tensors) tensor = tensor.clone();
    };
    loss.resume = [&](TunerState& state) {
      if (!kept) return false;
      state.step = kept->step;
      state.loss = kept->loss;
      const torch::NoGradGuard no_grad;
      for (auto& [name, tensor] : state.tensors) tensor.copy_(kept->tensors.at(name));
      return true;
    };
    std::optional<Solution> resumed;
    int runs = 0;
    while (!resumed) {
      REQUIRE(++runs < 40);
      int left = 7;
      loss.step = [&](double) {
        if (--left == 0) throw Interrupted{};
      };
      try {
        resumed = tuned(tuner, tuner.options, layer, loss);
      } catch (const Interrupted&) {
      }
    }
    CHECK(runs > 5);
    CHECK(torch::equal(decoded(*resumed, kGroup), decoded(whole, kGroup)));
  }
}

}  // namespace karat
