// Learning over the whole model: its loss and gradients in any basis, what stays frozen.
#include "pipeline/learn.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/temporary.h"
#include "karat/error.h"
#include "pipeline/model_loss.h"
#include "pipeline/passes.h"
#include "pipeline/testing.h"
#include "recipe/basis.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

CalibrationSet some_text(const std::string& family) {
  CalibrationSet set = fixture_text(family);
  set.ids = torch::cat({set.ids, set.ids.flip(1), set.ids.roll(3, 1), set.ids.roll(5, 1)});
  return set;
}

/// Every linear layer in a basis of its own kind, its weights as in the model.
std::vector<SolvedLayer> unsolved(const Source& model) {
  std::vector<SolvedLayer> layers;
  for (std::size_t i = 0; i < model.arch.blocks.size(); ++i) {
    const Weights weights = load_block(model.arch, model.files, i);
    for (const Linear* linear : model.arch.blocks[i].linears()) {
      SolvedLayer layer{.name = linear->name};
      Basis& basis = layer.solution.basis;
      if (layers.size() % 2 == 0) basis.multiplier = torch::rand({linear->in}) + 0.5;
      if (layers.size() % 3 == 0) basis.rotation = 7;
      layer.solution.weight =
          in_basis({linear->name, weights.at(linear->name + ".weight")}, basis).weight;
      layers.push_back(layer);
    }
  }
  return layers;
}

struct Fixture {
  TemporaryFolder folder;
  Source model;
  CalibrationSet text;
  BlockStore nothing, ends;
  explicit Fixture(const std::string& family)
      : model(load(kFamilies / family)),
        text(some_text(family)),
        nothing(folder.path / "blocks"),
        ends(folder.path / "ends") {
    for (std::size_t i = 0; i < model.arch.blocks.size(); ++i) nothing.put(i, {});
  }
};

BlockStore quantized(const Fixture& fixture, const std::string& method, const Overrides& overrides,
                     const std::string& name) {
  Work work(fixture.folder.path / name, {});
  work.keep();
  return run_passes(fixture.model, assemble(find_method(method), overrides), fixture.text, work, {})
      .blocks;
}

std::string bytes_in(const QuantizedBlock& block, const std::string& tensor) {
  const TensorView& view = block.file.get(tensor);
  return {reinterpret_cast<const char*>(view.span().data()), view.span().size()};
}

/// KL of the text's predictions from the original's, from whole logits in double precision.
double divergence(const Fixture& fixture, const BlockStore& blocks) {
  const torch::NoGradGuard no_grad;
  const auto predictions = [&](const BlockStore* from) {
    const Architecture& arch = fixture.model.arch;
    const Weights ends = load_ends(arch, fixture.model.files);
    torch::Tensor x = embed(arch, ends, fixture.text.ids);
    for (std::size_t i = 0; i < arch.blocks.size(); ++i) {
      Weights weights = load_block(arch, fixture.model.files, i);
      if (from != nullptr) from->decode(i, weights);
      x = block_forward(arch, i, weights, x);
    }
    return torch::log_softmax(logits(arch, ends, x.narrow(1, 0, x.size(1) - 1)).to(torch::kFloat64),
                              2);
  };
  const torch::Tensor p = predictions(nullptr), q = predictions(&blocks);
  return (p.exp() * (p - q)).sum(2).mean().item<double>();
}

}  // namespace

