// The container of GGUF files (github.com/ggml-org/ggml, docs/gguf.md), checked against the bytes
// it describes: metadata by key, and tensors. Nothing of it says what the tensors mean.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "karat/tensor_view.h"

namespace karat {

/// Types of metadata, by their numbers in the file.
enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  text,
  array,
  u64,
  i64,
  f64
};

/// `count` elements as they lie in the file, their sizes checked.
struct GgufArray {
  GgufType type = GgufType::u8;
  std::uint64_t count = 0;
  std::span<const std::byte> bytes = {};
};

/// Integers are widened by their sign, floats to doubles. Texts point into the file.
using GgufValue =
    std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view, GgufArray>;

struct GgufContent {
  std::map<std::string, GgufValue, std::less<>> values;
  /// Views into the parsed bytes, with the file's names; shapes are [rows, columns] as everywhere
  /// in Karat (the file has the columns first).
  std::vector<TensorView> tensors;
};

/// Parses `file`, the whole content of `path`: version 2 or 3, little-endian. Throws Error naming
/// `path` and the key or the tensor on a count, length, type, alignment or offset that the file
/// does not hold, on a name that comes twice, and on a tensor type that Karat does not read.
GgufContent parse_gguf(std::span<const std::byte> file, const std::string& path);

std::vector<std::string_view> texts_of(const GgufArray& array);  // of an array of texts
/// Of an array of integers or floats, as numbers; a boolean is 0 or 1. Of texts: none.
std::vector<double> numbers_of(const GgufArray& array);

}  // namespace karat
