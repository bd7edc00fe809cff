// The divergence of next tokens from another model's, against its formula and autograd.
#include <doctest/doctest.h>

#include "model/testing.h"

using namespace karat;

TEST_CASE("next_token_divergence is KL(p, q), and so is its gradient") {
  for (const char* family : {"llama3", "gemma2", "phi"}) {  // plain; capped; with a bias
    CAPTURE(family);
    torch::manual_seed(1);
    const FamilyFixture fixture(family);
    const Architecture& arch = fixture.arch;
    Weights ends = load_head(arch, fixture.weights), others = ends;
    for (auto& [name, tensor] : ends) tensor = tensor.to(torch::kFloat64);
    for (auto& [name, tensor] : others)
      tensor = tensor.to(torch::kFloat64) + 0.1 * torch::randn(tensor.sizes(), torch::kFloat64);
    const torch::Tensor x = torch::randn({2, 7, arch.hidden}, torch::kFloat64).requires_grad_();
    const torch::Tensor y = x.detach() + 0.3 * torch::randn(x.sizes(), torch::kFloat64);
    const auto log_p = [&](const Weights& of, const torch::Tensor& states) {
      return torch::log_softmax(logits(arch, of, states.narrow(1, 0, 6)), 2);
    };
    const torch::Tensor p = log_p(others, y), q = log_p(ends, x);
    const torch::Tensor expected = (p.exp() * (p - q)).sum(2).mean();
    const torch::Tensor found = next_token_divergence(arch, ends, x, others, y);
    CHECK(found.item<double>() == doctest::Approx(expected.item<double>()).epsilon(1e-9));
    const auto slope = torch::autograd::grad({3 * found}, {x})[0];
    const auto wanted = torch::autograd::grad({3 * expected}, {x})[0];
    CHECK(relative_error(slope, wanted) < 1e-9);
    CHECK(next_token_divergence(arch, ends, x, ends, x.detach()).item<double>() ==
          doctest::Approx(0));
  }
}
