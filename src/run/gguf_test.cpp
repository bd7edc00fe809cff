// Models in GGUF files: the tiny ones that llama.cpp's converter made of the families' folders
// (tools/dump_gguf.py) are the folders' models.
#include <doctest/doctest.h>

#include <filesystem>

#include "karat/engine.h"
#include "load/testing.h"
#include "run/testing.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using namespace karat::testing;

const fs::path kFixtures = KARAT_SOURCE_DIR "/tests/fixtures";

std::vector<fs::path> converted() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kFixtures / "gguf/families"))
    files.push_back(entry.path());
  return files;
}

/// The folder that a file was made from. GGUF's SmolLM3 rotates in all but every fourth block.
struct Twin {
  explicit Twin(const std::string& name)
      : model(LanguageModel::open(kFixtures / "families" / name)) {
    if (name != "smollm3") return;
    nlohmann::json config = nlohmann::json::parse(std::ifstream(model.folder() / "config.json"));
    config["no_rope_layers"] = {1, 1};
    edited.write("config.json", config.dump());
    fs::copy_file(model.folder() / "model.safetensors", edited / "model.safetensors");
    model = LanguageModel::open(edited.path());
  }
  TempFolder edited;
  LanguageModel model;
};

std::vector<float> logits_of(const LanguageModel& model) {
  Engine engine(model);
  const std::vector<TokenId> ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
  std::vector<float> logits(ids.size() * static_cast<std::size_t>(model.architecture().vocab));
  engine.logits(engine.step({engine.begin(), ids}), logits);
  return logits;
}

TEST_CASE("a GGUF file of every architecture is the folder that it was made from") {
  int families = 0;
  for (const fs::path& file : converted()) {
    CAPTURE(file.stem().string());
    const LanguageModel model = LanguageModel::open(file);
    const Twin twin(file.stem().string());
    const LanguageModel& folder = twin.model;
    CHECK(model.architecture().warnings.empty());
    CHECK(model.architecture().tied() == folder.architecture().tied());
    CHECK(model.architecture().ropes.size() == folder.architecture().ropes.size());
    const std::vector<float> found = logits_of(model), expected = logits_of(folder);
    REQUIRE(found.size() == expected.size());
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      error += (found[i] - expected[i]) * (found[i] - expected[i]);
      norm += expected[i] * expected[i];
    }
    CHECK(std::sqrt(error / norm) < 2e-6);
    ++families;
  }
  CHECK(families == 21);
}

TEST_CASE("tensors of a GGUF file are those of the folder, rows of q and k put back") {
  for (const fs::path& file : converted()) {
    const std::string name = file.stem().string();
    CAPTURE(name);
    if (name == "gemma" || name == "gpt2" || name == "llava") continue;  // 1 + w; [in, out]
    const LanguageModel folder = LanguageModel::open(kFixtures / "families" / name);
    const LanguageModel model = LanguageModel::open(file);
    const auto names = tensor_shapes(model.architecture());
    const auto expected = tensor_shapes(folder.architecture());
    REQUIRE(names.size() == expected.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      CAPTURE(names[i].name);
      CHECK(to_floats(model.files().get(names[i].name)) ==
            to_floats(folder.files().get(expected[i].name)));
    }
  }
}

}  // namespace
}  // namespace karat
