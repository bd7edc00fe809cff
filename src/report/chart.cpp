#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/html.h"

namespace karat::report {
namespace {

constexpr double kAir = 0.08;  // of the span, at each end

std::vector<Tick> linear_ticks(const Scale& scale, int count) {
  const double span = scale.high - scale.low;
  double step = std::pow(10, std::floor(std::log10(span / count)));
  for (const double factor : {2.0, 2.5, 2.0})  // 1, 2, 5, 10
    if (span / step > count) step *= factor;
  const int places = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  std::vector<Tick> all;
  for (double i = std::ceil(scale.low / step - 1e-9); i * step <= scale.high + 1e-9 * span; ++i)
    all.push_back({i * step, fmt::format("{:.{}f}", i == 0 ? 0.0 : i * step, places)});
  return all;
}

std::vector<Tick> log_ticks(const Scale& scale, int count) {
  const double low = std::log10(scale.low), high = std::log10(scale.high);
  const std::vector<std::vector<double>> kDigits = {
      {1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 5, 7}, {1, 2, 5}, {1, 3}, {1}};
  std::vector<Tick> all;
  for (const auto& digits : kDigits) {
    all.clear();
    for (double decade = std::floor(low); decade <= high; ++decade)
      for (const double digit : digits) {
        const double value = digit * std::pow(10, decade);
        if (value >= scale.low && value <= scale.high)
          all.push_back({value, fmt::format("{:.6g}", value)});
      }
    if (static_cast<int>(all.size()) <= count) break;
  }
  const std::size_t every =
      (all.size() + static_cast<std::size_t>(count) - 1) / static_cast<std::size_t>(count);
  std::vector<Tick> kept;
  for (std::size_t i = 0; i < all.size(); i += every) kept.push_back(all[i]);
  return kept.size() >= 2 ? kept : linear_ticks(scale, count);
}

}  // namespace

double Scale::at(double value) const {
  const double share =
      log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return begin + share * (end - begin);
}

Scale scale_around(double least, double most, double begin, double end, bool log) {
  if (log) {
    const double air = std::max(std::pow(most / least, kAir), 1.15);
    return {least / air, most * air, begin, end, true};
  }
  const double air = std::max(kAir * (most - least), 1e-3 * std::max(1.0, std::abs(most)));
  return {least - air, most + air, begin, end, false};
}

std::vector<Tick> ticks(const Scale& scale, int count) {
  return scale.log ? log_ticks(scale, count) : linear_ticks(scale, count);
}

double text_width(std::string_view text) {
  const auto characters =
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
  return 6.8 * static_cast<double>(characters);
}

std::string svg(const char* kind, double width, double height, std::string_view label,
                const std::string& body) {
  return fmt::format(
      "<svg class=\"{}\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
      kind, width, height, escape(label), body);
}

std::string svg_text(double x, double y, const char* anchor, const char* kind,
                     std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n",
                     x, y, anchor, kind, escape(text));
}

std::string svg_line(const char* kind, double x1, double y1, double x2, double y2) {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind, x1,
      y1, x2, y2);
}

std::string svg_title(std::string_view text) {
  return "<title>" + escape(text) + "</title>";
}

std::string bottom_axis(const Scale& x, const Box& frame, int count, std::string_view name) {
  const double bottom = frame.y + frame.height;
  std::string drawn;
  for (const Tick& tick : ticks(x, count)) {
    drawn += svg_line("grid", x.at(tick.value), frame.y, x.at(tick.value), bottom);
    drawn += svg_text(x.at(tick.value), bottom + 17, "middle", "faint", tick.label);
  }
  return drawn + svg_text(frame.x + frame.width / 2, bottom + 38, "middle", "label", name);
}

std::string left_axis(const Scale& y, const Box& frame, int count, std::string_view name) {
  std::string drawn;
  for (const Tick& tick : ticks(y, count)) {
    drawn += svg_line("grid", frame.x, y.at(tick.value), frame.x + frame.width, y.at(tick.value));
    drawn += svg_text(frame.x - 7, y.at(tick.value) + 4, "end", "faint", tick.label);
  }
  return drawn + fmt::format(
                     "<text class=\"label\" text-anchor=\"middle\" "
                     "transform=\"translate(13 {:.1f}) rotate(-90)\">{}</text>\n",
                     frame.y + frame.height / 2, escape(name));
}

}  // namespace karat::report
