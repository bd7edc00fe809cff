// The path integral against gradients of the whole graph, and the loss it predicts.
#include "pipeline/path.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/temporary.h"
#include "karat/error.h"
#include "model/testing.h"
#include "pipeline/passes.h"
#include "recipe/quadrature.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

/// A tiny model of random weights, rounded to a few bits.
struct Rounded {
  explicit Rounded(const std::string& family, const std::string& bits = "3")
      : fixture(family),
        model(load(kFamilies / family)),
        work(folder.path / "q", {}),
        blocks(run_passes(model, assemble(find_method("rtn"), {.bits = bits, .group = "16"}), {},
                          work, {})
                   .blocks) {
    text.ids = fixture.ids().to(torch::kInt64).clone();
  }

  Segment segment() const { return {decoder(blocks)}; }
  /// Every weight as a leaf at w + at · (ŵ − w), and ŵ − w of the linear layers.
  Weights leaves(double at, Weights& errors, torch::Dtype dtype = torch::kFloat32) const {
    Weights all = load_ends(fixture.arch, fixture.weights, torch::kCPU, dtype);
    for (std::size_t i = 0; i < fixture.arch.blocks.size(); ++i) {
      Weights block = load_block(fixture.arch, fixture.weights, i, torch::kCPU, dtype), end = block;
      blocks.decode(i, end);
      for (const Linear* linear : fixture.arch.blocks[i].linears()) {
        const std::string name = linear->name + ".weight";
        errors[name] = end.at(name).to(dtype) - block.at(name);
        block[name] = block.at(name) + at * errors[name];
      }
      all.merge(block);
    }
    for (auto& [name, tensor] : all) tensor = tensor.detach().clone().requires_grad_();
    return all;
  }
  /// The oracle: mean loss of the sequences, each a graph of its own.
  torch::Tensor loss(const Weights& all) const {
    std::vector<torch::Tensor> losses;
    for (std::int64_t s = 0; s < text.ids.size(0); ++s) {
      const auto ids = text.ids.narrow(0, s, 1);
      auto x = embed(fixture.arch, all, ids);
      for (std::size_t i = 0; i < fixture.arch.blocks.size(); ++i)
        x = block_forward(fixture.arch, i, all, x);
      losses.push_back(next_token_loss(fixture.arch, all, x, ids));
    }
    return torch::stack(losses).mean();
  }

  TemporaryFolder folder;
  FamilyFixture fixture;
  Source model;
  Work work;
  BlockStore blocks;
  CalibrationSet text;
};

double sum_of_products(const torch::Tensor& a, const torch::Tensor& b) {
  return (a * b).sum(torch::kFloat64).item<double>();
}

}  // namespace

TEST_CASE("integrated gradients equal those of whole graphs along the way") {
  for (const char* family : {"llama3", "gpt2"}) {
    CAPTURE(family);
    const Rounded rounded(family);
    const auto nodes = path_nodes("midpoint", 3);
    Carried gradients(rounded.work.path() / "path");
    const auto losses =
        integrate_path(rounded.model, rounded.blocks, rounded.text, nodes, gradients, {});
    REQUIRE(losses.size() == 3);
    Weights sums, errors;
    for (std::size_t k = 0; k < nodes.size(); ++k) {
      const Weights leaves = rounded.leaves(nodes[k].at, errors);
      const torch::Tensor loss = rounded.loss(leaves);
      CHECK(losses[k] == doctest::Approx(loss.item<double>()).epsilon(1e-6));
      loss.backward();
      for (const auto& [name, error] : errors) {
        const torch::Tensor part = leaves.at(name).grad() * nodes[k].weight;
        sums[name] = sums.contains(name) ? sums[name] + part : part;
      }
    }
    double total = 0;
    for (const auto& [name, error] : errors) {
      CAPTURE(name);
      const std::string layer = name.substr(0, name.size() - std::string(".weight").size());
      CHECK(relative_error(gradients.get(layer, "gradient"), sums.at(name)) < 1e-4);
      total += sum_of_products(sums.at(name), error);
    }
    CHECK(signed_total(rounded.model, decoder(rounded.blocks), gradients) ==
          doctest::Approx(total).epsilon(1e-4));
  }
}

TEST_CASE("signed scores add up to the change of the loss") {
  for (const char* bits : {"2", "3", "4"}) {
    CAPTURE(bits);
    const Rounded rounded("llama3", bits);
    Carried gradients(rounded.work.path() / "path");
    integrate_path(rounded.model, rounded.blocks, rounded.text, path_nodes("midpoint", 8),
                   gradients, {});
    const double predicted = signed_total(rounded.model, decoder(rounded.blocks), gradients);
    const double change = loss_at(rounded.model, rounded.segment(), rounded.text, 1, {}) -
                          loss_at(rounded.model, rounded.segment(), rounded.text, 0, {});
    CAPTURE(change);
    CAPTURE(predicted);
    CHECK(std::abs(predicted - change) < 0.01 * std::abs(change));
  }
}

TEST_CASE("the loss in double precision is that of the whole graph, between the ends and beyond") {
  for (const char* family : {"llama3", "gpt2", "qwen3"}) {
    CAPTURE(family);
    const Rounded rounded(family);
    Weights errors;
    for (const double at : {-0.01, 0.0, 0.3, 1.0}) {
      const double wanted =
          rounded.loss(rounded.leaves(at, errors, torch::kFloat64)).item<double>();
      const double found = loss_at(rounded.model, rounded.segment(), rounded.text, at, {});
      CHECK(found == doctest::Approx(wanted).epsilon(1e-7));  // embeddings are summed in F32
    }
  }
}

TEST_CASE("slopes are derivatives of the loss, block by block") {
  const Rounded rounded("llama3");
  const auto difference = [&](const Segment& segment, double at) {
    constexpr double kStep = 1e-3;
    return (loss_at(rounded.model, segment, rounded.text, at + kStep, {}) -
            loss_at(rounded.model, segment, rounded.text, at - kStep, {})) /
           (2 * kStep);
  };
  const Slope start = slope_at(rounded.model, rounded.segment(), rounded.text, 0, {}, {});
  CHECK(start.total() == doctest::Approx(difference(rounded.segment(), 0)).epsilon(1e-3));
  for (std::size_t block = 0; block < 2; ++block) {
    const Segment alone{decoder(rounded.blocks), block};
    CHECK(start.blocks[block] == doctest::Approx(difference(alone, 0)).epsilon(1e-3));
    const Slope half = slope_at(rounded.model, alone, rounded.text, 0.5, {}, {});
    CHECK(half.blocks[block] == doctest::Approx(difference(alone, 0.5)).epsilon(1e-3));
    CHECK(half.blocks[1 - block] == 0);  // it stays where it was
  }
}

TEST_CASE("several sweeps are one stage, and the listener can stop it") {
  const Rounded rounded("llama3");
  Carried gradients(rounded.work.path() / "path");
  std::int64_t last = 0, total = 0;
  const auto nodes = path_nodes("midpoint", 3);
  const auto listener = [&](const ProgressEvent& event) {
    CHECK(event.stage == "path");
    CHECK(event.done >= last);
    last = event.done;
    total = event.total;
    return true;
  };
  integrate_path(rounded.model, rounded.blocks, rounded.text, nodes, gradients, listener);
  CHECK(last == total);
  CHECK_THROWS_AS(integrate_path(rounded.model, rounded.blocks, rounded.text, nodes, gradients,
                                 [](const ProgressEvent&) { return false; }),
                  Interrupted);
}
