// How wide every layer's codes are, when a recipe mixes widths.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "karat/recipe.h"

namespace karat {

struct LayerWidth {
  int bits = 0;            // of a code
  double sensitivity = 0;  // Σ F·w̄² per weight, see below
};
using LayerWidths = std::map<std::string, LayerWidth>;  // by layer

/// Widths under a budget. A layer of codes of b bits is taken to cost D(b) · Σ F·w̄², with F the
/// Fisher information of each weight and w̄² the mean square of its row: a rounding error is alike
/// all over a row, and D(b) = 4^−b, 6 dB a bit. Bits go where they save most (Hessian-trace
/// allocation, HAWQ-V2, arXiv 1911.03852, with the Fisher information for the Hessian).
class WidthChooser {
 public:
  /// Takes note of a layer's weights and Fisher information. From any thread.
  void see(const Layer& layer);
  /// For every layer one of the widths; codes have at most their mean on average. None where the
  /// recipe mixes none.
  LayerWidths choose(const Widths& widths) const;

 private:
  struct Seen {
    double weights = 0, cost = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Seen> layers_;
};

}  // namespace karat
