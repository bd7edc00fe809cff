#include "train/gradient.h"

#include <doctest/doctest.h>

#include <set>

#include "core/temporary.h"
#include "core/threads.h"
#include "model/parallel.h"
#include "train/initial.h"
#include "train/testing.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {
namespace {

Architecture architecture_of(const std::string& config) {
  const TemporaryFolder folder;
  write_file(folder.path / "config.json", config);
  return read_architecture(folder.path);
}

Weights leaves_of(const Architecture& arch) {
  Weights leaves = initial_weights(arch, 5, 0.1);
  for (auto& [name, tensor] : leaves) tensor.requires_grad_(true);
  return leaves;
}

TEST_CASE("parts of a batch add up to the gradients of the whole graph") {
  const Architecture arch = architecture_of(kTinyLlama);
  const Weights leaves = leaves_of(arch);
  torch::manual_seed(1);
  const torch::Tensor ids = torch::randint(0, 4096, {5, 20}, torch::kInt64);
  const torch::Tensor loss = batch_loss(arch, leaves, ids);
  loss.backward();

  const SerialTorch single;
  const LossAndGradients parts = loss_and_gradients(arch, leaves, ids, 2);
  CHECK(parts.loss == doctest::Approx(loss.item<double>()).epsilon(1e-6));
  for (const auto& [name, gradient] : parts.gradients) {
    CAPTURE(name);
    const auto& whole = leaves.at(name).grad();
    REQUIRE(whole.norm().item<double>() > 0);
    CHECK((gradient - whole).norm().item<double>() < 1e-5 * whole.norm().item<double>());
  }
  CHECK(mean_loss(arch, leaves, ids, 2) == doctest::Approx(loss.item<double>()).epsilon(1e-6));
}

TEST_CASE("the bits do not depend on the number of threads") {
  const Architecture arch = architecture_of(kTinyLlama);
  const Weights leaves = leaves_of(arch);
  const torch::Tensor ids = torch::arange(7 * 24, torch::kInt64).view({7, 24});
  std::vector<LossAndGradients> runs;
  for (const int threads : {1, 2, 3}) {
    const ThreadScope scope(threads);
    const SerialTorch single;
    runs.push_back(loss_and_gradients(arch, leaves, ids, 2));
  }
  for (const auto& run : runs) {
    CHECK(run.loss == runs[0].loss);
    for (const auto& [name, gradient] : run.gradients)
      CHECK(torch::equal(gradient, runs[0].gradients.at(name)));
  }
}

TEST_CASE("a product of the caller's takes the place of every layer's own") {
  const Architecture arch = architecture_of(kTinyLlama);
  const Weights leaves = leaves_of(arch);
  const torch::Tensor ids = torch::arange(2 * 24, torch::kInt64).view({2, 24});
  std::vector<std::string> asked, told;
  const LinearProduct twice = [&](const Linear& layer, const Weights& block,
                                  const torch::Tensor& x) {
    asked.push_back(layer.name);
    return x.mm(block.at(layer.name + ".weight").t()) * 2;
  };
  const auto x = embed(arch, leaves, ids);
  const auto y = block_forward(
      arch, 0, leaves, x,
      [&](const Linear& layer, const torch::Tensor& in, const torch::Tensor& out) {
        told.push_back(layer.name);
        CHECK(torch::equal(out, in.mm(leaves.at(layer.name + ".weight").t()) * 2));
      },
      twice);
  std::vector<std::string> names;
  for (const Linear* layer : arch.blocks[0].linears()) names.push_back(layer->name);
  CHECK(asked == told);
  CHECK(std::set(asked.begin(), asked.end()) == std::set(names.begin(), names.end()));
  Weights doubled = leaves;
  for (const std::string& name : names)
    doubled[name + ".weight"] = leaves.at(name + ".weight").detach() * 2;
  CHECK(torch::allclose(y, block_forward(arch, 0, doubled, x), 1e-5, 1e-6));
}

TEST_CASE("gradients are aligned with themselves, and less so the further down a quantizer bends") {
  const Architecture arch = architecture_of(kTinyLlama);
  const Weights leaves = leaves_of(arch);
  const torch::Tensor ids = torch::arange(2 * 24, torch::kInt64).view({2, 24});
  const auto fine = quantized_product(make_training_quantizer("ste:weights=16").value);
  const auto coarse =
      quantized_product(make_training_quantizer("ste:weights=16,activations=2").value);
  for (const double cosine : gradient_alignment(arch, leaves, ids, coarse, coarse))
    CHECK(cosine == doctest::Approx(1).epsilon(1e-5));
  const auto near = gradient_alignment(arch, leaves, ids, fine, {});
  const auto far = gradient_alignment(arch, leaves, ids, coarse, {});
  REQUIRE(far.size() == arch.blocks.size());
  CHECK(near[0] > far[0]);
  CHECK(far[1] > far[0]);
  CHECK(far[1] < 1);
}

TEST_CASE("losses of sequences have the batch's loss as their mean") {
  const Architecture arch = architecture_of(kTinyLlama);
  const Weights leaves = leaves_of(arch);
  const torch::Tensor ids = torch::arange(5 * 24, torch::kInt64).view({5, 24});
  const SerialTorch single;
  double sum = 0;
  for (const double loss : sequence_losses(arch, leaves, ids)) sum += loss;
  CHECK(sum / 5 == doctest::Approx(mean_loss(arch, leaves, ids, 2)).epsilon(1e-6));
}

TEST_CASE("initial weights have the spread they should") {
  const Architecture arch = architecture_of(kTinyGpt2);
  const Weights weights = initial_weights(arch, 1, 0.02);
  const Weights again = initial_weights(arch, 1, 0.02);
  for (const auto& [name, shape] : tensor_shapes(arch))
    CHECK(torch::equal(weights.at(name), again.at(name)));
  const Block& block = arch.blocks[1];
  CHECK(weights.at(arch.embedding).std().item<double>() == doctest::Approx(0.02).epsilon(0.02));
  CHECK(weights.at(block.mlp.down.name + ".weight").std().item<double>() ==
        doctest::Approx(0.02 / 2).epsilon(0.1));  // √(2 · 2 layers)
  CHECK(weights.at(block.mlp.down.name + ".weight").sizes().vec() ==
        std::vector<std::int64_t>{block.mlp.down.out, block.mlp.down.in});
  CHECK(weights.at(block.mlp.down.name + ".bias").abs().max().item<double>() == 0);
  CHECK(weights.at(block.mlp.norm->name + ".weight").min().item<double>() == 1);
}

TEST_CASE("a norm multiplies by one at first, also where it adds one to its weight") {
  const Architecture arch = read_architecture(KARAT_SOURCE_DIR "/tests/fixtures/families/gemma");
  const Weights weights = initial_weights(arch, 1, 0.02);
  for (const Block& block : arch.blocks)
    visit_norms(block, [&](Role, const Norm& norm) {
      CHECK(norm.offset == 1);
      CHECK(weights.at(norm.name + ".weight").abs().max().item<double>() == 0);
    });
}

}  // namespace
}  // namespace karat
