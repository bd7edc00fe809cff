// A weight matrix as kernels read it: MatrixView is raw pointers into a mapped file and no code,
// so that a unit compiled for one instruction set shares no inline function with the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/rotation.h"
#include "core/upcoming.h"
#include "karat/packed.h"
#include "karat/tensor_view.h"

namespace karat {

struct ColumnCode;
struct InputGrid;

/// W [out, in]. Pointers may be unaligned; parts that a layout does not have are nullptr.
struct MatrixView {
  enum class Store : std::uint8_t { f32, f16, bf16, packed };
  Store store = Store::f32;
  std::int64_t out = 0, in = 0;
  const std::byte* dense = nullptr;  // [out, in]

  const PackedView* packed = nullptr;  // for Store::packed, what follows is taken from it
  int bits = 0;
  int format = 0;   // its number among all_codecs() (format/codec.h)
  int variant = 0;  // these and what follows: CodeFacts
  float fixed_zero = 0;
  bool sums = false, int8 = false;
  void (*decode)(const std::byte* block, float* w) = nullptr;  // a group's bytes to its weights
  const ColumnCode* columns = nullptr;                         // where codes meet those above them
  bool symmetric = false;
  std::int64_t group = 0, groups = 0, row_bytes = 0;              // inputs, per row, of codes
  const std::byte* codes = nullptr;                               // [out, row_bytes]
  const float* values = nullptr;                                  // [16] by code; a list's
  const std::byte* tables = nullptr;                              // F16 [out, groups, 2^bits]
  const std::byte *scales = nullptr, *zeros = nullptr;            // F16 [out, groups]
  const std::byte *scale_codes = nullptr, *zero_codes = nullptr;  // [ceil(out/16), groups, 6]
  const std::byte *scale_stats = nullptr, *zero_stats = nullptr;  // F16 [ceil(out/16), groups, 2]
  const std::uint32_t* outlier_offsets = nullptr;                 // [out + 1]
  const std::byte *outlier_columns = nullptr, *outlier_values = nullptr;  // U16, F16 [n]
  Upcoming next;                        // the matrices that are multiplied after this one
  std::int64_t next_in = 0;             // their inputs
  const float* input_scales = nullptr;  // [in]; x is multiplied by them before a kernel sees it
  // x is multiplied by 1 ⊗ H, then rounded to odd numbers of half steps, before a kernel sees it;
  // y is multiplied by the half step and by row_scales afterwards. Outliers know nothing of that.
  std::int64_t hadamard = 0;              // order of H; 0: not
  const InputGrid* input_grid = nullptr;  // nullptr: not rounded
  int input_bits = 0;
  const float* row_scales = nullptr;  // [out]
  // x is rotated before a kernel sees it, and y back afterwards; outliers know nothing of that.
  const Rotation *in_rotation = nullptr, *out_rotation = nullptr;
};

/// A MatrixView and what is computed once for it. The mapped bytes must outlive it. Converts to
/// MatrixView wherever a kernel wants one.
class Matrix {
 public:
  Matrix() = default;
  /// `view` is F32, F16, BF16 or of a type of GGUF [out, in]. Throws on another type or rank.
  explicit Matrix(const TensorView& view);
  explicit Matrix(const PackedView& view);
  Matrix(Matrix&&) = default;  // moving a vector leaves its elements where they are
  Matrix& operator=(Matrix&&) = default;

  /// Says what is multiplied after this matrix, with one input: of more than Upcoming::kMost the
  /// first.
  void precede(std::span<const Matrix* const> next);

  const MatrixView& view() const { return view_; }
  operator const MatrixView&() const { return view_; }
  std::int64_t out() const { return view_.out; }
  std::int64_t in() const { return view_.in; }
  std::int64_t bytes() const { return bytes_; }  // read by one pass over the matrix

 private:
  void prepare_inputs();

  MatrixView view_;
  std::unique_ptr<const PackedView> packed_;
  std::vector<std::uint32_t> outlier_offsets_;
  std::vector<float> input_scales_;
  std::vector<float> row_scales_;
  std::vector<std::uint16_t> unit_scales_;  // FP16 ones, where rows have FP32 scales
  std::vector<Rotation> rotations_;  // of inputs and outputs, or none
  std::int64_t bytes_ = 0;
};

}  // namespace karat
