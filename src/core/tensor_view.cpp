#include "karat/tensor_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cstring>

#include "core/block.h"
#include "karat/error.h"

namespace karat {
namespace {

struct DTypeInfo {
  DType dtype;
  std::size_t bytes;
  std::string_view name;  // as safetensors writes it
};
constexpr std::array kDTypes = {
    DTypeInfo{DType::f64, 8, "F64"},
    DTypeInfo{DType::f32, 4, "F32"},
    DTypeInfo{DType::f16, 2, "F16"},
    DTypeInfo{DType::bf16, 2, "BF16"},
    DTypeInfo{DType::i64, 8, "I64"},
    DTypeInfo{DType::i32, 4, "I32"},
    DTypeInfo{DType::i16, 2, "I16"},
    DTypeInfo{DType::i8, 1, "I8"},
    DTypeInfo{DType::u64, 8, "U64"},
    DTypeInfo{DType::u32, 4, "U32"},
    DTypeInfo{DType::u16, 2, "U16"},
    DTypeInfo{DType::u8, 1, "U8"},
    DTypeInfo{DType::boolean, 1, "BOOL"},
    DTypeInfo{DType::f8_e4m3, 1, "F8_E4M3"},
    DTypeInfo{DType::f8_e5m2, 1, "F8_E5M2"},
    DTypeInfo{DType::f8_e8m0, 1, "F8_E8M0"},
    DTypeInfo{DType::f8_e4m3fnuz, 1, "F8_E4M3FNUZ"},
    DTypeInfo{DType::f8_e5m2fnuz, 1, "F8_E5M2FNUZ"},
    DTypeInfo{DType::c64, 8, "C64"},
    DTypeInfo{DType::block, 0, "a type of GGUF"},
    DTypeInfo{DType::other, 0, "another type"},
};

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < kDTypes.size(); ++i)
    if (kDTypes[i].dtype != static_cast<DType>(i)) return false;
  return kDTypes.back().dtype == DType::other;
}
static_assert(is_in_order(), "a type is found by its place in the table");

const DTypeInfo& info(DType dtype) {
  return kDTypes[static_cast<std::size_t>(dtype)];
}

}  // namespace

std::size_t byte_size(DType dtype) {
  return info(dtype).bytes;
}
std::string_view name_of(DType dtype) {
  return info(dtype).name;
}

std::optional<DType> find_dtype(std::string_view name) {
  for (const auto& entry : kDTypes)
    if (entry.name == name && entry.bytes > 0) return entry.dtype;
  return std::nullopt;
}

std::int64_t TensorView::numel() const {
  std::int64_t count = 1;
  for (const auto extent : shape) count *= extent;
  return count;
}

std::size_t TensorView::bytes() const {
  if (dtype == DType::other) return other_bytes;
  if (dtype == DType::block)
    return static_cast<std::size_t>(numel() / block->values * block->bytes);
  return static_cast<std::size_t>(numel()) * byte_size(dtype);
}

std::string_view TensorView::type() const {
  if (dtype == DType::other) return other_type;
  return dtype == DType::block ? block->name : name_of(dtype);
}

TensorView rows_of(const TensorView& matrix, std::int64_t first, std::int64_t count) {
  TensorView rows = matrix;
  rows.shape[0] = first;
  rows.data += rows.bytes();
  rows.shape[0] = count;
  return rows;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

OwnedTensor own_bytes(std::string name, DType dtype, std::vector<std::int64_t> shape,
                      std::span<const std::byte> bytes) {
  OwnedTensor tensor{std::move(name), dtype, std::move(shape), {bytes.begin(), bytes.end()}};
  if (tensor.view().bytes() != bytes.size())
    fail("tensor " + tensor.name, fmt::format("{} bytes", bytes.size()),
         fmt::format("{} of shape {}", name_of(dtype), shape_text(tensor.shape)));
  return tensor;
}

float f16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u)  // infinity, NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Scaling by 2^112 moves the exponent from half's bias to float's and normalises subnormals.
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

std::uint16_t float_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;   // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to 65536 or more: infinity
  if (magnitude <
      0x38800000u) {  // below 2^-14: adding 1/2 leaves multiples of 2^-24 in the mantissa
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t float_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

bool has_floats(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 ||
         dtype == DType::block;
}

std::vector<float> to_floats(const TensorView& view) {
  std::vector<float> out(static_cast<std::size_t>(view.numel()));
  if (view.dtype == DType::f32) {
    std::memcpy(out.data(), view.data, view.bytes());
    return out;
  }
  if (view.dtype == DType::block) {
    decode_blocks(*view.block, view.data, view.numel(), out.data());
    return out;
  }
  if (view.dtype != DType::f16 && view.dtype != DType::bf16)
    fail("read tensor " + view.name, std::string(view.type()), "F32, F16 or BF16");
  const auto widen = view.dtype == DType::f16 ? f16_to_float : bf16_to_float;
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, view.data + 2 * i, 2);
    out[i] = widen(bits);
  }
  return out;
}

}  // namespace karat
