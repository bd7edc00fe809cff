// KL over bits per weight as an inline SVG: linear in bits, logarithmic in KL.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/views.h"
#include "report/chart.h"
#include "report/html.h"

namespace karat {
namespace {

constexpr double kWidth = 800, kHeight = 440;
constexpr double kLeft = 76, kRight = 784, kTop = 16, kBottom = 384;  // of the frame
constexpr double kLetter = 6.6, kLine = 13;                           // of a label, pixels
constexpr double kLeast = 1e-9;                                       // KL that a log axis can show

using report::Box;
using report::Scale;
using report::svg_line;
using report::svg_text;

struct Point {
  const CompareRow* row;
  double x, y, y_low, y_high;  // pixels; the bar spans the KL's error
};

double log_kl(double kl) {
  return std::log10(std::max(kl, kLeast));
}
/// Over seeds where there are some, else over tokens.
double error_of(const CompareRow& row) {
  return row.kl().deviation.value_or(row.kl_error());
}

Scale padded(double low, double high, double least, double begin, double end) {
  const double middle = (low + high) / 2, half = std::max(high - low, least) / 2 * 1.16;
  return {middle - half, middle + half, begin, end};
}

std::vector<const CompareRow*> drawn_rows(const CompareReport& report) {
  std::vector<const CompareRow*> rows;
  for (const CompareRow& row : report.rows)
    if (row.kind != CompareRow::Kind::original && std::isfinite(row.kl().mean))
      rows.push_back(&row);
  return rows;
}

std::string bits_axis(const Scale& x) {
  double step = 0.01;
  for (const double larger : {0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0})
    if ((x.high - x.low) / step > 8) step = larger;
  std::string svg;
  for (double tick = std::ceil(x.low / step) * step; tick <= x.high; tick += step) {
    svg += svg_line("grid", x.at(tick), kTop, x.at(tick), kBottom);
    svg += svg_text(x.at(tick), kBottom + 18, "middle", "faint",
                    fmt::format("{:.{}f}", tick, step < 0.1 ? 2 : 1));
  }
  return svg + svg_text((kLeft + kRight) / 2, kHeight - 12, "middle", "label",
                        "bits per weight of the linear layers");
}

std::string kl_axis(const Scale& y) {
  std::string svg;
  for (double decade = std::floor(y.low); decade <= y.high; ++decade)
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double tick = decade + std::log10(digit);
      if (tick < y.low || tick > y.high) continue;
      svg += svg_line("grid", kLeft, y.at(tick), kRight, y.at(tick));
      svg += svg_text(kLeft - 8, y.at(tick) + 4, "end", "faint",
                      fmt::format("{:.6g}", digit * std::pow(10, decade)));
    }
  const double middle = (kTop + kBottom) / 2;
  return svg + fmt::format(
                   "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(16 "
                   "{:.1f}) rotate(-90)\">KL from the original, nats per token</text>\n",
                   middle);
}

/// Dashed, through plain rounding of each size: what a method has to lie below.
std::string uniform_curve(std::vector<Point> points) {
  std::erase_if(points, [](const Point& point) { return !point.row->uniform.empty(); });
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.x < b.x; });
  std::string path;
  for (const Point& point : points)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", point.x, point.y);
  return points.size() < 2 ? "" : fmt::format("<path class=\"curve\" d=\"{}\"/>\n", path);
}

std::string marker(const Point& point) {
  const bool plain = point.row->uniform.empty();
  const char* kind = plain ? "uniform" : "method";
  std::string svg = svg_line(kind, point.x, point.y_low, point.x, point.y_high);
  const CompareRow& row = *point.row;
  return svg + fmt::format(
                   "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\"><title>{}: {:.3f} "
                   "bits, KL {:.5f}</title></circle>\n",
                   kind, point.x, point.y, report::escape(row.name), row.bits().mean,
                   row.kl().mean);
}

/// Where a label goes: beside its point if that is free, else up or down from there.
Box place(const Point& point, double width, const std::vector<Box>& taken) {
  const Box first{point.x + 9, point.y - kLine / 2, width, kLine};
  for (int step = 0; step < 12; ++step)
    for (const double sign : {-1.0, 1.0})
      for (const double x : {point.x + 9, point.x - 9 - width}) {
        const Box box{x, first.y + sign * step * kLine * 0.75, width, kLine};
        const bool inside =
            box.x > kLeft && box.x + width < kRight && box.y > kTop && box.y + kLine < kBottom;
        if (inside && std::none_of(taken.begin(), taken.end(),
                                   [&](const Box& other) { return box.meets(other); }))
          return box;
      }
  return first;
}

std::string labels(const std::vector<Point>& points) {
  std::vector<Box> taken;
  for (const Point& point : points) taken.push_back({point.x - 5, point.y - 5, 10, 10});
  std::string svg;
  for (const Point& point : points) {
    const std::string& name = point.row->name;
    const Box box = place(point, kLetter * static_cast<double>(name.size()), taken);
    taken.push_back(box);
    const double middle = box.y + kLine / 2;
    const bool left = box.x < point.x;
    if (std::abs(middle - point.y) > 1)
      svg += svg_line("lead", point.x, point.y, left ? box.x + box.width : box.x, middle);
    svg += svg_text(left ? box.x + box.width : box.x, middle + 4, left ? "end" : "start", "label",
                    name);
  }
  return svg;
}

}  // namespace

std::string compare_plot(const CompareReport& report) {
  const std::vector<const CompareRow*> rows = drawn_rows(report);
  if (rows.empty()) return {};
  double low = 1e9, high = -1e9, least = 1e9, most = -1e9;
  for (const CompareRow* row : rows) {
    low = std::min(low, row->bits().mean);
    high = std::max(high, row->bits().mean);
    least = std::min(least, log_kl(row->kl().mean));
    most = std::max(most, log_kl(row->kl().mean));
  }
  const Scale x = padded(low, high, 0.1, kLeft, kRight);
  const Scale y = padded(least, most, 0.6, kBottom, kTop);
  std::vector<Point> points;
  const auto inside = [&](double kl) { return std::clamp(y.at(log_kl(kl)), kTop, kBottom); };
  for (const CompareRow* row : rows) {
    const double kl = row->kl().mean, error = error_of(*row);
    points.push_back(
        {row, x.at(row->bits().mean), y.at(log_kl(kl)), inside(kl - error), inside(kl + error)});
  }
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"KL over bits per weight\">\n", kWidth,
      kHeight);
  svg += bits_axis(x) + kl_axis(y);
  svg += fmt::format("<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                     kLeft, kTop, kRight - kLeft, kBottom - kTop);
  svg += uniform_curve(points);
  for (const Point& point : points) svg += marker(point);
  return svg + labels(points) + "</svg>\n";
}

}  // namespace karat
