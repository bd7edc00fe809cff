#include <doctest/doctest.h>

#include "karat/axes.h"

namespace karat {
Metric none_metric(Options&);
Metric magnitude_metric(Options&);
Metric random_metric(Options&);
Metric gradient_metric(Options&);
Metric fisher_metric(Options&);
Metric hessian_metric(Options&);
Metric identity_metric(Options&);
Metric activation_metric(Options&);
Metric guided_metric(Options&);
Metric pqi_metric(Options&);
}  // namespace karat
using namespace karat;

namespace {

Metric make(Metric (*factory)(Options&), const std::string& text = "") {
  Options options("metric", text);
  Metric metric = factory(options);
  options.finish();
  return metric;
}

const torch::Tensor kWeight = torch::tensor({{1.0f, -2.0f}, {0.5f, 4.0f}});
const torch::Tensor kError = torch::tensor({{0.1f, -0.2f}, {0.3f, -0.4f}});

Layer layer() {
  Layer layer{.name = "layer", .weight = kWeight};
  layer.stats.gradient = torch::tensor({{-3.0f, 1.0f}, {2.0f, 0.0f}});
  layer.stats.fisher = torch::tensor({{9.0f, 1.0f}, {4.0f, 0.0f}});
  layer.stats.hessian = torch::tensor({{2.0f, 1.0f}, {1.0f, 4.0f}});
  layer.stats.input_square = torch::tensor({1.0f, 2.0f});
  layer.stats.guided = torch::tensor({{5.0f, 1.0f}, {1.0f, 3.0f}});
  layer.stats.token_weights = torch::tensor({0.1f, 0.3f, 0.8f});
  return layer;
}

void check(const Metric& metric, const torch::Tensor& expected) {
  const torch::Tensor scores = metric.score(layer(), [] { return kError; });
  CHECK(torch::allclose(scores, expected, 1e-5, 1e-7));
}

}  // namespace

TEST_CASE("gradient keys") {
  check(make(gradient_metric), torch::tensor({{3.0f, 1.0f}, {2.0f, 0.0f}}));
  check(make(gradient_metric, "g2"), torch::tensor({{9.0f, 1.0f}, {4.0f, 0.0f}}));
  check(make(gradient_metric, "gw"), torch::tensor({{3.0f, 2.0f}, {1.0f, 0.0f}}));
  check(make(gradient_metric, "key=gd"), torch::tensor({{0.3f, 0.2f}, {0.6f, 0.0f}}));
  CHECK(make(gradient_metric).needs == Needs{.gradient = true});
}

TEST_CASE("fisher keys") {
  check(make(fisher_metric), torch::tensor({{9.0f, 1.0f}, {4.0f, 0.0f}}));
  check(make(fisher_metric, "fw"), torch::tensor({{9.0f, 4.0f}, {1.0f, 0.0f}}));
  check(make(fisher_metric, "fd"), torch::tensor({{0.09f, 0.04f}, {0.36f, 0.0f}}));
  CHECK(make(fisher_metric).needs == Needs{.fisher = true});
}

TEST_CASE("hessian keys against the explicit inverse") {
  check(make(hessian_metric, "diag"), torch::tensor({{0.02f, 0.16f}, {0.18f, 0.64f}}));
  // damp 0.01 adds 0.03: the inverse of {{2.03, 1}, {1, 4.03}} has diagonal {4.03, 2.03} / 7.1809.
  const float determinant = 2.03f * 4.03f - 1;
  check(make(hessian_metric),
        kError.square() * torch::tensor({{determinant / 4.03f, determinant / 2.03f}}));
  CHECK(make(hessian_metric).needs == Needs{.hessian = true});
}

TEST_CASE("activation is the mean square of a weight's input") {
  check(make(activation_metric), torch::tensor({{1.0f, 2.0f}, {1.0f, 2.0f}}));
}

TEST_CASE("guided is the diagonal of the guided Hessian times the mean token weight") {
  check(make(guided_metric), torch::tensor({{2.0f, 1.2f}, {2.0f, 1.2f}}));
  CHECK(make(guided_metric).needs == Needs{.token_weights = true, .guided = true});
}

TEST_CASE("metrics without data") {
  CHECK(!make(none_metric).score);
  check(make(magnitude_metric), kWeight.abs());
  check(make(identity_metric), torch::ones({2, 2}));
  CHECK(!make(magnitude_metric).needs.any());
  const auto draw = [](const std::string& seed, const std::string& name) {
    Layer other = layer();
    other.name = name;
    return make(random_metric, seed).score(other, {});
  };
  CHECK(torch::equal(draw("1", "a"), draw("1", "a")));
  CHECK(!torch::equal(draw("1", "a"), draw("2", "a")));
  CHECK(!torch::equal(draw("1", "a"), draw("1", "b")));
}

TEST_CASE("pqi is the integrated gradient times the error, along the nodes of its rule") {
  const Metric metric = make(pqi_metric);
  check(metric, torch::tensor({{0.3f, 0.2f}, {0.6f, 0.0f}}));
  CHECK(metric.needs == Needs{.gradient = true});
  REQUIRE(metric.path.size() == 8);
  CHECK(metric.path[0].at == doctest::Approx(1.0 / 16));
  CHECK(metric.path[7].weight == doctest::Approx(1.0 / 8));
  const Metric paper = make(pqi_metric, "nodes=32,rule=mean_endpoints");
  REQUIRE(paper.path.size() == 32);
  CHECK(paper.path.front().at == 0);
  CHECK(paper.path.back().at == 1);
  CHECK_THROWS(make(pqi_metric, "rule=simpson"));
  CHECK_THROWS(make(pqi_metric, "1,rule=mean_endpoints"));
}
