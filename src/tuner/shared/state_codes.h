// Optimizer states in a few bits (SOLO, arXiv 2505.00347): codes of blocks of 128 numbers and what
// a block's codes stand for. Roundings are drawn, so that what is added in steps below the distance
// of two values is not swallowed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"
#include "karat/options.h"
#include "karat/torch.h"

namespace karat {

inline constexpr std::int64_t kStateBlock = 128;

/// Codes of `bits` bits one after the other, the first in the lowest bits of its byte, U8
/// [ceil(n · bits / 8)], and back.
torch::Tensor packed_codes(std::span<const std::uint8_t> codes, int bits);
std::vector<std::uint8_t> unpacked_codes(const torch::Tensor& packed, std::int64_t n, int bits);

/// How a code is taken between two values: the nearer one, or by a draw.
enum class StateRounding : std::uint8_t { nearest, stochastic };
/// Option `rounding`: of the numbers that `what` names.
StateRounding state_rounding(Options& options, StateRounding otherwise, const std::string& what);

/// A tensor in few bits. `stats` F32 [blocks, 1]: a block's extreme; with a logarithmic grid
/// [blocks, 2], its largest number and the ratio of neighbouring values.
struct StateCodes {
  torch::Tensor codes, stats;
};

/// The dynamic exponent map (Dettmers 2015, arXiv 1511.04561) of 2 to 8 bits, ascending: 0, 1, and
/// for each e < bits − 1 the 2^e middles of equal parts of 0.1 … 1, times 10^(e − bits + 2), with
/// both signs. In units of a block's entry of largest magnitude, sign included.
std::vector<double> dynamic_exponent_map(int bits);
StateCodes encode_signed(const torch::Tensor& x, int bits, StateRounding rounding, Rng draws);
/// F32 of the shape `like` has.
torch::Tensor decode_signed(const StateCodes& state, int bits, const torch::Tensor& like);

/// Numbers ≥ 0 as Δ · a^k, k = 0 … 2^bits − 1, Δ being a block's largest number: a^(2^bits − 1) is
/// the `quantile` of its numbers above 0, over Δ, so that multiplying by β < 1 moves every code by
/// log β / log a. k is right in the mean between the ends; what is below them, 0 too, has the last
/// code, since a second moment that is too large does no harm.
StateCodes encode_unsigned(const torch::Tensor& x, int bits, double quantile,
                           StateRounding rounding, Rng draws);
torch::Tensor decode_unsigned(const StateCodes& state, int bits, const torch::Tensor& like);

}  // namespace karat
