// What one row costs under one line after another, for fits that try many.
#pragma once

#include <array>
#include <span>

#include "grid/affine/affine.h"
#include "grid/shared/steps.h"

namespace karat {

/// ŵ = scale·(level − zero).
struct Line {
  double scale = 0, zero = 0;
};

/// Σ cost·(ŵ − w)², each weight w [n] at its nearest value ŵ on a line.
class LineError {
 public:
  static constexpr std::size_t kLanes = 4;  // of an SSE or NEON register
  /// All three must outlive this.
  LineError(const Levels& levels, std::span<const float> weight, std::span<const float> cost);
  LineError(const LineError&) = delete;
  LineError& operator=(const LineError&) = delete;
  /// Of several lines, at most kLanes; infinite for one that is none: no scale above 0.
  std::array<double, kLanes> of(std::span<const Line> lines);
  double of(const Line& line) { return of({&line, 1})[0]; }
  /// The line of least error for the codes under `line`: a regression of the weights on their
  /// levels. Not finite where these are all alike.
  Line regress(const Line& line);

 private:
  /// Σ cost·x for the products x of weights w and levels v.
  struct Moments {
    double one = 0, w = 0, ww = 0, v = 0, vv = 0, vw = 0;
    void add(double weight, double level, double cost) {
      one += cost, w += cost * weight, ww += cost * weight * weight;
      v += cost * level, vv += cost * level * level, vw += cost * level * weight;
    }
  };
  std::array<double, kLanes> even(std::span<const Line> lines) const;  // levels 0, 1, 2, …
  Moments even_moments(const Line& line) const;
  Moments moments(const Line& line);

  const Levels& levels_;
  std::span<const float> weight_, cost_;
  std::vector<Moments> before_;  // other levels: of the first numbers in order, without levels
  Steps steps_;
};

}  // namespace karat
