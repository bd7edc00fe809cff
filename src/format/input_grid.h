// How a layer's inputs are rounded before they are multiplied: token by token, to the levels of
// core/levels.h, whose step follows from the token alone. One is src/format/input_grid/<name>.cpp
// with `const InputGrid& <name>_inputs()`, found by its file name; a layout names it
// (docs/format.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace karat {

struct InputGrid {
  /// The step for x [n] at 1 to 8 bits, above 0; not finite where an x is not.
  float (*step)(const float* x, std::int64_t n, int bits) = nullptr;
};
inline constexpr float kLeastStep = 1e-8f;  // a token of zeros has a step too

/// By name. Written by cmake/registry.cmake.
const std::map<std::string, const InputGrid& (*)()>& input_grid_table();
/// Throws, beginning with `where`, when there is none of that name.
const InputGrid& find_input_grid(const std::string& where, const std::string& name);

}  // namespace karat
