// The explanations against a plain graph of the whole model that can be differentiated twice.
#include "explain/explain.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/error.h"
#include "pipeline/look_back.h"
#include "pipeline/testing.h"
#include "recipe/quadrature.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

torch::Tensor plain_norm(const Norm& norm, const Weights& w, const torch::Tensor& x) {
  return x / (x.square().mean(-1, true) + norm.eps).sqrt() * w.at(norm.name + ".weight");
}

/// x [time, heads, head_dim].
torch::Tensor plain_rotate(const Rope& rope, const torch::Tensor& x) {
  const auto angle = torch::arange(x.size(0), torch::kFloat64).view({-1, 1, 1}) *
                     torch::tensor(rope.frequencies).to(torch::kFloat64);
  const auto half = x.size(2) / 2;
  const auto a = x.slice(2, 0, half), b = x.slice(2, half);
  return torch::cat({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, 2);
}

torch::Tensor plain_attention(const Architecture& arch, const Block& block, const Weights& w,
                              const torch::Tensor& x) {
  const auto part = [&](const Linear& linear) {
    const auto y = torch::matmul(x, w.at(linear.name + ".weight").t());
    return y.view({x.size(0), -1, arch.head_dim});
  };
  const auto repeat = arch.heads / arch.kv_heads;
  const auto q = plain_rotate(arch.ropes.at(0), part(block.attention.q)).transpose(0, 1);
  const auto k = plain_rotate(arch.ropes.at(0), part(block.attention.k))
                     .repeat_interleave(repeat, 1)
                     .transpose(0, 1);
  const auto v = part(block.attention.v).repeat_interleave(repeat, 1).transpose(0, 1);
  const auto hidden = torch::ones({x.size(0), x.size(0)}, torch::kBool).triu(1);
  const auto scores = torch::matmul(q, k.transpose(1, 2)) / std::sqrt(double(arch.head_dim));
  const auto mixed = torch::matmul(
      torch::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1), v);
  return torch::matmul(mixed.transpose(0, 1).reshape({x.size(0), -1}),
                       w.at(block.attention.o.name + ".weight").t());
}

/// Loss of one sequence [time] under a Llama, of nothing but differentiable operations.
torch::Tensor plain_loss(const Architecture& arch, const Weights& w, const torch::Tensor& ids) {
  const auto project = [&](const Linear& linear, const torch::Tensor& x) {
    return torch::matmul(x, w.at(linear.name + ".weight").t());
  };
  auto x = w.at(arch.embedding).index_select(0, ids);
  for (const Block& block : arch.blocks) {
    x = x + plain_attention(arch, block, w, plain_norm(*block.attention.norm, w, x));
    const auto y = plain_norm(*block.mlp.norm, w, x);
    const auto gate = project(block.mlp.gate, y);
    x = x + project(block.mlp.down, gate * torch::sigmoid(gate) * project(block.mlp.up, y));
  }
  const auto logits = torch::matmul(plain_norm(arch.final_norm, w, x), w.at(arch.head).t());
  const auto last = ids.size(0) - 1;
  const auto wanted = ids.slice(0, 1).unsqueeze(1);
  return -torch::log_softmax(logits.slice(0, 0, last), 1).gather(1, wanted).mean();
}

/// A tiny Llama of random weights and what it is rounded to.
struct Setting {
  TemporaryFolder folder;
  Source model = load(kFamilies / "llama3");
  Assembled recipe = metric_alone("pqi", "uniform:bits=3,group=16");
  CalibrationSet text;
  Work work{folder.path / "q", {}};
  BlockStore blocks = quantization_of(model, recipe, {}, {}, work, {});
  Setting() { text.ids = FamilyFixture("llama3").ids().to(torch::kInt64).clone(); }

  Segment segment(std::optional<std::size_t> only = {}) const { return {decoder(blocks), only}; }
};

/// The oracle: gᵀΔ and ½ΔᵀHΔ by differentiating twice, in double precision.
LossChange derivatives(const Setting& setting, std::optional<std::size_t> only) {
  const Architecture& arch = setting.model.arch;
  Weights all = load_ends(arch, setting.model.files, torch::kCPU, torch::kFloat64);
  std::vector<torch::Tensor> leaves, steps;
  for (std::size_t i = 0; i < arch.blocks.size(); ++i) {
    Weights block = load_block(arch, setting.model.files, i, torch::kCPU, torch::kFloat64);
    Weights end = block;
    setting.blocks.decode(i, end);
    for (const Linear* linear : arch.blocks[i].linears()) {
      if (only && *only != i) continue;
      torch::Tensor& weight = block.at(linear->name + ".weight");
      steps.push_back(end.at(linear->name + ".weight").to(torch::kFloat64) - weight);
      leaves.push_back(weight.requires_grad_());
    }
    all.merge(block);
  }
  torch::Tensor loss = torch::zeros({}, torch::kFloat64);
  const auto& ids = setting.text.ids;
  for (std::int64_t s = 0; s < ids.size(0); ++s) loss = loss + plain_loss(arch, all, ids[s]);
  loss = loss / ids.size(0);
  const auto along = [&](const std::vector<torch::Tensor>& gradients) {
    torch::Tensor sum = torch::zeros({}, torch::kFloat64);
    for (std::size_t i = 0; i < steps.size(); ++i) sum = sum + (gradients[i] * steps[i]).sum();
    return sum;
  };
  const auto first = along(torch::autograd::grad({loss}, leaves, {}, true, /*create_graph=*/true));
  const auto second = along(torch::autograd::grad({first}, leaves)) / 2;
  return {.first = first.item<double>(),
          .second = second.item<double>(),
          .measured = loss.item<double>()};
}

}  // namespace

