// How sensitivities are spread: one dot a tensor, what `karat measure --json` printed, and
// what karat_report.json says of a model with mixed widths.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/chart.h"
#include "report/html.h"
#include "report/layer_name.h"
#include "report/sections.h"

namespace karat::report {
namespace {

struct Spread {
  const char *key, *name;
  bool log;
  double factor;
};
constexpr Spread kSpreads[] = {
    {"mean", "mean sensitivity of a weight", true, 1},
    {"sensitivity", "mean sensitivity of a weight, by which widths were chosen", true, 1},
    {"top_1_percent_share", "% of the sum that the top 1 % of the weights hold", false, 100}};

struct Strip {
  std::string kind;
  std::vector<std::pair<double, std::string>> values;  // with the tensor's name
};

std::vector<Strip> strips(const nlohmann::json& report, const Spread& spread) {
  std::vector<Strip> all;
  for (const auto* tensor : objects(report, {"tensors"})) {
    const std::string name = text(*tensor, {"name"});
    const auto value = number(*tensor, {spread.key});
    if (!value || (spread.log && *value <= 0)) continue;
    const std::string kind = split_layer_name(name).kind;
    auto strip =
        std::find_if(all.begin(), all.end(), [&](const Strip& s) { return s.kind == kind; });
    if (strip == all.end()) strip = all.insert(all.end(), {kind, {}});
    strip->values.emplace_back(*value * spread.factor, name);
  }
  for (Strip& strip : all) std::sort(strip.values.begin(), strip.values.end());
  return all;
}

std::string dots(const Strip& strip, const Scale& x, double y) {
  std::string drawn;
  for (const auto& [value, name] : strip.values)
    drawn +=
        fmt::format("<circle class=\"dot\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\">{}</circle>\n",
                    x.at(value), y, svg_title(fmt::format("{}: {}", name, short_number(value))));
  const double middle = strip.values[strip.values.size() / 2].first;
  return drawn + svg_line("middle", x.at(middle), y - 8, x.at(middle), y + 8);
}

std::string strip_chart(const char* kind, double width, const std::vector<Strip>& all,
                        const Spread& spread, bool narrow) {
  constexpr double kStrip = 24;
  double least = INFINITY, most = -INFINITY, left = 10;
  for (const Strip& strip : all) {
    least = std::min(least, strip.values.front().first);
    most = std::max(most, strip.values.back().first);
    left = std::max(left, text_width(narrow ? short_kind(strip.kind) : strip.kind) + 12);
  }
  const Box frame{left, 6, width - left - 12, kStrip * static_cast<double>(all.size())};
  const Scale x = scale_around(least, most, frame.x, frame.x + frame.width, spread.log);
  std::string body = bottom_axis(x, frame, narrow ? 4 : 8, spread.name);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double y = frame.y + kStrip * (static_cast<double>(i) + 0.5);
    body += svg_text(frame.x - 6, y + 4, "end", "faint",
                     narrow ? short_kind(all[i].kind) : all[i].kind);
    body += svg_line("grid", frame.x, y, frame.x + frame.width, y) + dots(all[i], x, y);
  }
  return svg(kind, width, frame.y + frame.height + 46, spread.name, body);
}

/// Empty when no tensor of the report has a sensitivity.
std::string spreads_html(const std::string& title, const nlohmann::json& report) {
  std::string html;
  for (const Spread& spread : kSpreads) {
    const auto all = strips(report, spread);
    if (all.empty()) continue;
    html += figure(strip_chart("wide", 800, all, spread, false),
                   strip_chart("narrow", 360, all, spread, true),
                   "One dot a tensor, a bar at the median of its kind.");
  }
  return html.empty() ? html : fmt::format("<h3>{}</h3>\n{}", escape(title), html);
}

}  // namespace

std::string sensitivity_section(const ReportData& data) {
  std::string html;
  for (const SourceFile* file : data.of_kind(SourceFile::Kind::measure))
    html += spreads_html(fmt::format("{}, metric {}", model_name(data, file->json, {"model"}),
                                     text(file->json, {"metric"})),
                         file->json);
  for (const ModelFolder& model : data.models)
    if (model.quantize != nullptr) html += spreads_html(model.name, *model.quantize);
  return section("Sensitivities",
                 "The more unequal they are, the more is won by keeping few weights at FP16.",
                 html);
}

}  // namespace karat::report
