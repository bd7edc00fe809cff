// Packed embeddings and heads run as the dense ones that they stand for, in every kind of family.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "core/file.h"
#include "format/random_matrix.h"
#include "karat/engine.h"
#include "load/ends.h"
#include "run/portrait.h"
#include "run/testing.h"
#include "run/weights.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::f32_tensor;
using testing::TempFolder;
using testing::write_model;

const fs::path kFamilies = KARAT_SOURCE_DIR "/tests/fixtures/families";

/// A family's fixture in two folders: its ends packed, and dense with the weights they stand for.
struct EndTwins {
  EndTwins(const std::string& family, const PackedLayout& layout) {
    const auto config = nlohmann::json::parse(read_text(kFamilies / family / "config.json"));
    Safetensors file = Safetensors::open_folder(kFamilies / family);
    Architecture arch = read_architecture(kFamilies / family);
    match_weights(arch, file);
    tied = arch.tied();
    Rng rng(3);
    for (const std::string& end : ends_of(arch)) {
      const PackedTensors packed =
          named(layer_of(end), random_matrix(rng, layout, arch.vocab, arch.hidden, 0.02));
      values[end] = unpack(packed.view);
      bits[end] = packed.view.stored_bits();
      plain.push_back(f32_tensor(end, {arch.vocab, arch.hidden}, values[end]));
      small.insert(small.end(), packed.tensors.begin(), packed.tensors.end());
      quantization.layers[layer_of(end)] = layout;
    }
    for (const TensorView& view : file.tensors()) {
      if (values.contains(view.name) || (tied && view.name == arch.own_head)) continue;
      const OwnedTensor other = own_bytes(view.name, view.dtype, view.shape, view.span());
      plain.push_back(other);
      small.push_back(other);
    }
    write_model(dense.path(), config, plain);
    nlohmann::json with = config;
    with["quantization_config"] = nlohmann::json::parse(quantization_json(quantization));
    write_model(packed.path(), with, small);
  }

  static PackedTensors named(const std::string& name, const PackedMatrix& m) {
    PackedTensors packed{pack(name, m), {}, {}};
    for (const OwnedTensor& tensor : packed.tensors) packed.views.push_back(tensor.view());
    packed.view = packed_view(name, m.layout, m.out, m.in,
                              [&](std::string_view one) { return find_view(packed.views, one); });
    return packed;
  }

  bool tied = false;
  std::map<std::string, std::vector<float>> values;  // by tensor
  std::map<std::string, std::int64_t> bits;
  std::vector<OwnedTensor> plain, small;
  QuantizationConfig quantization{.method = "test", .layers = {}, .version = kEndsVersion};
  TempFolder dense, packed;
};

std::vector<float> logits(const LanguageModel& model, const std::vector<TokenId>& ids) {
  Engine engine(model);
  const std::vector<float> states = engine.step({engine.begin(), ids});
  std::vector<float> found(ids.size() * static_cast<std::size_t>(model.architecture().vocab));
  engine.logits(states, found);
  return found;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += std::pow(a[i] - b[i], 2);
    norm += std::pow(a[i], 2);
  }
  return std::sqrt(error / norm);
}

const PackedLayout kLayouts[] = {{.bits = 8, .group = 16},
                                 {.bits = 6, .group = 8},
                                 {.bits = 5, .group = 8, .symmetric = true},
                                 {.variant = "bilevel", .bits = 3, .group = 16},
                                 {.format = "nf4", .bits = 4, .group = 16, .input_scales = true},
                                 {.format = "lut", .bits = 4, .group = 0},
                                 {.format = "trellis", .variant = "1mad12", .bits = 4, .group = 0}};

TEST_CASE("packed ends give the logits of the dense ones, tied and untied, scaled or not") {
  const Runtime::Scope scope(Runtime::current().with(Activations::f32));
  for (const char* family : {"llama-tied", "llama3", "gpt2", "gemma", "granite", "llava", "phi3"})
    for (const PackedLayout& layout : kLayouts) {
      CAPTURE(family);
      CAPTURE(layout.format);
      CAPTURE(layout.bits);
      const EndTwins twins(family, layout);
      const LanguageModel dense = LanguageModel::open(twins.dense.path());
      const LanguageModel packed = LanguageModel::open(twins.packed.path());
      CHECK(packed.architecture().tied() == twins.tied);
      for (const std::size_t tokens : {1, 11}) {
        std::vector<TokenId> ids;
        for (std::size_t i = 0; i < tokens; ++i) ids.push_back(static_cast<TokenId>(5 * i % 40));
        CHECK(difference(logits(dense, ids), logits(packed, ids)) < 1e-5);
      }
    }
}

TEST_CASE("8-bit products read packed heads too") {
  for (const char* family : {"llama-tied", "llama3"})
    for (const int bits : {8, 4}) {
      const EndTwins twins(family, {.bits = bits, .group = 0});
      const auto both = [&](Activations activations) {
        const Runtime::Scope scope(Runtime::current().with(activations));
        return logits(LanguageModel::open(twins.packed.path()), {1, 2, 3});
      };
      const double error = difference(both(Activations::f32), both(Activations::q8));
      CHECK(error > 0);
      CHECK(error < 0.03);
    }
}

