// The block-wise sweep against whole-graph autograd and directly computed statistics.
#include <doctest/doctest.h>

#include "calibrate/memory.h"
#include "core/temporary.h"
#include "karat/calibrate.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "model/testing.h"

using namespace karat;

namespace {

using Stats = std::map<std::string, LinearStats>;  // of the whole model

struct Swept {
  Stats stats;
  std::vector<std::size_t> order;
  SweepResult result;
};

CalibrationSet set_of(torch::Tensor ids) {
  CalibrationSet set;
  set.ids = std::move(ids);
  return set;
}

Swept run_sweep(const FamilyFixture& fixture, const SweepOptions& options) {
  Swept swept;
  swept.result =
      sweep(fixture.arch, fixture.weights, set_of(fixture.ids()), options, [&](BlockVisit& visit) {
        swept.order.push_back(visit.index);
        swept.stats.insert(visit.stats.begin(), visit.stats.end());
      });
  return swept;
}

/// The oracle: one graph of the whole model and of one sequence; gradients by tensor name.
Weights whole_loss_graph(const FamilyFixture& fixture, const torch::Tensor& ids) {
  const auto leaves = fixture.leaves();
  auto x = embed(fixture.arch, leaves, ids);
  for (std::size_t i = 0; i < fixture.arch.blocks.size(); ++i)
    x = block_forward(fixture.arch, i, leaves, x);
  next_token_loss(fixture.arch, leaves, x, ids).backward();
  Weights gradients;
  for (const auto& [name, leaf] : leaves)  // of an expert without tokens there is none
    gradients[name] = leaf.grad().defined() ? leaf.grad() : torch::zeros_like(leaf);
  return gradients;
}

/// The oracle: every layer's inputs [tokens, in] of all sequences at once.
Weights all_inputs(const FamilyFixture& fixture) {
  const torch::NoGradGuard no_grad;
  const auto leaves = fixture.leaves();
  Weights inputs;
  const auto keep = [&](const Linear& layer, const torch::Tensor& x, const torch::Tensor&) {
    inputs[layer.name] = x;
  };
  auto x = embed(fixture.arch, leaves, fixture.ids());
  for (std::size_t i = 0; i < fixture.arch.blocks.size(); ++i)
    x = block_forward(fixture.arch, i, leaves, x, keep);
  return inputs;
}

std::vector<std::string> families() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFamilies))
    names.push_back(entry.path().filename());
  return names;
}

}  // namespace

TEST_CASE("the sweep's gradients and Fisher equal whole-graph autograd") {
  const SerialTorch serial;  // once instead of at every call
  for (const auto& name : families()) {
    CAPTURE(name);
    const FamilyFixture fixture(name);
    const auto swept = run_sweep(fixture, {.needs = {.gradient = true, .fisher = true}});
    CHECK(swept.order == std::vector<std::size_t>{1, 0});
    const auto first = whole_loss_graph(fixture, fixture.ids().narrow(0, 0, 1));
    const auto second = whole_loss_graph(fixture, fixture.ids().narrow(0, 1, 1));
    for (const auto& [layer, stats] : swept.stats) {
      CAPTURE(layer);
      const auto a = first.at(layer + ".weight"), b = second.at(layer + ".weight");
      CHECK(relative_error(stats.gradient, (a + b) / 2) < 1e-5);
      CHECK(relative_error(stats.fisher, (a * a + b * b) / 2) < 1e-5);
      CHECK_FALSE(stats.hessian.defined());
    }
    const auto loss = map_tensor(fixture.expected.get("loss")).item<double>();
    CHECK(swept.result.loss == doctest::Approx(loss).epsilon(1e-5));
  }
}

