// libFuzzer target of the GGUF reader. What the container accepts is read to its end: the bytes of
// every tensor, the weights of the first row, and the files that the metadata stand for.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/temporary.h"
#include "karat/architecture.h"
#include "karat/error.h"
#include "karat/safetensors.h"
#include "load/gguf/model.h"
#include "load/tokenizer_impl.h"

using namespace karat;

namespace {

constexpr std::int64_t kMostWeights = 1 << 16;

void read_container(std::span<const std::byte> bytes) {
  const GgufContent content = parse_gguf(bytes, "input");
  std::size_t total = 0;
  unsigned sum = 0;
  for (const TensorView& view : content.tensors) {
    total += view.bytes();
    for (const std::byte byte : view.span()) sum += std::to_integer<unsigned>(byte);
    const bool matrix = view.shape.size() == 2 && view.shape[1] <= kMostWeights;
    if (matrix && has_floats(view.dtype)) to_floats(rows_of(view, 0, 1));
  }
  if (total > bytes.size() || sum > 255 * total) __builtin_trap();
  for (const auto& [key, value] : content.values)
    if (const auto* array = std::get_if<GgufArray>(&value)) {
      if (array->type == GgufType::text) texts_of(*array);
      if (array->type != GgufType::text) numbers_of(*array);
    }
}

/// A sentencepiece model is made and not opened: its library has a loader of its own.
void read_tokenizer(const std::filesystem::path& file) {
  const GgufModel model = GgufModel::open(file);
  const auto made = gguf_tokenizer(model);
  const auto json = made.find("tokenizer.json");
  if (json == made.end()) return;
  const SideFiles side{.config = made.at("tokenizer_config.json")};
  Tokenizer::Impl::from_json(json->second, "input", side)->encode("It's 1984", true);
}

template <class Read>
void attempt(const Read& read) {
  try {
    read();
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TemporaryFolder folder;
  const auto bytes = std::as_bytes(std::span(data, size));
  attempt([&] { read_container(bytes); });
  const std::filesystem::path file = folder.path / "m.gguf";
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  attempt([&] {
    Architecture arch = read_architecture(file);
    Safetensors weights = Safetensors::open_folder(file);
    match_weights(arch, weights);
  });
  attempt([&] { read_tokenizer(file); });
  return 0;
}
