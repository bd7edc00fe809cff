// What memory will be requested next; data alone, for units of one instruction set include it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace karat {

/// Rows of up to kMost matrices that a later call will read: pieces of `grain` rows, those of the
/// first matrix first, as parallel_for(pieces, 1, …) cuts them.
struct Upcoming {
  struct Rows {
    const std::byte* data = nullptr;  // [count, bytes]
    std::int64_t count = 0, bytes = 0;
  };
  static constexpr int kMost = 3;
  Rows rows[kMost];
  std::int64_t grain = 1;
};

}  // namespace karat
