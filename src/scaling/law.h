// The law as a function of parameters that may be any number, and the descent that fits them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace karat {

/// A loss to explain. Sizes are logarithms over the middle of all, so that parameters lie apart.
struct LawPoint {
  double log_size = 0, log_tokens = 0, loss = 0;
  std::size_t kind = 0;      // 0: without quantizer
  std::size_t constant = 0;  // which of the constants is added
};

/// Which parameters there are, in this order: log a, b, then log c, d with `data`, then the
/// logarithm of each constant unless it is known, then log eff of kinds 1, 2, ….
struct LawShape {
  bool data = false;
  std::optional<double> floor;  // the constant, where it is known
  std::size_t constants = 1, kinds = 1;

  std::size_t parameters() const;
  std::size_t first_constant() const { return data ? 4 : 2; }
  std::size_t first_kind() const { return first_constant() + (floor ? 0 : constants); }
  std::string name(std::size_t parameter) const;
};

using LawParameters = std::vector<double>;
double predicted_loss(const LawShape& shape, const LawParameters& p, const LawPoint& point);

struct LawFit {
  LawParameters parameters;
  double error = 0;  // Huber's, of log losses
};
/// Levenberg–Marquardt under Huber weights, from `start`.
LawFit descend_law(const LawShape& shape, const std::vector<LawPoint>& points,
                   const LawParameters& start);

/// The parameters that the points do not tell from those before them, at `p`.
std::vector<std::size_t> undetermined(const LawShape& shape, const std::vector<LawPoint>& points,
                                      const LawParameters& p);

}  // namespace karat