TEST_CASE("the loss of the whole model, in whatever basis its layers are, and its gradients") {
  for (const char* family : {"llama3", "gpt2", "gemma2"})
    for (const TunedOn on : {TunedOn::text, TunedOn::divergence}) {
      CAPTURE(family);
      torch::manual_seed(1);
      const Fixture fixture(family);
      const std::vector<SolvedLayer> layers = unsolved(fixture.model);
      const ModelLoss loss(fixture.model, fixture.text, fixture.ends, fixture.nothing, layers, on,
                           {});
      const std::vector<std::int64_t> which{2, 0};
      std::vector<torch::Tensor> weights, gradients(layers.size());
      const auto given = [&](std::size_t i) { return weights[i]; };
      for (const SolvedLayer& layer : layers) weights.push_back(layer.solution.weight);
      const double start = loss.value(given, which);
      if (on == TunedOn::divergence) {
        CHECK(std::abs(start) < 1e-6);
      } else {
        const FamilyFixture all(family);
        const torch::Tensor ids = fixture.text.ids.index_select(0, torch::tensor(which));
        Weights leaves = all.leaves();
        torch::Tensor x = embed(all.arch, leaves, ids);
        for (std::size_t i = 0; i < all.arch.blocks.size(); ++i)
          x = block_forward(all.arch, i, leaves, x);
        CHECK(start == doctest::Approx(next_token_loss(all.arch, leaves, x, ids).item<double>()));
      }
      for (torch::Tensor& weight : weights)
        weight = weight + 0.2 * weight.std() * torch::randn(weight.sizes());
      const double value = loss.gradients(
          given, which, [&](std::size_t i, const auto& gradient) { gradients[i] = gradient; });
      CHECK(value == doctest::Approx(loss.value(given, which)));
      for (std::size_t i = 0; i < layers.size(); ++i) {
        CAPTURE(layers[i].name);
        const double norm = gradients[i].norm().item<double>();
        const torch::Tensor middle = weights[i], direction = gradients[i] / norm;
        const double h = 2e-3 * middle.norm().item<double>();
        weights[i] = middle + h * direction;
        const double after = loss.value(given, which);
        weights[i] = middle - h * direction;
        const double before = loss.value(given, which);
        weights[i] = middle;
        CHECK((after - before) / (2 * h) == doctest::Approx(norm).epsilon(0.02));
      }
    }
}

TEST_CASE("e2e-qp changes scales alone, and the model comes nearer to the original") {
  const Fixture fixture("llama3");
  for (const std::string grid : {"uniform:bits=2,group=16", "uniform:bits=3,group=24",
                                 "uniform:bits=3,group=0,symmetric=1", "nf4:group=16"}) {
    CAPTURE(grid);
    const BlockStore before = quantized(fixture, "gptq", {.grid = grid}, "before-" + grid);
    const BlockStore after = quantized(
        fixture, "gptq", {.grid = grid, .tuner = "e2e-qp:iterations=24,batch=4,held=0,lr=0.01"},
        "after-" + grid);
    for (std::size_t i = 0; i < after.finished(); ++i) {
      const QuantizedBlock one = before.get(i), other = after.get(i);
      for (const TensorView& tensor : one.file.tensors()) {
        CAPTURE(tensor.name);
        const bool same = bytes_in(one, tensor.name) == bytes_in(other, tensor.name);
        CHECK(same == !tensor.name.ends_with(".scales"));
      }
    }
    CHECK(divergence(fixture, after) < 0.9 * divergence(fixture, before));
  }
}

TEST_CASE("what is learned end to end goes with folds, widths, kept weights, rotations and ends") {
  const Fixture fixture("llama3");
  const std::string tuner = "e2e-qp:iterations=6,batch=4,held=0,lr=0.01";
  int number = 0;
  for (auto& [method, overrides] : std::vector<std::pair<std::string, Overrides>>{
           {"rtn", {.transform = "scale", .grid = "uniform:bits=2,group=16"}},
           {"rtn", {.transform = "scale:fold=0", .grid = "uniform:bits=2,group=16"}},
           {"gptq", {.grid = "uniform:bits=2.5,group=16"}},
           {"owq", {.selector = "columns:ratio=0.1"}},
           {"qtip", {}},
           {"qtip", {.metric = "magnitude", .selector = "top:0.02"}},
           {"karat", {.grid = "column-trellis:bits=2"}}}) {
    CAPTURE(method);
    CAPTURE(number);
    Overrides tuned = overrides;
    tuned.tuner = tuner;
    const auto name = std::to_string(++number);
    if (overrides.ends.empty()) overrides.ends = tuned.ends = "none";
    const BlockStore before = quantized(fixture, method, overrides, "plain" + name);
    const BlockStore after = quantized(fixture, method, tuned, "tuned" + name);
    CHECK(divergence(fixture, after) < divergence(fixture, before));
    const QuantizedBlock one = before.get(1), other = after.get(1);
    for (std::size_t i = 0; i < one.reports.size(); ++i) {
      CHECK(other.reports[i].stored == one.reports[i].stored);
      CHECK(other.reports[i].bits == one.reports[i].bits);
      CHECK(other.reports[i].weight_error ==
            doctest::Approx(one.reports[i].weight_error).epsilon(0.3));
    }
  }
}

