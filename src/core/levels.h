// Rounding rows of numbers to few levels without a zero ("mid-rise"): 2^bits of them, one step
// apart, around 0. What is added up here is so in one order on every CPU.
#pragma once

#include <cstdint>

namespace karat {

/// Σ x²; not finite where an x is not.
float square_sum(const float* x, std::int64_t n);
/// The largest |x|; not finite where an x is not.
float largest_magnitude(const float* x, std::int64_t n);

/// The level nearest to x in half steps, an odd number: 2·clip(⌊x / step⌋, −2^(bits−1), 2^(bits−1)
/// − 1) + 1. Halfway between two it is the upper one. step is finite and above 0.
float odd_level(float x, float step, int bits);
/// The same for x [n], which finite numbers are, in place.
void odd_levels(float* x, std::int64_t n, float step, int bits);

/// The outermost of 2^bits levels whose mean-square error for N(0, 1) is least, for 1 to 8 bits
/// (QuEST, arXiv 2502.05003).
double gaussian_clip(std::int64_t bits);

}  // namespace karat
