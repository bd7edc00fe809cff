// The search for a closed stream of codes whose values come closest to given numbers (QTIP, arXiv
// 2406.11235; format/codec/trellis/stream.h says what a stream is).
#pragma once

#include "format/codec/trellis/stream.h"
#include "grid/shared/closed_search.h"

namespace karat {

class Viterbi : public ClosedSearch {
 public:
  Viterbi(TrellisCode code, int bits, int most_lanes = 16)
      : ClosedSearch(trellis_values(code), value_bits(code), bits, most_lanes) {}
};

}  // namespace karat