TEST_CASE("embedding and head that are rounded count as what they are") {
  const Fixture fixture("llama3");
  const Assembled recipe = assemble(
      find_method("rtn"), {.grid = "uniform:bits=3,group=16", .ends = "uniform:bits=2,group=16"});
  Work work(fixture.folder.path / "work", {});
  const Passed passed = run_passes(fixture.model, recipe, fixture.text, work, {});
  const std::vector<SolvedLayer> layers = unsolved(fixture.model);
  const auto loss = [&](const BlockStore& ends) {
    return ModelLoss(fixture.model, fixture.text, ends, fixture.nothing, layers,
                     TunedOn::divergence, {})
        .value([&](std::size_t i) { return layers[i].solution.weight; }, {0, 1});
  };
  CHECK(loss(fixture.ends) < 1e-6);
  CHECK(loss(passed.ends) > 1e-3);
}

TEST_CASE("wct changes kept weights alone") {
  const Fixture fixture("llama3");
  const Overrides plain{.selector = "columns:ratio=0.1", .grid = "uniform:bits=2,group=0"};
  Overrides tuned = plain;
  tuned.tuner = "wct:iterations=24,batch=4,held=0,lr=0.02";
  const BlockStore before = quantized(fixture, "owq", plain, "before");
  const BlockStore after = quantized(fixture, "owq", tuned, "after");
  for (std::size_t i = 0; i < after.finished(); ++i) {
    const QuantizedBlock one = before.get(i), other = after.get(i);
    for (const TensorView& tensor : one.file.tensors()) {
      CAPTURE(tensor.name);
      const bool same = bytes_in(one, tensor.name) == bytes_in(other, tensor.name);
      CHECK(same == !tensor.name.ends_with(".outlier_values"));
    }
  }
  CHECK(divergence(fixture, after) < 0.95 * divergence(fixture, before));
}

TEST_CASE("what is held out judges: the start is kept where learning makes it worse") {
  const Fixture fixture("llama3");
  const Overrides plain{.grid = "uniform:bits=4,group=16"};
  Overrides tuned = plain;
  tuned.tuner = "e2e-qp:iterations=4,batch=1,lr=1,held=0.5";
  const BlockStore before = quantized(fixture, "gptq", plain, "before");
  const BlockStore after = quantized(fixture, "gptq", tuned, "after");
  for (std::size_t i = 0; i < after.finished(); ++i) {
    const QuantizedBlock one = before.get(i), other = after.get(i);
    for (const TensorView& tensor : one.file.tensors())
      CHECK(bytes_in(one, tensor.name) == bytes_in(other, tensor.name));
  }
}

TEST_CASE("what cannot be learned end to end is refused before any pass") {
  const auto refused = [](const char* method, const Overrides& overrides, const char* says) {
    CAPTURE(method);
    CHECK_THROWS_WITH_AS(assemble(find_method(method), overrides), doctest::Contains(says), Error);
  };
  refused("gptq", {.grid = "lut", .tuner = "e2e-qp"}, "without scales that it could learn");
  refused("gwq", {.tuner = "e2e-qp"}, "without scales that it could learn");
  refused("rtn", {.grid = "nf4", .tuner = "dl-qat"}, "tuner dl-qat");
  refused("rtn", {.grid = "uniform:symmetric=1", .tuner = "lota-qaf"}, "tuner lota-qaf");
  refused("qtip", {.metric = "magnitude", .selector = "top:0.02", .tuner = "wct"},
          "under a rotation");
  refused("gptq", {.tuner = "wct"}, "where nothing is kept");
  refused("gptq", {.tuner = "e2e-qp+block-ap"}, "blocks, then");
  refused("gptq", {.tuner = "block-ap+none"}, "blocks, then");
  refused("gptq", {.tuner = "block-ap+no-such"}, "no-such");
  refused("gptq", {.tuner = "block-ap:iterations=3+e2e-qp", .iterations = "4"}, "one of them");
  refused("gptq", {.tuner = "e2e-qp:loss=mse"}, "kl, ce, block");
  CHECK(assemble(find_method("efficientqat"), {.iterations = "4"}).recipe.tuner.text ==
        "block-ap:iterations=4,batch=8,lr=0.005,line-lr=0.005+"
        "e2e-qp:iterations=4,batch=8,loss=kl,held=0.125,lr=0.002");
}
