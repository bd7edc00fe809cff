// Grounding: is the box that a model wrote the one that was meant (RefCOCO's accuracy)?
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "task/definition.h"

namespace karat {

/// Left, top, right, bottom, in pixels of the picture.
using Box = std::array<double, 4>;

/// The first box written in `text`, for a picture of that size; nothing when there is none:
///   <box>(x1,y1),(x2,y2)</box>, <|box_start|>…<|box_end|>   Qwen-VL, Qwen2-VL: thousandths
///   {"bbox_2d": [x1, y1, x2, y2]}, also inside lists and ```json  Qwen2.5-VL pixels, Qwen3-VL
///                                                           thousandths: rules.thousandths says
///   (x1,y1),(x2,y2) and [x1, y1, x2, y2] alone              as rules.thousandths says
std::optional<Box> find_box(std::string_view text, const BoxRules& rules, double width,
                            double height);

/// Area of the intersection over that of the union; 0 for boxes without area.
double intersection_over_union(const Box& a, const Box& b);

}  // namespace karat
