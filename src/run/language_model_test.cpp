// Folders: quantized ones run as the dense model they stand for; damaged ones are refused.
#include <doctest/doctest.h>

#include <cmath>

#include "karat/engine.h"
#include "run/portrait.h"
#include "run/twins.h"

namespace karat {
namespace {

using testing::error_of;
using testing::kKept;
using testing::TempFolder;
using testing::Twins;

std::vector<float> states(const LanguageModel& model, std::size_t tokens) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < tokens; ++i) ids.push_back(static_cast<TokenId>(i * 7 % 40));
  Engine engine(model);
  return engine.step({engine.begin(), ids});
}

TEST_CASE("a Karat folder runs as the dense model of the same weights") {
  for (const PackedLayout& layout :
       {PackedLayout{.bits = 4, .group = 16},
        PackedLayout{.bits = 2, .group = 8, .symmetric = true},
        PackedLayout{.variant = "bilevel", .bits = 3, .group = 16},
        PackedLayout{.bits = 8, .group = 0}, PackedLayout{.variant = "blocks", .bits = 3},
        PackedLayout{.bits = 4, .group = 16, .rotation = 3},
        PackedLayout{.format = "midrise", .bits = 4, .group = 0, .hadamard = 16},
        PackedLayout{.format = "trellis",
        .variant = "1mad",
        .bits = 2,
        .group = 0,
        .input_scales = true,
        .rotation = 4}}) {
    const Twins twins(layout);
    const LanguageModel dense = LanguageModel::open(twins.dense.path());
    const LanguageModel packed = LanguageModel::open(twins.packed.path());
    CHECK(packed.quantization().has_value());
    CHECK(packed.bytes_per_token() < dense.bytes_per_token());
    for (const std::size_t tokens : {1, 40}) {
      const auto a = states(dense, tokens), b = states(packed, tokens);
      double error = 0, norm = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        error += std::pow(a[i] - b[i], 2);
        norm += std::pow(a[i], 2);
      }
      CAPTURE(layout.bits);
      CHECK(std::sqrt(error / norm) < 1e-5);
    }
  }
}

TEST_CASE("the portrait counts what is stored") {
  const Twins twins({.bits = 4, .group = 16});
  const Portrait dense = draw_portrait(LanguageModel::open(twins.dense.path()));
  CHECK(dense.family == "llama");
  CHECK(dense.method.empty());
  // Per block 32·32 (q) + 2·32·16 (k, v) + 32·32 (o) + 3·32·48, and two norms of 32.
  constexpr std::int64_t kLayer = 1024 + 1024 + 1024 + 4608;
  CHECK(dense.layer_weights == 2 * kLayer);
  CHECK(dense.parameters == 2 * (kLayer + 64) + 2 * 40 * 32 + 32);
  CHECK(dense.layer_bits == 32 * dense.layer_weights);
  CHECK(dense.types.at("F32") == dense.parameters);
  CHECK(dense.cache_bytes == 2 * 2 * 2 * 8 * 4);  // k and v, layers, heads, head_dim, bytes

  const LanguageModel model = LanguageModel::open(twins.packed.path());
  const Portrait packed = draw_portrait(model);
  CHECK(packed.method == "test");
  CHECK(packed.parameters == dense.parameters);
  CHECK(packed.types.at("4-bit g16") == packed.layer_weights);
  CHECK(packed.kept > 0.9 * kKept * static_cast<double>(packed.layer_weights));
  // 4 bits, 2·16/16 for scale and zero, 32 per outlier, 8 per row for the counts; k has 16 rows.
  const double rows = 2 * (32 + 16 + 16 + 32 + 48 + 48 + 32);
  CHECK(static_cast<double>(packed.layer_bits) ==
        doctest::Approx(6 * static_cast<double>(packed.layer_weights) +
                        32 * static_cast<double>(packed.kept) + 8 * rows));
  for (const TensorPortrait& tensor : packed.tensors) {
    const float largest = largest_weight(model, tensor);
    CHECK(largest > 0);
    CHECK(largest < 10);
  }
}

TEST_CASE("the portrait names the code and the rotation of a trellis") {
  const Twins twins({.format = "trellis", .variant = "1mad", .bits = 2, .group = 0, .rotation = 1});
  const Portrait packed = draw_portrait(LanguageModel::open(twins.packed.path()));
  CHECK(packed.types.at("2-bit trellis 1mad rotated") == packed.layer_weights);
}

TEST_CASE("GPT-2's fused and transposed layers are found in the portrait") {
  const LanguageModel model = LanguageModel::open(KARAT_SOURCE_DIR "/tests/fixtures/families/gpt2");
  const Portrait portrait = draw_portrait(model);
  const Architecture& arch = model.architecture();
  CHECK(portrait.layer_weights ==
        portrait.layers * (4 * arch.hidden * arch.hidden + 2 * arch.hidden * arch.ffn));
}

TEST_CASE("folders that cannot be run are refused") {
  const TempFolder empty;
  CHECK(error_of([&] { LanguageModel::open(empty / "nowhere"); }).find("nowhere") !=
        std::string::npos);
  CHECK(error_of([&] { LanguageModel::open(empty.path()); }).find("config.json") !=
        std::string::npos);

  const Twins twins({.bits = 4, .group = 16});
  const auto reopen = [&](nlohmann::json quantization) {
    nlohmann::json config = testing::tiny_config();
    config["quantization_config"] = std::move(quantization);
    twins.packed.write("config.json", config.dump());
    return error_of([&] { LanguageModel::open(twins.packed.path()); });
  };
  QuantizationConfig none{.method = "test", .layers = {}};
  nlohmann::json newer = nlohmann::json::parse(quantization_json(none));
  newer["format_version"] = kFormatVersion + 1;
  CHECK(reopen(newer).find("version") != std::string::npos);
  CHECK(reopen({{"quant_method", "gptq"}}).find("gptq") != std::string::npos);
  // Packed tensors that no layout describes.
  CHECK(reopen(nlohmann::json::parse(quantization_json(none))).find("q_proj") != std::string::npos);

  const auto weights = twins.dense.path() / "model.safetensors";
  std::filesystem::resize_file(weights, std::filesystem::file_size(weights) - 1);
  CHECK(error_of([&] { LanguageModel::open(twins.dense.path()); }).find("model.safetensors") !=
        std::string::npos);
  std::filesystem::remove(weights);
  CHECK(error_of([&] { LanguageModel::open(twins.dense.path()); }).find("model.safetensors") !=
        std::string::npos);
}

}  // namespace
}  // namespace karat
