// A storage format: what bytes a matrix is, and how they become weights again. One is
// src/format/codec/<name>.cpp with `const Codec& <name>_codec()`, found by its file name; what it
// needs beside that lies in a folder of its name. The overlay, input scales, row scales and
// rotations are the same for all and no codec's business; nor are kernels, which are found by the
// name in `kernels`.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "karat/packed.h"

namespace karat {

struct ColumnCode;

/// One key of a format's layouts in quantization_config. The type of its value is the one that
/// `get` gives. An optional key is written where the layout differs from one without it.
using KeyValue = std::variant<bool, std::int64_t, std::string>;
struct Key {
  std::string_view name;
  bool required = true;
  KeyValue (*get)(const PackedLayout& layout) = nullptr;
  /// Throws on a value that no layout can hold; check() sees the rest.
  void (*set)(PackedLayout& layout, const KeyValue& value) = nullptr;
};
inline constexpr std::string_view kUpgrade =
    "this folder was written by a newer karat; upgrade karat";

/// The format version that brought what a layout uses, and what that is: " of 5 bits"; nothing for
/// the format itself.
struct Since {
  int version = 1;
  std::string_view what = {};
};

/// One part whose shape follows from the layout alone (all but the overlay).
struct Part {
  std::string_view name;  // "codes": the tensor is "<layer>.codes"
  DType dtype;
  std::vector<std::int64_t> shape;
  TensorView PackedView::*view;
  /// Its bytes. Throws, naming `tensor`, unless there are as many values as the shape says, each in
  /// range.
  std::function<std::vector<std::byte>(const std::string& tensor, const PackedMatrix& matrix)> pack;
};

/// What kernels want to know of a matrix beside its parts.
struct CodeFacts {
  std::int64_t row_bytes = 0;     // of the codes of a row; 0: codes do not lie row by row
  const float* values = nullptr;  // [16] by code, of a list of values
  float fixed_zero = 0;           // when symmetric
  int variant = 0;                // the layout's, as the format numbers them
  bool always_symmetric = false;  // the format has no zeros but fixed_zero
  bool sums = true;               // products with one token want Σ x of each group
  /// Whether products with 8-bit activations can be had: codes in nibbles, bytes or blocks, and
  /// groups of a multiple of 8 inputs or one a row; formats of columns.
  bool int8 = false;
  const ColumnCode* columns = nullptr;  // where codes meet those above them
  /// Of rows cut into blocks of a group each: writes the weights of one.
  void (*decode)(const std::byte* block, float* w) = nullptr;
};

struct Codec {
  std::string_view name;
  std::vector<Key> keys;  // in the order that they are written in, between "grid" and "layers"
  Since (*since)(const PackedLayout& layout);
  /// Throws unless the layout is one that docs/format.md allows; `where` begins the message.
  void (*check)(const std::string& where, const PackedLayout& layout);
  std::vector<Part> (*parts)(const PackedLayout& layout, std::int64_t out, std::int64_t in);
  /// Writes row `row` without its outliers and row scale, as it is stored, to `w` [in].
  void (*read_row)(const PackedView& view, std::int64_t row, float* w);
  std::string (*describe)(const PackedLayout& layout);  // "3-bit g16 bilevel"
  CodeFacts (*facts)(const PackedView& view);
  std::string_view kernels;            // the file name in src/kernel/cpu/isa/x86_format
  std::span<const float> values = {};  // of a list, ascending; 16 may be read: the last one again
};

/// By name. Written by cmake/registry.cmake from the file names in src/format/codec.
const std::map<std::string, const Codec& (*)()>& codec_table();
/// The codec of a format; throws, beginning with `where`, when there is none of that name.
const Codec& find_codec(const std::string& where, const std::string& format);
/// All of them in the table's order and then that of GGUF's types (format/blocks.h), which gives
/// each its number.
const std::vector<const Codec*>& all_codecs();

}  // namespace karat
