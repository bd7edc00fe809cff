// detach against a sorted list of every score in the model.
#include <doctest/doctest.h>

#include <algorithm>

#include "core/temporary.h"
#include "model/testing.h"
#include "pipeline/passes.h"
#include "pipeline/path.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

struct Run {
  Source model = load(kFamilies / "llama3");
  CalibrationSet text;
  TemporaryFolder folder;
  Work work{folder.path / "q", {}};
  Assembled recipe;
  BlockStore blocks;

  Run(const Recipe& method, const Overrides& overrides)
      : recipe(assemble(method, overrides)), blocks(folder.path / "blocks") {
    text.ids = FamilyFixture("llama3").ids().to(torch::kInt64).clone();
    blocks = run_passes(model, recipe, text, work, {}).blocks;
  }
  Weights original() const {
    Weights all = load_block(model.arch, model.files, 0);
    all.merge(load_block(model.arch, model.files, 1));
    return all;
  }
  Weights decoded(const BlockStore& store) const {
    Weights all;
    for (std::size_t i = 0; i < 2; ++i) {
      Weights block = load_block(model.arch, model.files, i);
      store.decode(i, block);
      all.merge(block);
    }
    return all;
  }
  std::int64_t weights() const {
    std::int64_t count = 0;
    for (const Block& block : model.arch.blocks)
      for (const Linear* linear : block.linears()) count += linear->out * linear->in;
    return count;
  }
};

const char* const kRounding = "uniform:bits=3,group=16";

/// Names of the weights that `after` brings back: "layer.weight/index", best first by |g Δ| of the
/// integrated gradient, which the last round left behind.
std::vector<std::string> best_of(const Run& run, const Weights& before, std::size_t count) {
  const Carried gradients(run.work.path() / "path");
  std::vector<std::pair<float, std::string>> all;
  const Weights original = run.original();
  for (const Block& block : run.model.arch.blocks)
    for (const Linear* linear : block.linears()) {
      const std::string name = linear->name + ".weight";
      const torch::Tensor scores =
          (gradients.get(linear->name, "gradient") * (before.at(name) - original.at(name)))
              .abs()
              .flatten();
      for (std::int64_t i = 0; i < scores.numel(); ++i)
        all.emplace_back(scores[i].item<float>(), name + "/" + std::to_string(i));
    }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(all[i].second);
  std::sort(names.begin(), names.end());
  return names;
}

/// The weights that differ; each must have become what it was, within FP16 of its residual.
std::vector<std::string> brought_back(const Run& run, const Weights& before, const Weights& after) {
  std::vector<std::string> names;
  const Weights original = run.original();
  for (const auto& [name, weight] : after) {
    const torch::Tensor moved = (weight != before.at(name)).flatten().nonzero().flatten();
    for (std::int64_t k = 0; k < moved.numel(); ++k) {
      const auto i = moved[k].item<std::int64_t>();
      const auto of = [&](const Weights& all) { return all.at(name).flatten()[i].item<double>(); };
      CHECK(std::abs(of(after) - of(original)) <=
            1e-3 * std::abs(of(before) - of(original)) + 1e-7);
      names.push_back(name + "/" + std::to_string(i));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("the most expensive weights of the whole model come back, round after round") {
  const Overrides overrides{.metric = "pqi:nodes=2", .grid = kRounding, .detach = "0.02,rounds=2"};
  const Run run(find_method("rtn"), overrides);
  const BlockStore quantized(run.work.path() / "blocks"), first(run.work.path() / "detached-1");
  const Weights start = run.decoded(quantized), middle = run.decoded(first),
                end = run.decoded(run.blocks);
  const auto count = static_cast<std::size_t>(0.01 * static_cast<double>(run.weights()));
  CHECK(brought_back(run, start, middle).size() == count);
  const auto second = brought_back(run, middle, end);
  CHECK(second.size() == count);
  CHECK(second == best_of(run, middle, count));  // the gradients are those of the second round
}

TEST_CASE("what a round picks is a sorted list's beginning, and the report says so") {
  const Run run(find_method("rtn"),
                {.metric = "pqi:nodes=2", .grid = kRounding, .detach = "0.01,rounds=1"});
  const BlockStore quantized(run.work.path() / "blocks");
  const Weights start = run.decoded(quantized), end = run.decoded(run.blocks);
  const auto count = static_cast<std::size_t>(0.01 * static_cast<double>(run.weights()));
  CHECK(brought_back(run, start, end) == best_of(run, start, count));
  double kept = 0, before = 0, after = 0;
  for (std::size_t i = 0; i < 2; ++i)
    for (const LayerReport& layer : run.blocks.get(i).reports) {
      const auto size = static_cast<double>(layer.out * layer.in);
      kept += layer.kept_share * size;
      after += layer.weight_error;
      CHECK(layer.bits == static_cast<double>(run.blocks.get(i).view(layer).stored_bits()) / size);
    }
  for (std::size_t i = 0; i < 2; ++i)
    for (const LayerReport& layer : quantized.get(i).reports) before += layer.weight_error;
  CHECK(std::llround(kept) == static_cast<std::int64_t>(count));
  CHECK(after < before);
}

TEST_CASE("detach adds to weights that are kept already, and takes any metric") {
  const Run run(find_method("rtn"), {.metric = "gradient:key=gd",
                                     .selector = "top:0.05",
                                     .grid = kRounding,
                                     .detach = "0.01,rounds=1"});
  const BlockStore quantized(run.work.path() / "blocks");
  const auto count = static_cast<std::size_t>(0.01 * static_cast<double>(run.weights()));
  CHECK(brought_back(run, run.decoded(quantized), run.decoded(run.blocks)).size() == count);
}
