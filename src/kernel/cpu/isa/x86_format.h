// What an x86 unit of a storage format has to offer. A format's kernels are x86_format/<name>.cpp
// with `const FormatKernels <name>_kernels`; cmake/isa.cmake makes each set's table from the file
// names, and a codec says by name which are its own (Codec::kernels).
#pragma once

#include <cstddef>
#include <cstdint>

namespace karat {

struct MatrixView;
struct KernelInput;

namespace x86 {

inline constexpr std::int64_t kRows = 16;     // read together: one block of bilevel statistics
inline constexpr std::int64_t kInputs = 256;  // 16 rows of them are 16 KiB, half an L1 cache

/// Scales and zeros of up to kGroups groups for kRows rows: [group][row]. Rows past the last have
/// finite values that nobody uses.
struct Stats {
  static constexpr std::int64_t kGroups = 256;
  alignas(32) float scale[kGroups * kRows];
  alignas(32) float zero[kGroups * kRows];
};
static_assert(kInputs <= Stats::kGroups, "groups of one input need as many statistics");

/// Weights of kRows rows and kInputs inputs as floats.
struct Tile {
  alignas(64) float w[kRows][kInputs];
  Stats stats;                  // room for a format's own
  std::int64_t outlier[kRows];  // the next outlier of each row
};

}  // namespace x86

struct FormatKernels {
  /// y of rows [row_begin, row_end) for one token, outliers included. Groups begin at whole bytes:
  /// their size is a multiple of 8, or there is only one.
  void (*one)(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
              std::int64_t row_end);
  /// `rows` rows from `row` and inputs [begin, end) of W, without outliers, to tile.w; `begin` is a
  /// multiple of kInputs, and `end` that or the row's.
  void (*unpack)(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                 std::int64_t end, x86::Tile& tile);
};

}  // namespace karat
