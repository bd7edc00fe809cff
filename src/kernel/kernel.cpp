// Which kernels run here, and the cut of a product over threads.
#include "kernel/kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

#include "core/threads.h"
#include "format/parts.h"
#include "karat/error.h"

namespace karat {
namespace {

const KernelSet& named_kernels(std::string_view isa) {
  std::vector<std::string_view> names;
  for (const KernelSet* set : usable_kernels()) {
    if (set->isa == isa) return *set;
    names.push_back(set->isa);
  }
  fail("choose kernels", fmt::format("\"{}\"", isa),
       fmt::format("one of {}", fmt::join(names, ", ")),
       "this is what KARAT_ISA may name on this CPU");
}

const KernelSet& default_kernels() {
  const char* wanted = std::getenv("KARAT_ISA");
  return wanted == nullptr || *wanted == 0 ? *usable_kernels().back() : named_kernels(wanted);
}

std::atomic<const KernelSet*> chosen = nullptr;

/// Rows per piece of work: about 2^17 multiplications, some 10 µs, so that cutting costs little and
/// the last piece is short. A multiple of the 16 rows that kernels read together.
std::int64_t row_grain(const MatrixView& matrix, std::int64_t tokens) {
  const std::int64_t row = std::max<std::int64_t>(matrix.in * tokens, 1);
  return std::max<std::int64_t>((std::int64_t{1} << 17) / row / 16, 1) * 16;
}

/// x ∘ input_scales, in a buffer of this thread's that lasts until its next call.
const float* scaled(const MatrixView& matrix, const float* x, std::int64_t tokens) {
  thread_local std::vector<float> buffer;
  buffer.resize(static_cast<std::size_t>(tokens * matrix.in));
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t i = 0; i < matrix.in; ++i)
      buffer[t * matrix.in + i] = x[t * matrix.in + i] * matrix.input_scales[i];
  return buffer.data();
}

/// y = x Wᵀ of what the set's kernels can see: the stored codes and, where not rotated, outliers.
void multiply(const KernelSet& set, const MatrixView& matrix, const float* x, std::int64_t tokens,
              float* y) {
  KernelInput input{x, tokens, nullptr};
  thread_local std::vector<float> sums;
  if (matrix.store == MatrixView::Store::packed && matrix.tables == nullptr && tokens == 1) {
    sums.resize(static_cast<std::size_t>(matrix.groups));
    set.group_sums(x, matrix.in, matrix.group, sums.data());
    input.group_sums = sums.data();
  }
  parallel_for(matrix.out, row_grain(matrix, tokens), [&](std::int64_t begin, std::int64_t end) {
    set.matmul(matrix, input, y, begin, end);
  });
}

/// y[t, o] += Σ value·x[t, column] over the outliers of row o.
void add_outliers(const MatrixView& matrix, const float* x, std::int64_t tokens, float* y) {
  const auto add_row = [&](std::int64_t o) {
    for (std::int64_t k = matrix.outlier_offsets[o]; k < matrix.outlier_offsets[o + 1]; ++k) {
      const float value = f16_to_float(load_u16(matrix.outlier_values, k));
      const float* input = x + load_u16(matrix.outlier_columns, k);
      for (std::int64_t t = 0; t < tokens; ++t)
        y[t * matrix.out + o] += value * input[t * matrix.in];
    }
  };
  parallel_for(matrix.out, row_grain(matrix, tokens), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) add_row(o);
  });
}

/// y = R_outᵀ (Ŵ (R_in x)) + outliers · x, Ŵ being what is stored.
void multiply_rotated(const KernelSet& set, const MatrixView& matrix, const float* x,
                      std::int64_t tokens, float* y) {
  thread_local std::vector<float> buffer;
  buffer.assign(x, x + tokens * matrix.in);
  float* turned = buffer.data();
  parallel_for(tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) matrix.in_rotation->apply(turned + t * matrix.in);
  });
  MatrixView dense = matrix;
  dense.outlier_offsets = nullptr;
  multiply(set, dense, turned, tokens, y);
  parallel_for(tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) matrix.out_rotation->undo(y + t * matrix.out);
  });
  if (matrix.outlier_offsets != nullptr) add_outliers(matrix, x, tokens, y);
}

}  // namespace

const std::vector<const KernelSet*>& usable_kernels() {
  static const std::vector<const KernelSet*> sets = [] {
    std::vector<const KernelSet*> found = {&reference_kernels()};
    if (const KernelSet* avx2 = avx2_kernels()) found.push_back(avx2);
    return found;
  }();
  return sets;
}

const KernelSet& kernels() {
  const KernelSet* set = chosen.load();
  if (set == nullptr) chosen = set = &default_kernels();
  return *set;
}

void use_kernels(std::string_view isa) {
  chosen = &named_kernels(isa);
}

void matmul(const MatrixView& matrix, const float* x, std::int64_t tokens, float* y) {
  matmul(kernels(), matrix, x, tokens, y);
}

void matmul(const KernelSet& set, const MatrixView& matrix, const float* x, std::int64_t tokens,
            float* y) {
  if (tokens <= 0) return;
  if (matrix.input_scales != nullptr) x = scaled(matrix, x, tokens);
  if (matrix.in_rotation != nullptr) return multiply_rotated(set, matrix, x, tokens, y);
  multiply(set, matrix, x, tokens, y);
}

}  // namespace karat
