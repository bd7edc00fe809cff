// What the units of this folder share. cmake/isa.cmake compiles each once for every set of kernels
// that has it, with the set's flags and with KARAT_ISA, the namespace of that set. Everything in
// these headers has internal linkage and uses no inline function of the standard library, or the
// linker could hand code compiled for one instruction set to callers on CPUs that lack it.
#pragma once

#include <cstring>

#include "kernel/kernel.h"

// Before a loop over an array of registers. GCC unrolls such loops by itself, but so late that the
// array stays in memory and every sum is stored each time it grows: up to half of a kernel's time.
#if defined(__GNUC__) && !defined(__clang__)
#define KARAT_UNROLL _Pragma("GCC unroll 16")
#else
#define KARAT_UNROLL
#endif

namespace karat::KARAT_ISA {

/// Replace the functions of `set` that this instruction set has: all but those of the other line,
/// and those that multiply 8-bit activations.
void fill_floats(KernelSet& set);
void fill_int8(KernelSet& set);

void matmul(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end);
void multiply_add(const CellBlock& b, std::int64_t k, std::int64_t rows, const float* a,
                  std::int64_t a_stride, float* c, std::int64_t c_stride);

namespace {

constexpr std::int64_t kLanes = 8;  // floats of an Eight (eight.h)
[[maybe_unused]] constexpr int kInOrder[] = {0, 1, 2, 3};

[[maybe_unused]] inline std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

}  // namespace
}  // namespace karat::KARAT_ISA
