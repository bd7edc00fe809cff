// Logits of every family against Hugging Face transformers; tools/dump_families.py wrote the
// fixtures.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "karat/engine.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// ids [sequences, tokens]
std::vector<std::vector<TokenId>> read_ids(const TensorView& view) {
  std::vector<std::vector<TokenId>> sequences(static_cast<std::size_t>(view.shape[0]));
  const std::byte* place = view.data;
  for (auto& sequence : sequences)
    for (std::int64_t t = 0; t < view.shape[1]; ++t, place += sizeof(std::int64_t)) {
      std::int64_t id = 0;
      std::memcpy(&id, place, sizeof id);
      sequence.push_back(static_cast<TokenId>(id));
    }
  return sequences;
}

/// ‖logits − expected‖ / ‖expected‖ over all sequences.
double relative_error(const LanguageModel& model, const Safetensors& expected) {
  const std::vector<float> reference = to_floats(expected.get("logits"));
  double error = 0, norm = 0;
  std::size_t begin = 0;
  for (const auto& ids : read_ids(expected.get("ids"))) {
    Engine engine(model);
    std::vector<float> logits(ids.size() * static_cast<std::size_t>(model.architecture().vocab));
    engine.logits(engine.step({engine.begin(), ids}), logits);
    for (const float logit : logits) {
      const double wanted = reference.at(begin++);
      error += (logit - wanted) * (logit - wanted);
      norm += wanted * wanted;
    }
  }
  CHECK(begin == reference.size());
  return std::sqrt(error / norm);
}

TEST_CASE("logits of every family equal those of transformers") {
  int families = 0;
  for (const auto& entry : fs::directory_iterator(KARAT_SOURCE_DIR "/tests/fixtures/families")) {
    if (!entry.is_directory()) continue;
    CAPTURE(entry.path().filename().string());
    const LanguageModel model = LanguageModel::open(entry.path());
    const Safetensors expected = Safetensors::open(entry.path() / "expected.safetensors");
    CHECK(relative_error(model, expected) < 1e-4);
    ++families;
  }
  CHECK(families >= 6);
}

TEST_CASE("a token reads every weight once, and one row of the embedding and of the positions") {
  for (const char* family : {"llama-tied", "qwen3", "gpt2"}) {
    CAPTURE(family);
    const fs::path folder = fs::path(KARAT_SOURCE_DIR "/tests/fixtures/families") / family;
    const LanguageModel model = LanguageModel::open(folder);
    const Architecture& arch = model.architecture();
    std::int64_t values = arch.tied() ? arch.vocab * arch.hidden : 0;
    for (const auto& [name, shape] : tensor_shapes(arch)) {
      const bool by_row = name == arch.embedding || name == arch.positions;
      std::int64_t count = 1;
      for (const std::int64_t size : shape) count *= size;
      values += by_row ? shape[1] : count;
    }
    CHECK(model.bytes_per_token() == static_cast<std::size_t>(values) * sizeof(float));
  }
}

}  // namespace
}  // namespace karat
