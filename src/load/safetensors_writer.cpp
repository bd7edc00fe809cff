// The order and spelling are those of the reference writer, so the same tensors give the same
// bytes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "karat/error.h"
#include "karat/safetensors.h"
#include "load/json.h"
#include "load/safetensors_header.h"

namespace karat {
namespace {

/// Position in the reference writer's list of types, widest alignment first; others come last.
int rank(DType dtype) {
  constexpr DType kOrder[] = {
      DType::u64,     DType::i64,         DType::f64,         DType::c64,     DType::f32,
      DType::u32,     DType::i32,         DType::bf16,        DType::f16,     DType::u16,
      DType::i16,     DType::f8_e5m2fnuz, DType::f8_e4m3fnuz, DType::f8_e8m0, DType::f8_e4m3,
      DType::f8_e5m2, DType::i8,          DType::u8,          DType::boolean};
  return static_cast<int>(std::find(std::begin(kOrder), std::end(kOrder), dtype) - kOrder);
}

void check(const std::filesystem::path& file, const TensorView& tensor) {
  const std::string operation = fmt::format("write {}, tensor {}", file.string(), tensor.name);
  if (tensor.name == "__metadata__") fail(operation, "a reserved name", "another one");
  for (const auto extent : tensor.shape)
    if (extent < 0) fail(operation, "the shape " + shape_text(tensor.shape), "no negative extent");
  if (tensor.data == nullptr && tensor.bytes() > 0) fail(operation, "no data", "its bytes");
}

std::vector<TensorView> sorted(std::span<const TensorView> tensors) {
  std::vector<TensorView> order(tensors.begin(), tensors.end());
  std::sort(order.begin(), order.end(), [](const TensorView& a, const TensorView& b) {
    const int ranks[] = {rank(a.dtype), rank(b.dtype)};
    return ranks[0] != ranks[1] ? ranks[0] < ranks[1] : a.name < b.name;
  });
  return order;
}

std::vector<TensorView> checked_order(const std::filesystem::path& file,
                                      std::span<const TensorView> tensors) {
  for (const auto& tensor : tensors) check(file, tensor);
  std::vector<TensorView> order = sorted(tensors);
  std::set<std::string_view> names;
  for (const auto& tensor : order)
    if (!names.insert(tensor.name).second)
      fail("write " + file.string(), "the tensor " + tensor.name + " twice", "once");
  return order;
}

/// The header's JSON, padded so that the data begin at a multiple of 8 bytes.
std::string header_text(const std::string& operation, std::span<const TensorView> order,
                        std::map<std::string, std::string> metadata) try {
  metadata.emplace("format", "pt");  // releases of transformers before 5 refuse a file without
  std::string text = "{\"__metadata__\":" + nlohmann::json(metadata).dump();
  std::size_t position = 0;
  for (const auto& tensor : order) {
    const std::size_t end = position + tensor.bytes();
    text += fmt::format(",{}:{{\"dtype\":{},\"shape\":{},\"data_offsets\":[{},{}]}}",
                        nlohmann::json(tensor.name).dump(), nlohmann::json(tensor.type()).dump(),
                        nlohmann::json(tensor.shape).dump(), position, end);
    position = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
} catch (const nlohmann::json::exception& error) {  // a name that is not UTF-8
  fail(operation, error.what(), "names and metadata in UTF-8");
}

constexpr std::size_t kLengthBytes = 8;  // of the header's length

}  // namespace

void write_safetensors(const std::filesystem::path& file, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<TensorView> order = checked_order(file, tensors);
  const std::string text = header_text("write " + file.string(), order, metadata);
  if (text.size() > kMaxHeaderBytes)
    fail("write " + file.string(), fmt::format("a header of {} bytes", text.size()),
         fmt::format("at most {}", kMaxHeaderBytes));

  std::array<std::byte, kLengthBytes> length{};
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    length[i] = static_cast<std::byte>(text.size() >> (8 * i));
  std::vector<std::span<const std::byte>> pieces = {length, std::as_bytes(std::span(text))};
  for (const auto& tensor : order) pieces.push_back(tensor.span());
  write_file(file, pieces);
}

std::size_t safetensors_bytes(std::span<const TensorView> tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::size_t bytes =
      kLengthBytes + header_text("size of a safetensors file", sorted(tensors), metadata).size();
  for (const TensorView& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

}  // namespace karat
