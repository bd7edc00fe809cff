// The search for a closed stream of codes whose values come closest to given numbers (QTIP, arXiv
// 2406.11235; format/codec/trellis/stream.h says what a stream is).
#pragma once

#include "format/codec/trellis/stream.h"
#include "grid/shared/trellis_search.h"

namespace karat {

class Viterbi {
 public:
  Viterbi(TrellisCode code, int bits, int most_lanes = 16)
      : search_(trellis_values(code), value_bits(code), bits, most_lanes) {}

  /// Codes [n] for x [n], n >= 1. Two passes: the first, from the middle to the middle, finds the
  /// bits that end and beginning have to share; the second has them fixed. Of streams of at most 16
  /// bits all are tried; up to some 64 bits two passes leave more error than there need be.
  void encode(const float* x, std::int64_t n, std::uint8_t* codes);

  /// The best stream of n codes, n·bits >= L − bits, whose last and first states share `seam`, the
  /// lower L − bits bits of the first one (L: value_bits of the code); any beginning and any end if
  /// it is kFree. TrellisSearch says what is returned.
  static constexpr int kFree = TrellisSearch::kFree;
  unsigned search(const float* x, std::int64_t n, int seam, std::int64_t at, std::uint8_t* codes) {
    return search_.search(x, n, seam, seam, at, codes);
  }

 private:
  void search_all(const float* x, std::int64_t n, std::uint8_t* codes) const;

  TrellisSearch search_;
};

}  // namespace karat
