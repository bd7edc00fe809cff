// Tuning in the passes: gradients of a real block, bytes whatever the threads and interruptions.
#include "pipeline/tune.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/temporary.h"
#include "core/threads.h"
#include "karat/error.h"
#include "model/threads.h"
#include "pipeline/identity.h"
#include "pipeline/passes.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

/// Several sequences, so that there are batches.
CalibrationSet several(const std::string& family) {
  CalibrationSet set = fixture_text(family);
  set.ids = torch::cat({set.ids, set.ids.flip(1), set.ids.roll(3, 1)});
  return set;
}

using Bytes = std::map<std::string, std::string>;
Bytes bytes_of(const BlockStore& blocks) {
  Bytes bytes;
  for (std::size_t i = 0; i < blocks.finished(); ++i) {
    const QuantizedBlock block = blocks.get(i);
    for (const TensorView& tensor : block.file.tensors())
      bytes[tensor.name] = {reinterpret_cast<const char*>(tensor.span().data()),
                            tensor.span().size()};
  }
  return bytes;
}

constexpr std::pair<const char*, const char*> kMethods[] = {
    {"autoround", "signround:iterations=3,batch=2"},
    {"efficientqat", "block-ap:iterations=3,batch=2"},
    {"gptq", "e2e-qp:iterations=3,batch=2,held=0"},
    {"efficientqat", "block-ap:iterations=2+e2e-qp:iterations=3,batch=1+dl-qat:iterations=2"},
    {"lota-qaf", "lota-qaf:iterations=3,batch=2,rank=3,loss=ce"},
    {"dl-qat", "dl-qat:iterations=3,batch=2,rank=2"}};

}  // namespace

TEST_CASE("a block's loss has the gradients that finite differences say") {
  for (const char* family : {"llama3", "gpt2"}) {
    CAPTURE(family);
    TemporaryFolder temporary;
    const Source model = load(kFamilies / family);
    Assembled recipe = assemble(find_method("autoround"), {.grid = "uniform:bits=3,group=16"});
    int seen = 0;
    recipe.tuner.in_turn.at(0).tune = [&](const std::vector<TunedLayer>& layers,
                                          const TunedLoss& loss) {
      std::vector<torch::Tensor> weights, gradients(layers.size());
      for (const TunedLayer& layer : layers) weights.push_back(layer.start.weight * 1.1);
      const std::vector<std::int64_t> which{2, 0};
      const auto given = [&](std::size_t i) { return weights[i]; };
      const double value = loss.gradients(
          given, which, [&](std::size_t i, const auto& gradient) { gradients[i] = gradient; });
      CHECK(value == doctest::Approx(loss.value(given, which)));
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const torch::Tensor direction = gradients[i] / gradients[i].norm();
        const double h = 2e-3 * weights[i].norm().item<double>();
        const auto at = [&](double step) {
          std::vector<torch::Tensor> moved = weights;
          moved[i] = weights[i] + step * direction;
          return loss.value([&](std::size_t k) { return moved[k]; }, which);
        };
        CHECK((at(h) - at(-h)) / (2 * h) ==
              doctest::Approx(gradients[i].norm().item<double>()).epsilon(0.01));
        ++seen;
      }
      std::vector<Solution> same;
      for (const TunedLayer& layer : layers) same.push_back(layer.start);
      return same;
    };
    const Work work(temporary.path / "out", {});
    run_passes(model, recipe, several(family), work, {});
    CHECK(seen >= 8);
  }
}

TEST_CASE("what a block reads and the original one writes") {
  for (const char* inputs : {"quantized", "original"}) {
    CAPTURE(inputs);
    TemporaryFolder temporary;
    const Source model = load(kFamilies / "llama3");
    Assembled recipe =
        assemble(find_method("autoround"), {.grid = "uniform:bits=2,group=16", .inputs = inputs});
    std::vector<double> losses;  // of the original weights, block by block
    recipe.tuner.in_turn.at(0).tune = [&](const std::vector<TunedLayer>& layers,
                                          const TunedLoss& loss) {
      std::vector<torch::Tensor> weights;
      std::vector<Solution> same;
      for (const TunedLayer& layer : layers) {
        weights.push_back(layer.start.weight);
        same.push_back(layer.start);
      }
      losses.push_back(loss.value([&](std::size_t i) { return weights[i]; }, {0, 1, 2}));
      return same;
    };
    const Work work(temporary.path / "out", {});
    run_passes(model, recipe, several("llama3"), work, {});
    CHECK(losses.at(0) == 0);
    CHECK((losses.at(1) == 0) == (std::string(inputs) == "original"));
  }
}

TEST_CASE("tuned bytes do not depend on threads, and interrupted work goes on to the same ones") {
  for (const auto& [method, tuner] : kMethods) {
    CAPTURE(method);
    TemporaryFolder temporary;
    const Source model = load(kFamilies / "llama3");
    const Assembled recipe =
        assemble(find_method(method), {.grid = "uniform:bits=2,group=16", .tuner = tuner});
    const CalibrationSet text = several("llama3");
    const WorkIdentity mark = identity_of_work(model, recipe, text);
    Bytes expected;
    for (const int threads : {1, 2, 3}) {
      set_torch_threads(threads);
      const ThreadScope scope(threads);
      const Work work(temporary.path / std::to_string(threads), mark);
      const Bytes bytes = bytes_of(run_passes(model, recipe, text, work, {}).blocks);
      if (threads == 1) expected = bytes;
      CHECK(bytes == expected);
    }
    std::optional<BlockStore> resumed;
    std::int64_t steps = 0;
    while (!resumed) {  // one step further each time
      REQUIRE(steps < 400);
      Work work(temporary.path / "parts", mark);
      std::int64_t left = ++steps;
      const ProgressFn progress = [&](const ProgressEvent&) { return --left > 0; };
      try {
        resumed = run_passes(model, recipe, text, work, progress).blocks;
      } catch (const Interrupted&) {
      }
      work.keep();
      if (resumed) CHECK(bytes_of(*resumed) == expected);
    }
    CHECK(steps > 3);
  }
}

TEST_CASE("tuning goes with folded transforms, mixed widths, kept weights and other solvers") {
  const Source model = load(kFamilies / "llama3");
  for (const Overrides& overrides :
       std::vector<Overrides>{{.transform = "scale"},
                              {.grid = "uniform:bits=3,group=16,widths=mixed"},
                              {.metric = "magnitude", .selector = "top:0.02"},
                              {.solver = "gptq"},
                              {.transform = "scale:fold=0"}}) {
    TemporaryFolder temporary;
    Overrides all = overrides;
    if (all.grid.empty()) all.grid = "uniform:bits=3,group=16";
    all.tuner = "signround:iterations=20,batch=2";
    const Assembled tuned = assemble(find_method("rtn"), all);
    const Work work(temporary.path / "out", {});
    CHECK_NOTHROW(run_passes(model, tuned, several("llama3"), work, {}));
  }
}

TEST_CASE("what a tuner cannot learn through is refused before any pass") {
  for (const char* grid : {"trellis", "lut", "nf4", "uniform:symmetric=1", "uniform:bilevel=1"}) {
    CAPTURE(grid);
    for (const char* method : {"autoround", "efficientqat"})
      CHECK_THROWS_WITH_AS(assemble(find_method(method), {.grid = grid}),
                           doctest::Contains("whose scale and zero it cannot learn"), Error);
  }
  CHECK_THROWS_WITH_AS(assemble(find_method("autoround"), {.transform = "hadamard"}),
                       doctest::Contains("under a rotation"), Error);
}
