// Mixtures of experts in the runtime: what is read, and the same bits in any company.
#include "run/mlp.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "run/portrait.h"
#include "run/twins.h"

namespace karat {
namespace {

using testing::TempFolder;
using Ids = std::vector<TokenId>;

nlohmann::json mixture_config(int experts = 5, int top_k = 2) {
  nlohmann::json config = testing::tiny_config();
  config["model_type"] = "qwen2_moe";
  config["num_experts"] = experts;
  config["num_experts_per_tok"] = top_k;
  config["moe_intermediate_size"] = 16;
  config["shared_expert_intermediate_size"] = 48;
  config["mlp_only_layers"] = {1};
  return config;
}

const std::string kMlp = "model.layers.0.mlp.";

/// A random mixture whose weights `change` may replace.
struct Mixture {
  explicit Mixture(
      const std::function<void(const std::string& name, std::vector<float>& values)>& change = {}) {
    testing::write_tiny_llama(folder.path(), mixture_config());
    std::vector<OwnedTensor> tensors = testing::random_weights(folder.path());
    for (OwnedTensor& tensor : tensors) {
      std::vector<float> values = to_floats(tensor.view());
      if (change) change(tensor.name, values);
      tensor = testing::f32_tensor(tensor.name, tensor.shape, values);
    }
    testing::write_model(folder.path(), mixture_config(), tensors);
  }
  LanguageModel open() const { return LanguageModel::open(folder.path()); }
  TempFolder folder;
};

std::vector<float> logits_of(const LanguageModel& model, const Ids& ids) {
  return testing::Alone(model).next_logits(ids);
}

TEST_CASE("experts that no token chooses are not read") {
  const auto without_scores = [](const std::string& name, std::vector<float>& values) {
    if (name == kMlp + "gate.weight") std::ranges::fill(values, 0.0f);  // the first two are chosen
  };
  const Mixture whole(without_scores);
  const Mixture holed([&](const std::string& name, std::vector<float>& values) {
    without_scores(name, values);
    for (const char* expert : {"experts.2.", "experts.3.", "experts.4."})
      if (name.starts_with(kMlp + expert))
        std::ranges::fill(values, std::numeric_limits<float>::quiet_NaN());
  });
  const Ids ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 35};
  CHECK(logits_of(whole.open(), ids) == logits_of(holed.open(), ids));
  CHECK(std::isfinite(logits_of(holed.open(), {7})[0]));
}

TEST_CASE("a token is counted with as many experts as it chooses") {
  const Mixture mixture;
  const LanguageModel model = mixture.open();
  std::int64_t values = 0, of_experts = 0;
  for (const auto& [name, shape] : tensor_shapes(model.architecture())) {
    std::int64_t count = name == model.architecture().embedding ? 1 : shape[0];
    for (std::size_t i = 1; i < shape.size(); ++i) count *= shape[i];
    (name.find(".experts.") == name.npos ? values : of_experts) += count;
  }
  CHECK(of_experts == 5 * 3 * 16 * 32);
  CHECK(model.bytes_per_token() ==
        static_cast<std::size_t>(values + of_experts * 2 / 5) * sizeof(float));
  CHECK(model.weights_per_token() ==
        2 * (2 * 32 * 32 + 2 * 16 * 32) + 2 * 3 * 48 * 32 + 2 * 3 * 16 * 32 + 40 * 32);
  const Portrait portrait = draw_portrait(model);
  CHECK(portrait.experts == 5);
  CHECK(portrait.experts_per_token == 2);
  CHECK(portrait.bytes_per_token == static_cast<std::int64_t>(model.bytes_per_token()));
}

TEST_CASE("a sequence gives the same bits alone and among others") {
  const Mixture mixture;
  const LanguageModel model = mixture.open();
  Rng rng(5);
  std::vector<Ids> prompts;
  for (const std::int64_t length : {17, 1, 60, 3, 5})
    prompts.push_back(testing::random_ids(length, 40, rng));
  const EngineOptions options{.room = 1000, .independent = true};
  Engine together(model, options);
  std::vector<Request> requests;
  for (const Ids& prompt : prompts) requests.push_back({together.begin(100), prompt});
  const std::vector<float> all = together.next_logits(requests);
  std::vector<Request> later;
  for (const Request& request : requests)
    later.push_back({request.sequence, {prompts[0].data(), 1}});
  const std::vector<float> next = together.next_logits(later);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    CAPTURE(i);
    Engine engine(model, options);
    const SequenceId sequence = engine.begin(100);
    const auto row = [&](const std::vector<float>& logits) {
      return std::vector<float>(logits.begin() + static_cast<std::ptrdiff_t>(40 * i),
                                logits.begin() + static_cast<std::ptrdiff_t>(40 * (i + 1)));
    };
    CHECK(engine.next_logits({sequence, prompts[i]}) == row(all));
    CHECK(engine.next_logits({sequence, {prompts[0].data(), 1}}) == row(next));
  }
}

TEST_CASE("packed experts give what their weights stand for") {
  PackedLayout layout;
  layout.bits = 4;
  layout.group = 16;
  const testing::Twins twins(layout, mixture_config());
  const LanguageModel dense = LanguageModel::open(twins.dense.path()),
                      packed = LanguageModel::open(twins.packed.path());
  CHECK(packed.bytes_per_token() < dense.bytes_per_token());
  for (const Ids& ids : {Ids{5}, Ids{1, 2, 3, 30, 31, 32, 33, 9, 8, 7, 6}}) {
    const std::vector<float> wanted = logits_of(dense, ids), got = logits_of(packed, ids);
    for (std::size_t i = 0; i < wanted.size(); ++i)
      CHECK(got[i] == doctest::Approx(wanted[i]).epsilon(1e-3).scale(1));
  }
}

}  // namespace
}  // namespace karat
