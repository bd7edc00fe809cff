// Scales, ticks and marks of inline SVG. Lengths are in pixels of the drawing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace karat::report {

/// Values to pixels; on a logarithmic scale `low` and `high` are above 0.
struct Scale {
  double low = 0, high = 1, begin = 0, end = 1;
  bool log = false;
  double at(double value) const;
};
/// Low and high with some air around values from `least` to `most`.
Scale scale_around(double least, double most, double begin, double end, bool log);

struct Tick {
  double value;
  std::string label;
};
/// At most `count` round values, at least two where the scale allows.
std::vector<Tick> ticks(const Scale& scale, int count);

struct Box {
  double x, y, width, height;
  bool meets(const Box& other) const {
    return x < other.x + other.width && other.x < x + width && y < other.y + other.height &&
           other.y < y + height;
  }
  bool inside(const Box& frame) const {
    return x >= frame.x && y >= frame.y && x + width <= frame.x + frame.width &&
           y + height <= frame.y + frame.height;
  }
};
double text_width(std::string_view text);  // of the charts' font, nearly; UTF-8

std::string svg(const char* kind, double width, double height, std::string_view label,
                const std::string& body);
std::string svg_text(double x, double y, const char* anchor, const char* kind,
                     std::string_view text);
std::string svg_line(const char* kind, double x1, double y1, double x2, double y2);
std::string svg_title(std::string_view text);

/// Grid lines, tick labels and the axis' name below a frame, or at its left.
std::string bottom_axis(const Scale& x, const Box& frame, int count, std::string_view name);
std::string left_axis(const Scale& y, const Box& frame, int count, std::string_view name);

}  // namespace karat::report
