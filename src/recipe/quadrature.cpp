#include "recipe/quadrature.h"

#include "karat/error.h"

namespace karat {
namespace {

/// `points` points, `step` apart from `begin` on, of one weight.
std::vector<PathNode> evenly(std::int64_t points, double begin, double step, double weight) {
  std::vector<PathNode> nodes;
  for (std::int64_t i = 0; i < points; ++i)
    nodes.push_back({begin + step * static_cast<double>(i), weight});
  nodes.back().at = std::min(nodes.back().at, 1.0);
  return nodes;
}

}  // namespace

const std::vector<std::string>& quadrature_rules() {
  static const std::vector<std::string> rules = {"midpoint", "mean_endpoints", "trapezoid", "left",
                                                 "right"};
  return rules;
}

std::vector<PathNode> path_nodes(const std::string& rule, std::int64_t count) {
  const std::int64_t least = rule == "mean_endpoints" ? 2 : 1;
  if (count < least)
    fail("quadrature " + rule, std::to_string(count) + " nodes",
         "at least " + std::to_string(least));
  const double width = 1 / static_cast<double>(count);
  if (rule == "midpoint") return evenly(count, width / 2, width, width);
  if (rule == "left") return evenly(count, 0, width, width);
  if (rule == "right") return evenly(count, width, width, width);
  if (rule == "mean_endpoints") return evenly(count, 0, 1 / static_cast<double>(count - 1), width);
  if (rule != "trapezoid") fail("quadrature", rule, list_text(quadrature_rules()));
  std::vector<PathNode> nodes = evenly(count + 1, 0, width, width);
  nodes.front().weight = nodes.back().weight = width / 2;
  return nodes;
}

}  // namespace karat