TEST_CASE("the Fisher information of embedding and head equals whole-graph autograd") {
  const SerialTorch serial;  // once instead of at every call
  for (const auto& name : families()) {
    CAPTURE(name);
    const FamilyFixture fixture(name);
    const Architecture& arch = fixture.arch;
    const EndsFisher found = run_sweep(fixture, {.needs = {.ends = true}}).result.ends;
    const auto first = whole_loss_graph(fixture, fixture.ids().narrow(0, 0, 1));
    const auto second = whole_loss_graph(fixture, fixture.ids().narrow(0, 1, 1));
    const auto wanted = [&](const std::string& end) {
      return (first.at(end).square() + second.at(end).square()).sum(1) / 2;
    };
    CHECK(found.tied.defined() == arch.tied());
    if (arch.tied()) {
      CHECK(relative_error(found.tied, wanted(arch.embedding)) < 1e-5);
    } else {
      CHECK(relative_error(found.embedding, wanted(arch.embedding)) < 1e-5);
      CHECK(relative_error(found.head, wanted(arch.head)) < 1e-5);
    }
  }
}

TEST_CASE("hessian and input_abs equal direct products, forward or backward") {
  const SerialTorch serial;  // once instead of at every call
  for (const auto& name : families()) {
    CAPTURE(name);
    const FamilyFixture fixture(name);
    const auto inputs = all_inputs(fixture);
    const auto forward = run_sweep(fixture, {.needs = {.hessian = true, .input_abs = true}});
    const auto backward = run_sweep(fixture, {.needs = {.gradient = true, .hessian = true}});
    CHECK(forward.order == std::vector<std::size_t>{0, 1});
    CHECK(forward.stats.size() >= inputs.size());
    for (const auto& [layer, x] : inputs) {
      CAPTURE(layer);
      if (forward.stats.at(layer).few_tokens) continue;  // expert_stats_test.cpp
      const auto wanted = torch::mm(x.t(), x) * (2.0 / static_cast<double>(x.size(0)));
      CHECK(relative_error(forward.stats.at(layer).hessian, wanted) < 1e-5);
      CHECK(relative_error(backward.stats.at(layer).hessian, wanted) < 1e-5);
      CHECK(relative_error(forward.stats.at(layer).input_abs, x.abs().mean(0)) < 1e-5);
    }
  }
}

TEST_CASE("layers with the same input share its statistic, others do not") {
  const FamilyFixture fixture("llama3");
  const auto swept = run_sweep(fixture, {.needs = {.hessian = true}});
  for (const Block& block : fixture.arch.blocks) {
    const auto& q = swept.stats.at(block.attention.q.name).hessian;
    CHECK(q.is_same(swept.stats.at(block.attention.v.name).hessian));
    CHECK_FALSE(q.is_same(swept.stats.at(block.attention.o.name).hessian));
    const auto& gate = swept.stats.at(block.mlp.gate.name).hessian;
    CHECK(gate.is_same(swept.stats.at(block.mlp.up.name).hessian));
    CHECK_FALSE(gate.is_same(q));
  }
}

TEST_CASE("with propagate, later blocks see what the visitor left") {
  const FamilyFixture fixture("llama3");
  const auto last = [&](bool propagate) {
    torch::Tensor hessian;
    sweep(fixture.arch, fixture.weights, set_of(fixture.ids()),
          {.needs = {.hessian = true}, .propagate = propagate}, [&](BlockVisit& visit) {
            const Block& block = fixture.arch.blocks[visit.index];
            for (const Linear* linear : block.linears())
              visit.weights.at(linear->name + ".weight").zero_();
            hessian = visit.stats.at(block.attention.q.name).hessian;
          });
    return hessian;
  };
  // Block 0 made of zeros passes the embeddings on, so block 1 normalises those.
  const auto leaves = fixture.leaves();
  const auto x = embed(fixture.arch, leaves, fixture.ids()).detach().flatten(0, 1);
  const auto unit =
      x / (x.square().mean(1, true) + fixture.arch.blocks[1].attention.norm->eps).sqrt();
  const auto normed =
      unit * leaves.at(fixture.arch.blocks[1].attention.norm->name + ".weight").detach();
  const auto wanted = torch::mm(normed.t(), normed) * (2.0 / static_cast<double>(x.size(0)));
  CHECK(relative_error(last(true), wanted) < 1e-5);
  CHECK(relative_error(last(false), wanted) > 1e-2);
}

