// How wide the codes of every part are, when a recipe mixes widths.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "karat/recipe.h"

namespace karat {

struct LayerWidth {
  int bits = 0;            // of a code
  double sensitivity = 0;  // Sensitivity::cost of a weight
  double loss = 0;         // expected, nats a token
};
using LayerWidths = std::map<std::string, LayerWidth>;  // by layer, ends among them

/// One way to store a part.
struct WidthChoice {
  int bits = 0;
  std::int64_t price = 0;
  double loss = 0;
};
using WidthChoices = std::map<std::string, std::vector<WidthChoice>>;  // by part; prices ascend

/// Of each part one of its choices, by bits: prices add up to at most `most`, losses to as little
/// as can be (a knapsack, solved in steps of 2^-16 of what there is to give away). The first of
/// each must be within `most`.
std::map<std::string, int> least_loss(const WidthChoices& choices, std::int64_t most);

}  // namespace karat
