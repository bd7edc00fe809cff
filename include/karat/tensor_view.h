// A named, typed, shaped window onto bytes that somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

struct BlockType;  // core/block.h

/// Element types that Karat reads or writes, and from f8_e4m3 on those that it only carries along;
/// names are those of safetensors. `block`: weights of a GGUF file, several of which share bytes;
/// `other`: any type of another name.
enum class DType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  c64,
  block,
  other
};

std::size_t byte_size(DType dtype);                      // 0 for `block` and `other`
std::string_view name_of(DType dtype);                   // "F16"; "another type" for `other`
std::optional<DType> find_dtype(std::string_view name);  // "F16" -> DType::f16

/// Row-major, little-endian, not owning. `data` may be unaligned.
struct TensorView {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;
  std::string other_type = {};  // of DType::other: its name and its bytes, as the file has them
  std::size_t other_bytes = 0;
  const BlockType* block = nullptr;  // of DType::block

  std::int64_t numel() const;
  std::size_t bytes() const;
  std::string_view type() const;  // "F16", "Q4_K"
  std::span<const std::byte> span() const { return {data, bytes()}; }
};

/// A tensor that owns its bytes; what writers are given.
struct OwnedTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;

  TensorView view() const { return {name, dtype, shape, data.data()}; }
};

/// Copies `bytes` into an owned tensor. Throws when their count contradicts the shape.
OwnedTensor own_bytes(std::string name, DType dtype, std::vector<std::int64_t> shape,
                      std::span<const std::byte> bytes);

/// IEEE binary16 and bfloat16 as bit patterns; conversions round to nearest even.
float f16_to_float(std::uint16_t bits);
std::uint16_t float_to_f16(float value);
float bf16_to_float(std::uint16_t bits);
std::uint16_t float_to_bf16(float value);

/// Whether to_floats() reads the type: F32, F16, BF16, and those of GGUF.
bool has_floats(DType dtype);
/// All elements as floats. Throws on types of other numbers.
std::vector<float> to_floats(const TensorView& view);
/// Rows [first, first + count) of a matrix; the bytes are those of `matrix`.
TensorView rows_of(const TensorView& matrix, std::int64_t first, std::int64_t count);

/// "[2048, 512]"
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace karat