TEST_CASE("without needs the blocks are visited and the set may be empty") {
  const FamilyFixture fixture("gpt2");
  std::vector<std::size_t> order;
  sweep(fixture.arch, fixture.weights, {}, {}, [&](BlockVisit& visit) {
    order.push_back(visit.index);
    CHECK(visit.stats.empty());
    CHECK(visit.weights.contains(fixture.arch.blocks[visit.index].mlp.down.name + ".weight"));
  });
  CHECK(order == std::vector<std::size_t>{0, 1});
}

TEST_CASE("the sweep rejects what it cannot serve") {
  const FamilyFixture fixture("llama3");
  const auto attempt = [&](const torch::Tensor& ids,
                           SweepOptions options = {.needs = {.gradient = true}}) {
    sweep(fixture.arch, fixture.weights, set_of(ids), options, [](BlockVisit&) {});
  };
  const auto of = [](std::int64_t time) { return torch::zeros({1, time}, torch::kInt64); };
  CHECK_NOTHROW(attempt(of(fixture.arch.max_positions)));
  CHECK_THROWS_WITH_AS(attempt(torch::Tensor()), doctest::Contains("no sequences"), Error);
  CHECK_THROWS_WITH_AS(attempt(of(1)), doctest::Contains("at least 2"), Error);
  CHECK_THROWS_WITH_AS(attempt(of(fixture.arch.max_positions + 1)),
                       doctest::Contains("at most 64 positions"), Error);
  CHECK_THROWS_WITH_AS(attempt(of(8) + fixture.arch.vocab), doctest::Contains("token id 61"),
                       Error);
  CHECK_THROWS_AS(attempt(of(8), {.needs = {.gradient = true}, .propagate = true}), Error);
  CHECK_THROWS_AS(check_memory("a test", 1e17, ""), Error);
  CHECK_NOTHROW(check_memory("a test", 1, ""));
}

TEST_CASE("a listener can stop the sweep and hears of every step") {
  const FamilyFixture fixture("llama3");
  std::int64_t done = 0, total = 0;
  SweepOptions options{.needs = {.gradient = true}};
  options.progress = [&](const ProgressEvent& event) {
    done = event.done, total = event.total;
    return true;
  };
  run_sweep(fixture, options);
  CHECK(done == total);
  CHECK(total > 0);
  options.progress = [](const ProgressEvent&) { return false; };
  CHECK_THROWS_AS(run_sweep(fixture, options), Interrupted);
}

TEST_CASE("blocks: what each reads and the original one writes, in memory or on disk") {
  const FamilyFixture fixture("llama3");
  const torch::Tensor ids = torch::cat({fixture.ids(), fixture.ids().flip(1)});
  const auto originals = fixture.leaves();
  for (const bool propagate : {false, true})
    for (const double resident : {0.0, 1.0}) {
      const torch::NoGradGuard no_grad;
      CAPTURE(propagate);
      CAPTURE(resident);
      const TemporaryFolder scratch;
      SweepOptions options{.needs = {.blocks = true}, .propagate = propagate};
      options.scratch = scratch.path;
      options.resident = resident;
      std::vector<torch::Tensor> read, written;
      for (const torch::Tensor& one : ids.split(1))
        written.push_back(embed(fixture.arch, originals, one));
      read = written;
      sweep(fixture.arch, fixture.weights, set_of(ids), options, [&](BlockVisit& visit) {
        REQUIRE(visit.inputs.size() == read.size());
        for (std::size_t s = 0; s < read.size(); ++s) {
          CHECK(torch::allclose(visit.inputs[s], propagate ? read[s] : written[s], 1e-5, 1e-6));
          written[s] = block_forward(fixture.arch, visit.index, originals, written[s]);
          CHECK(torch::allclose(visit.outputs[s], written[s], 1e-5, 1e-6));
        }
        for (auto& [name, weight] : visit.weights) weight = weight * 1.01;
        for (torch::Tensor& one : read)
          one = block_forward(fixture.arch, visit.index, visit.weights, one);
      });
      CHECK(std::filesystem::is_empty(scratch.path));
    }
}
