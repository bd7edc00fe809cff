// Every family against Hugging Face transformers: logits, loss and all weight gradients. The
// numbers are dumped by tools/dump_families.py.
#include <doctest/doctest.h>

#include <unistd.h>

#include <set>

#include "karat/error.h"
#include "model/testing.h"

using namespace karat;

namespace {

/// Names of the tensors that the file holds transposed.
std::set<std::string> transposed_names(const Architecture& arch) {
  std::set<std::string> names;
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears())
      if (linear->transposed) names.insert(linear->name + ".weight");
  return names;
}

/// Of a tensor of the file: of the leaf of its name, or of those that are its rows.
torch::Tensor gradient_of(const FamilyFixture& fixture, const Weights& leaves,
                          const TensorView& stored) {
  const std::string name = stored.name.substr(5);
  if (const auto leaf = leaves.find(name); leaf != leaves.end()) return leaf->second.grad();
  auto whole = torch::full(stored.shape, std::nan("")).flatten(0, 1);
  for (const Block& block : fixture.arch.blocks)
    for (const Linear* linear : block.linears())
      for (const StackedRows& stack : linear->stacks)
        if (stack.tensor == name)
          whole.narrow(0, stack.first, linear->out)
              .copy_(leaves.at(linear->name + ".weight").grad());
  return whole.view(stored.shape);
}

void check_gradients(const FamilyFixture& fixture, const Weights& leaves) {
  const auto transposed = transposed_names(fixture.arch);
  for (const TensorView& view : fixture.expected.tensors()) {
    if (!view.name.starts_with("grad.")) continue;
    const auto name = view.name.substr(5);
    CAPTURE(name);
    const auto gradient = gradient_of(fixture, leaves, view);
    REQUIRE(gradient.defined());
    const auto got = transposed.contains(name) ? gradient.t() : gradient;
    const auto wanted = map_tensor(view);
    // A bias of k shifts all scores of a query alike, so its true gradient is zero: what both sides
    // hold is rounding, measured against the gradients of the q bias beside it.
    if (const auto k = name.find("k_proj.bias"); k != name.npos) {
      const auto sibling = leaves.at(std::string(name).replace(k, 1, "q")).grad();
      CHECK((got - wanted).norm().item<double>() < 1e-3 * sibling.norm().item<double>());
    } else {
      CHECK(relative_error(got, wanted) < 1e-3);
    }
  }
}

void check_family(const std::string& name) {
  CAPTURE(name);
  const FamilyFixture fixture(name);
  const auto leaves = fixture.leaves();
  const auto x = fixture.activations(leaves);
  CHECK(relative_error(logits(fixture.arch, leaves, x),
                       map_tensor(fixture.expected.get("logits"))) < 1e-4);
  const auto loss = next_token_loss(fixture.arch, leaves, x, fixture.ids());
  CHECK(loss.item<double>() ==
        doctest::Approx(map_tensor(fixture.expected.get("loss")).item<double>()).epsilon(1e-5));
  loss.backward();
  check_gradients(fixture, leaves);
}

}  // namespace

TEST_CASE("logits and all weight gradients match Hugging Face") {
  for (const auto& entry : std::filesystem::directory_iterator(kFamilies))
    check_family(entry.path().filename());
}

TEST_CASE("the fixtures cover every family") {
  std::set<std::string> covered;
  for (const auto& entry : std::filesystem::directory_iterator(kFamilies))
    covered.insert(read_architecture(entry.path()).family);
  for (const auto& family : known_families()) CHECK_MESSAGE(covered.contains(family), family);
}

TEST_CASE("both generations of config.json say the same") {
  const auto now = read_architecture(kFamilies / "llama3");
  const auto old = read_architecture(kFamilies / "llama3/old");
  CHECK(now.ropes.at(0).frequencies == old.ropes.at(0).frequencies);
  CHECK(now.tied() == old.tied());
  CHECK(now.max_positions == old.max_positions);
}

TEST_CASE("the head's chunked loss equals the whole one") {
  const FamilyFixture fixture("llama3");
  const auto leaves = fixture.leaves();
  const auto x =
      torch::randn({3, 700, fixture.arch.hidden}).requires_grad_();  // > one chunk of rows
  const auto ids = torch::randint(fixture.arch.vocab, {3, 700}, torch::kInt64);
  const auto whole = torch::nll_loss(
      torch::log_softmax(logits(fixture.arch, leaves, x.narrow(1, 0, 699)).flatten(0, 1), 1),
      ids.narrow(1, 1, 699).flatten());
  const auto& head = leaves.at(fixture.arch.head);
  const auto wanted = torch::autograd::grad({whole * 3}, {x, head});
  const auto loss = next_token_loss(fixture.arch, leaves, x, ids);
  const auto got = torch::autograd::grad({loss * 3}, {x, head});
  CHECK(relative_error(loss, whole) < 1e-5);
  CHECK(relative_error(got[0], wanted[0]) < 1e-5);
  CHECK(relative_error(got[1], wanted[1]) < 1e-5);
}

TEST_CASE("a NaN among the weights is named") {
  const FamilyFixture fixture("llama-tied");
  std::vector<OwnedTensor> owned;
  for (const auto& view : fixture.weights.tensors())
    owned.push_back(own_bytes(view.name, view.dtype, view.shape, view.span()));
  const std::string broken = fixture.arch.blocks[1].mlp.down.name + ".weight";
  for (auto& tensor : owned)
    if (tensor.name == broken) std::fill_n(tensor.data.begin(), 4, std::byte{0xff});
  std::vector<TensorView> views;
  for (const auto& tensor : owned) views.push_back(tensor.view());
  const auto file = std::filesystem::temp_directory_path() /
                    ("karat_nan_" + std::to_string(::getpid()) + ".safetensors");
  write_safetensors(file, views, {});
  const auto damaged = Safetensors::open(file);
  std::filesystem::remove(file);
  CHECK_NOTHROW(load_block(fixture.arch, damaged, 0));
  CHECK_THROWS_WITH_AS(load_block(fixture.arch, damaged, 1), doctest::Contains(broken.c_str()),
                       Error);
}