TEST_CASE("the second difference of the loss is the Hessian's, over two decades of steps") {
  const Setting setting;
  for (const std::optional<std::size_t> only :
       {std::optional<std::size_t>{}, std::optional<std::size_t>{0}}) {
    const LossChange wanted = derivatives(setting, only);
    const Segment segment = setting.segment(only);
    const double start = loss_at(setting.model, segment, setting.text, 0, {});
    CHECK(start == doctest::Approx(wanted.measured).epsilon(1e-9));
    const auto error = [&](double step) {
      Stage stage("test", 2, {});
      return std::abs(second_order(setting.model, segment, setting.text, start, stage, step) -
                      wanted.second) /
             std::abs(wanted.second);
    };
    const double coarse = error(1e-1), middle = error(3e-2);
    CHECK(coarse / middle == doctest::Approx(100.0 / 9).epsilon(0.1));  // falls as step²
    for (const double step : {1e-3, 3e-4}) CHECK(error(step) < 1e-4);
    CHECK(error(kSecondStep) < 1e-4);
    const Slope slope = slope_at(setting.model, segment, setting.text, 0, {}, {});
    CHECK(slope.total() == doctest::Approx(wanted.first).epsilon(1e-4));
  }
}

TEST_CASE("explanations of every block and of all, of parts of the way and of two rules") {
  const Setting setting;
  const auto nodes = path_nodes("midpoint", 8);
  const ExplainReport report =
      explain(setting.model, setting.text, decoder(setting.blocks), nodes, {1, 4, 8}, {});
  REQUIRE(report.blocks.size() == 2);
  const LossChange first = derivatives(setting, 0), both = derivatives(setting, {});
  CHECK(report.loss == doctest::Approx(both.measured).epsilon(1e-9));
  CHECK(report.blocks[0].first == doctest::Approx(first.first).epsilon(1e-4));
  CHECK(report.blocks[0].second == doctest::Approx(first.second).epsilon(1e-3));
  CHECK(report.all.second == doctest::Approx(both.second).epsilon(1e-3));
  for (const LossChange& change : {report.blocks[0], report.blocks[1], report.all})
    CHECK(std::abs(change.path - change.measured) < 0.01 * std::abs(change.measured));
  const double end = loss_at(setting.model, setting.segment(), setting.text, 1, {});
  CHECK(report.all.measured == doctest::Approx(end - report.loss));

  for (const PartOfWay& part : report.parts) {
    const double there = loss_at(setting.model, setting.segment(), setting.text, part.at, {});
    CHECK(part.measured == doctest::Approx(there - report.loss));
    CHECK(part.first == part.at * report.all.first);
    CHECK(part.second == part.at * part.at * report.all.second);
  }
  REQUIRE(report.rules.size() == 3);
  CHECK(!report.rules[0].mean_endpoints);
  CHECK(report.rules[2].midpoint == doctest::Approx(report.all.path));
  const auto miss = [&](double predicted) { return std::abs(predicted - report.all.measured); };
  CHECK(miss(report.rules[2].midpoint) < miss(*report.rules[2].mean_endpoints));
  CHECK(miss(report.rules[2].midpoint) < miss(report.rules[0].midpoint));
}

TEST_CASE("a Karat folder can be looked back on, of the same model alone") {
  Setting setting;
  const fs::path& base = setting.folder.path;
  const auto quantized = [&](const std::string& family) {
    const fs::path model = model_folder(base / family, family);
    QuantizeJob job{.model = model, .out = model.string() + "-q", .method = "rtn"};
    job.overrides = {.bits = "3", .group = "16"};
    quantize(job);
    return job.out;
  };
  const fs::path folder = quantized("llama3");
  const BlockStore opened =
      quantization_of(setting.model, setting.recipe, {}, folder, setting.work, {});
  for (std::size_t block = 0; block < 2; ++block) {
    Weights wanted = load_block(setting.model.arch, setting.model.files, block), found = wanted;
    setting.blocks.decode(block, wanted);
    opened.decode(block, found);
    for (const auto& [name, weight] : wanted) CHECK(torch::equal(found.at(name), weight));
  }
  const auto refused = [&](const fs::path& other, const char* says) {
    CHECK_THROWS_WITH_AS(
        quantization_of(setting.model, setting.recipe, {}, other, setting.work, {}),
        doctest::Contains(says), Error);
  };
  refused(base / "llama3", "not quantized");
  refused(quantized("llama-tied"), "another model");
  refused(quantized("gpt2"), "another model");
  const fs::path cut = base / "cut";
  fs::create_directories(cut);
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(kFamilies / "llama3" / name, cut / name);
  setting.model = load(cut);
  fs::resize_file(cut / "model.safetensors", 100);  // the tensors' pages are zeros from here on
  refused(folder, (cut / "model.safetensors").c_str());
}
