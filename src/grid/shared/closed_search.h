// The search for a closed sequence of codes: after the last comes the first.
#pragma once

#include "grid/shared/trellis_search.h"

namespace karat {

class ClosedSearch {
 public:
  /// See TrellisSearch; states have at most 16 bits.
  ClosedSearch(const float* values, int state_bits, int bits, int most_lanes = 16)
      : search_(values, state_bits, bits, most_lanes) {}

  /// Codes [n] for x [n], n >= 1. Two passes: the first, from the middle to the middle, finds the
  /// bits that end and beginning have to share; the second has them fixed. Of sequences of at most
  /// 16 bits all are tried; up to some 64 bits two passes leave more error than there need be.
  void encode(const float* x, std::int64_t n, std::uint8_t* codes);

  /// The best sequence of n codes, n·bits >= L − bits, whose last and first states share `seam`,
  /// the lower L − bits bits of the first one (L: state_bits); any beginning and any end if it is
  /// kFree. TrellisSearch says what is returned.
  static constexpr int kFree = TrellisSearch::kFree;
  unsigned search(const float* x, std::int64_t n, int seam, std::int64_t at, std::uint8_t* codes) {
    return search_.search(x, n, seam, seam, at, codes);
  }

 private:
  void search_all(const float* x, std::int64_t n, std::uint8_t* codes) const;

  TrellisSearch search_;
};

}  // namespace karat
