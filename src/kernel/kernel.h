// Matrix products and vector helpers of the runtime. `reference` is the naive twin of every other
// set and the oracle of its test; a Runtime has the fastest that this CPU can run, or a named one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "karat/runtime.h"
#include "kernel/int8.h"
#include "kernel/matrix.h"

namespace karat {

/// The kernels of one storage format: kernel/cpu/isa has their types and, by file name, them.
struct FormatKernels;
struct NamedKernels {
  const char* name;  // Codec::kernels; nullptr ends a list
  const FormatKernels* kernels;
};

/// What one call multiplies with: x [tokens, in] and, for one token and a packed matrix that has
/// scales, the sums of x over each group of inputs [groups] (Σ s(q − z)x = sΣqx − szΣx; rows share
/// Σx).
struct KernelInput {
  const float* x = nullptr;
  std::int64_t tokens = 0;
  const float* group_sums = nullptr;
  const Int8Input* int8 = nullptr;  // of x, for a matrix that takes it
  /// xᵀ [in, transposed_stride], zeros after the tokens: with int8, outliers and more than one
  /// token.
  const float* transposed = nullptr;
  std::int64_t transposed_stride = 0;
  bool row_by_row = false;                        // KernelSet::row_by_row
  const FormatKernels* const* formats = nullptr;  // KernelSet::formats
};

/// Rows of numbers that attention multiplies with: B [k, columns], columns % 8 == 0.
struct CellBlock {
  enum class Cell : std::uint8_t { f32, f16, i8 };
  Cell cell = Cell::f32;
  const std::byte* data = nullptr;
  std::int64_t columns = 0;
  /// What is multiplied next, which memory is asked for meanwhile; not nullptr.
  const std::byte* next = nullptr;
};

/// Of some numbers: the largest, and Σ exp(x − top).
struct ExpSum {
  float top = 0, sum = 0;
};

/// From so many tokens on, what a kernel gives for one of them is the same to the last bit however
/// many there are. Fewer may be multiplied in another order.
inline constexpr std::int64_t kManyTokens = 8;

/// One instruction set's kernels. Every result depends on the arguments alone.
struct KernelSet {
  std::string_view isa;  // "reference", "avx2", …
  /// One token's product with 8-bit activations reads a row after the other and not four side by
  /// side: faster where the CPU's prefetchers follow one stream of addresses best.
  bool row_by_row = false;
  /// Its kernels of each storage format, by MatrixView::format; nullptr where it has none, whose
  /// rows are then read through the format's codec. nullptr: it has none at all.
  const FormatKernels* const* formats = nullptr;
  /// y[t·out + o] = Σ_i x[t, i]·W[o, i] for o in [row_begin, row_end); row_begin % 16 == 0.
  void (*matmul)(const MatrixView& matrix, const KernelInput& input, float* y,
                 std::int64_t row_begin, std::int64_t row_end);
  /// The same with what input.int8 has of x, for a matrix that takes it (kernel/int8.h).
  void (*matmul_int8)(const MatrixView& matrix, const KernelInput& input, float* y,
                      std::int64_t row_begin, std::int64_t row_end);
  /// One token's part of an Int8Input for a matrix that takes it. Of one that rounds its inputs, x
  /// are integers below 128 in magnitude, which stay what they are.
  void (*round_input)(const MatrixView& matrix, const float* x, std::int8_t* values, float* scales,
                      float* sums);
  /// sums[g] = Σ x over inputs g·group … (g + 1)·group − 1, cut at `in`.
  void (*group_sums)(const float* x, std::int64_t in, std::int64_t group, float* sums);
  /// c [rows, columns] += a [rows, k] · b [k, columns]; rows of a and c lie apart by their strides.
  void (*multiply_add)(const CellBlock& b, std::int64_t k, std::int64_t rows, const float* a,
                       std::int64_t a_stride, float* c, std::int64_t c_stride);
  float (*dot)(const float* a, const float* b, std::int64_t n);
  /// y += alpha · x
  void (*axpy)(float alpha, const float* x, float* y, std::int64_t n);
  /// x = exp(x − max x); n > 0. Entries of −infinity become 0 unless all are; the sum is NaN where
  /// an x is, or is +infinity.
  ExpSum (*exponentials)(float* x, std::int64_t n);
  /// y = x / √(mean x² + eps) · weight; x may be y.
  void (*rms_norm)(const float* x, const float* weight, float eps, float* y, std::int64_t n);
  /// y = (x − mean) / √(var + eps) · weight + bias; x may be y.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, float* y,
                     std::int64_t n);
  void (*silu)(float* x, std::int64_t n);       // x·σ(x)
  void (*gelu)(float* x, std::int64_t n);       // x·Φ(x)
  void (*gelu_tanh)(float* x, std::int64_t n);  // its tanh form (GPT-2's "gelu_new")
};

const KernelSet& reference_kernels();
/// Sets that this CPU can run, slowest (reference) first.
const std::vector<const KernelSet*>& usable_kernels();
/// Those of the calling thread's runtime.
const KernelSet& kernels();
const KernelSet& kernels_of(const Runtime::State& state);

/// y [tokens, out] = x [tokens, in] Wᵀ.
struct MatrixProduct {
  const MatrixView* matrix = nullptr;
  float* y = nullptr;
};

/// One product or several with the same x, rows cut over the threads of core/threads.h. Several
/// give the same bits as one after the other, faster where their kernels see x alike.
void matmul(const MatrixView& matrix, const float* x, std::int64_t tokens, float* y);
void matmul(std::span<const MatrixProduct> products, const float* x, std::int64_t tokens);
void matmul(const KernelSet& set, const MatrixView& matrix, const float* x, std::int64_t tokens,
            float* y, Activations activations = Activations::f32);
void matmul(const KernelSet& set, std::span<const MatrixProduct> products, const float* x,
            std::int64_t tokens, Activations activations);

}  // namespace karat
