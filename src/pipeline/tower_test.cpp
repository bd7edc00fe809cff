// Models of images and text: their text is quantized, the rest is carried over as it is.
#include <doctest/doctest.h>

#include <cstring>

#include "core/file.h"
#include "core/temporary.h"
#include "karat/language_model.h"
#include "karat/quantize.h"
#include "pipeline/testing.h"

using namespace karat;
namespace fs = std::filesystem;

namespace {

bool same_bytes(const TensorView& a, const TensorView& b) {
  return a.shape == b.shape && a.type() == b.type() && std::memcmp(a.data, b.data, a.bytes()) == 0;
}

/// The fixture with a tokenizer file that nobody opens, and tensors for images: one that is not
/// finite, and three of types that Karat does not read.
fs::path damaged_model(const fs::path& folder, const std::string& family) {
  const Safetensors file = Safetensors::open_folder(kFamilies / family);
  std::vector<OwnedTensor> tensors;
  for (const TensorView& view : file.tensors())
    tensors.push_back(own_bytes(view.name, view.dtype, view.shape, view.span()));
  tensors.push_back(
      own_bytes("visual.extra", DType::f32, {1}, std::as_bytes(std::span("\xff\xff\xff\xff", 4))));
  for (const DType type : {DType::f8_e4m3, DType::c64})
    tensors.push_back(
        own_bytes("visual." + std::string(name_of(type)), type, {1},
                  std::as_bytes(std::span("\x7f\xff\x80\1\2\3\4\5", 8)).first(byte_size(type))));
  std::vector<TensorView> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
  views.push_back({"visual.F4", DType::other, {2}, tensors.back().data.data(), "F4", 1});
  fs::create_directories(folder);
  write_safetensors(folder / "model.safetensors", views, {});
  fs::copy_file(kFamilies / family / "config.json", folder / "config.json");
  write_file(folder / "tokenizer.json", small_tokenizer());
  return folder;
}

}  // namespace

TEST_CASE("what is not of the text is neither read nor changed") {
  for (const char* family : {"qwen2_vl", "llava"}) {
    CAPTURE(family);
    TemporaryFolder temporary;
    QuantizeJob job{.model = damaged_model(temporary.path / "model", family),
                    .out = temporary.path / "out",
                    .method = "rtn"};
    job.overrides.group = "8";
    quantize(job);
    const LanguageModel original = LanguageModel::open(job.model);
    const LanguageModel quantized = LanguageModel::open(job.out);
    std::size_t carried = 0;
    for (const TensorView& tensor : original.files().tensors()) {
      const bool of_block = tensor.name.find("layers.") != tensor.name.npos &&
                            tensor.name.find("vision") == tensor.name.npos;
      if (of_block) continue;
      CAPTURE(tensor.name);
      CHECK(same_bytes(quantized.files().get(tensor.name), tensor));
      ++carried;
    }
    CHECK(carried > 10);
    for (const char* name : {"F8_E4M3", "C64", "F4"})
      CHECK(quantized.files().find(std::string("visual.") + name) != nullptr);
    CHECK(quantized.quantization()->layers.size() == 14);
  }
}
