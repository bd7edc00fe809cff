// The search for a closed stream of codes whose values come closest to given numbers (QTIP, arXiv
// 2406.11235; format/codec/trellis/stream.h says what a stream is).
#pragma once

#include <vector>

#include "format/codec/trellis/stream.h"

namespace karat {

class Viterbi {
 public:
  /// The codes found are the same however many states are looked at together (`most_lanes`, as far
  /// as this CPU goes).
  Viterbi(TrellisCode code, int bits, int most_lanes = 16);

  /// Codes [n] for x [n], n >= 1. Two passes: the first, from the middle to the middle, finds the
  /// bits that end and beginning have to share; the second has them fixed. Of streams of at most 16
  /// bits all are tried; up to some 64 bits two passes leave more error than there need be.
  void encode(const float* x, std::int64_t n, std::uint8_t* codes);

  /// The best stream of n codes, n·bits >= L − bits, whose last and first states share `seam`, the
  /// lower L − bits bits of the first one (L: value_bits of the code); any beginning and any end if
  /// it is kFree. Returns the bits that state number `at` shares with the one before it; n: what
  /// the last one leaves over.
  static constexpr int kFree = -1;
  unsigned search(const float* x, std::int64_t n, int seam, std::int64_t at, std::uint8_t* codes);

 private:
  void search_all(const float* x, std::int64_t n, std::uint8_t* codes) const;

  int bits_, seam_bits_;        // of a code; that a state shares with the next
  int width_;                   // states that a step handles together
  const float* values_;         // [2^16]
  std::vector<float> ordered_;  // of the states, in the order that a step meets them
  std::vector<float> costs_;    // [n + 1, 2^seam_bits]: of the best path to each seam
};

}  // namespace karat
