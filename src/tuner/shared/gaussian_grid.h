// Grids whose values are best for numbers of a normal distribution, so that a row needs its RMS
// alone to be rounded (QuEST, arXiv 2502.05003).
#pragma once

#include "karat/torch.h"

namespace karat {

/// A symmetric grid in units of a row's RMS σ.
struct GaussianGrid {
  std::int64_t bits = 4;
  bool e2m1 = false;  // ±{0, ½, 1, 1½, 2, 3, 4, 6}, else 2^bits values one step apart, without zero
  double clip = 0;      // the outermost value: of least mean-square error for N(0, 1)
  double half_gap = 0;  // half the widest gap: no rounding error inside the grid is larger
  double reach = 0;     // |x| that is trusted, clip + half_gap unless an outer factor says less
};
/// Of 1 to 8 bits. `trust`, above 0: the reach as a multiple of the clip value (1.3 at one bit,
/// where half a step is as large as the clip value itself and would trust too much).
GaussianGrid gaussian_grid(std::int64_t bits, double trust = 0);
GaussianGrid gaussian_e2m1_grid();

/// The step of each of rows x [rows, n] of a uniform grid, σ being the RMS of the whole row: [rows,
/// 1].
torch::Tensor gaussian_steps(const torch::Tensor& x, const GaussianGrid& grid);

/// x rounded, and which entries a gradient trusts.
struct GaussianRounded {
  torch::Tensor value, trusted;
};
/// The nearest values for rows x [rows, n], σ being the RMS of the whole row, and the trust mask
/// |x| ≤ reach·σ (Bool). With `sparse`, of each eight consecutive entries, as four pairs, the two
/// pairs of smallest norm become 0, of which those with |x| ≤ half_gap·σ are trusted; of equal
/// norms the later goes. No gradient: it belongs under pass_where().
GaussianRounded round_gaussian(const torch::Tensor& x, const GaussianGrid& grid,
                               bool sparse = false);

}  // namespace karat