TEST_CASE("a token reads a packed matrix once, and one of its rows where it is only looked up") {
  for (const char* family : {"llama-tied", "llama3"}) {
    const EndTwins twins(family, {.bits = 8, .group = 16});
    const LanguageModel dense = LanguageModel::open(twins.dense.path());
    const LanguageModel packed = LanguageModel::open(twins.packed.path());
    const Architecture& arch = dense.architecture();
    const auto whole = static_cast<std::size_t>(twins.bits.at(arch.head)) / 8;
    const auto rows = static_cast<std::size_t>(arch.vocab), matrix = 4 * rows * arch.hidden;
    CHECK(dense.bytes_per_token() - packed.bytes_per_token() ==
          matrix - whole + matrix / rows -
              static_cast<std::size_t>(twins.bits.at(arch.embedding)) / 8 / rows);
    const Portrait portrait = draw_portrait(packed);
    CHECK(portrait.tied == twins.tied);
    for (const TensorPortrait& tensor : portrait.tensors) {
      if (!twins.bits.contains(tensor.name)) continue;
      CHECK(tensor.packed);
      CHECK(tensor.stored == "8-bit g16");
      CHECK(tensor.bits == twins.bits.at(tensor.name));
    }
    CHECK(std::isfinite(largest_weight(packed, portrait.tensors.front())));
  }
}

TEST_CASE("a row of a packed matrix is read alone, to the bits of unpack()") {
  const EndTwins twins("llama3", {.bits = 6, .group = 8, .input_scales = true});
  const LanguageModel::Impl model = open_weights(twins.packed.path());
  for (const auto& [matrix, name] : {std::pair{&model.embedding, model.arch.embedding},
                                     std::pair{&model.head(), model.arch.head}}) {
    const std::vector<float>& all = twins.values.at(name);
    for (std::int64_t row = 0; row < matrix->out(); ++row)
      CHECK(row_floats(matrix->view(), row) ==
            std::vector<float>(all.begin() + row * matrix->in(),
                               all.begin() + (row + 1) * matrix->in()));
  }
}

TEST_CASE("ends that cannot be read are refused by name") {
  const EndTwins rotated("llama3", {.bits = 4, .group = 16, .rotation = 1});
  const std::string error = error_of([&] { LanguageModel::open(rotated.packed.path()); });
  CHECK(error.find("an embedding with a rotation") != std::string::npos);
  const EndTwins turned("llama3", {.format = "midrise", .bits = 4, .group = 0, .hadamard = 2});
  CHECK(error_of([&] {
          LanguageModel::open(turned.packed.path());
        }).find("an embedding with a rotation") != std::string::npos);
  const EndTwins twins("llama-tied", {.bits = 8, .group = 16});
  std::vector<OwnedTensor> parts = twins.small;
  std::erase_if(parts, [](const OwnedTensor& t) { return t.name.ends_with("tokens.scales"); });
  auto config = nlohmann::json::parse(read_text(twins.packed.path() / "config.json"));
  TempFolder damaged;
  write_model(damaged.path(), config, parts);
  CHECK(error_of([&] {
          LanguageModel::open(damaged.path());
        }).find("model.embed_tokens.scales: got nothing") != std::string::npos);
}

TEST_CASE("packed ends in a folder of a version that had none are refused by name") {
  for (const auto& [family, first] :
       {std::pair{"llama-tied", "model.embed_tokens"}, std::pair{"llama3", "model.embed_tokens"},
        std::pair{"gpt2", "transformer.wte"}}) {
    const EndTwins twins(family, {.bits = 8, .group = 16});
    auto config = nlohmann::json::parse(read_text(twins.packed.path() / "config.json"));
    nlohmann::json& version = config["quantization_config"]["format_version"];
    CHECK(version == 6);
    version = 5;
    TempFolder older;
    write_model(older.path(), config, twins.small);
    CHECK(
        error_of([&] {
          LanguageModel::open(older.path());
        }).find(std::string("got packed ") + first + " in format version 5, expected version 6") !=
        std::string::npos);
  }
}

TEST_CASE("a packed head beside a dense embedding is refused in such a folder too") {
  const EndTwins twins("llama3", {.bits = 8, .group = 16});
  auto config = nlohmann::json::parse(read_text(twins.packed.path() / "config.json"));
  nlohmann::json& quantization = config["quantization_config"];
  quantization["layouts"][0]["layers"] = {"lm_head"};
  std::vector<OwnedTensor> parts = twins.small;
  std::erase_if(parts, [](const OwnedTensor& t) { return t.name.starts_with("model.embed_tok"); });
  for (const OwnedTensor& tensor : twins.plain)
    if (tensor.name == "model.embed_tokens.weight") parts.push_back(tensor);
  TempFolder folder;
  write_model(folder.path(), config, parts);
  CHECK(error_of([&] { LanguageModel::open(folder.path()); }) == "no error");
  quantization["format_version"] = 1;
  write_model(folder.path(), config, parts);
  CHECK(error_of([&] {
          LanguageModel::open(folder.path());
        }).find("got packed lm_head in format version 1, expected version 6") != std::string::npos);
}

}  // namespace
}  // namespace karat
