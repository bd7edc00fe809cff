// The search for the codes whose values come closest to given numbers, where a value depends on a
// code and on those after it (Viterbi's algorithm).
#pragma once

#include <cstdint>
#include <vector>

namespace karat {

class TrellisSearch {
 public:
  /// State s of a code is the code and, in higher bits, those after it, as many as make
  /// `state_bits`; `values` [2^state_bits] outlive the search. The codes found are the same however
  /// many states are looked at together (`most_lanes`, as far as this CPU goes).
  TrellisSearch(const float* values, int state_bits, int bits, int most_lanes = 16);

  /// Codes [n] for x [n], n >= 1: of the paths whose first state has `first` in its lower
  /// state_bits − bits bits and whose last one has `last` in its upper ones, the best. Either may
  /// be kFree. Returns the bits that state number `at` shares with the one before it; n: what the
  /// last one leaves over.
  static constexpr int kFree = -1;
  unsigned search(const float* x, std::int64_t n, int first, int last, std::int64_t at,
                  std::uint8_t* codes);

  int bits() const { return bits_; }
  int seam_bits() const { return seam_bits_; }
  const float* values() const { return values_; }

 private:
  int bits_, seam_bits_;        // of a code; that a state shares with the next
  int width_;                   // states that a step handles together
  const float* values_;         // [2^state_bits]
  std::vector<float> ordered_;  // of the states, in the order that a step meets them
  std::vector<float> costs_;    // [n + 1, 2^seam_bits]: of the best path to each seam
};

}  // namespace karat
