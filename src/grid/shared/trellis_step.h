// One weight of the search through a trellis: the step from the costs of all seams to the next, on
// vector registers as wide as the CPU has.
#pragma once

#include <algorithm>
#include <cstdint>

namespace karat {

/// Numbers in a vector register of a step: 4, 8 or 16, at most `most`.
int step_width(int most);

/// to[seam] = least of from[s mod seams] + (x − value[s])² over the states s that end in it,
/// s = seam·2^bits + choice. `values` are in the order of for_states.
using TrellisStep = void (*)(int bits, std::int64_t seams, const float* from, const float* values,
                             float x, float* to);
TrellisStep step_of(int width);

/// Registers of best costs that a step holds: with few seams a block they hold several blocks each,
/// and then the costs before are read once for all.
inline constexpr int kStepRegisters = 8;

/// Calls body(seam, choice) in the order that a step meets the states seam·2^bits + choice. Seams
/// seam + block·share have the same predecessors; as many of them go together as a register holds,
/// and where they are fewer, those of the next blocks with them.
void for_states(int bits, std::int64_t seams, int width, const auto& body) {
  const std::int64_t choices = std::int64_t{1} << bits, share = seams / choices;
  const std::int64_t lanes = std::min<std::int64_t>(share, width), blocks = width / lanes;
  const std::int64_t together = blocks * (share < width ? kStepRegisters : 1);
  for (std::int64_t first = 0; first < share; first += lanes)
    for (std::int64_t block = 0; block < choices; block += together)
      for (std::int64_t choice = 0; choice < choices; ++choice)
        for (std::int64_t i = 0; i < together * lanes; ++i)
          body((block + i / lanes) * share + first + i % lanes, choice);
}

}  // namespace karat
