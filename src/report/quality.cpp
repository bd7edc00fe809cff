// Quality over size: one plot for each text and convention, since numbers of two do not compare.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/chart.h"
#include "report/html.h"
#include "report/sections.h"

namespace karat::report {
namespace {

using Group = std::vector<const Measurement*>;
constexpr double kMark = 5, kLetterHeight = 13;
constexpr double kWideRange = 3;  // of sizes: beyond it their axis is logarithmic

struct Quantity {
  const char *name, *unit;
  std::optional<Estimate> Measurement::*value;
  bool log;
};
constexpr Quantity kQuantities[] = {
    {"KL from the original", "nats per token", &Measurement::kl, true},
    {"Perplexity", "exp(nats per token)", &Measurement::perplexity, false}};

/// A measurement on the drawing.
struct Mark {
  const Measurement* of;
  std::string label;
  double x, y, low, high;  // low, high: ends of the error bar
};

std::string shape(const Mark& mark) {
  const Measurement& m = *mark.of;
  const char* kind = m.kind == Measurement::Kind::original ? "original"
                     : m.kind == Measurement::Kind::plain  ? "plain"
                                                           : "method";
  std::string drawn = svg_line(kind, mark.x, mark.low, mark.x, mark.high);
  for (const double end : {mark.low, mark.high})
    drawn += svg_line(kind, mark.x - 4, end, mark.x + 4, end);
  const std::string title = svg_title(
      fmt::format("{}: {} bits per weight, perplexity {}{}", m.name, short_number(*m.bits),
                  m.perplexity ? with_error(m.perplexity->value, m.perplexity->error) : "unknown",
                  m.kl ? ", KL " + with_error(m.kl->value, m.kl->error) : ""));
  if (m.kind == Measurement::Kind::plain)
    return drawn + fmt::format(
                       "<rect class=\"plain\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" "
                       "height=\"{}\">{}</rect>\n",
                       mark.x - kMark + 0.5, mark.y - kMark + 0.5, 2 * kMark - 1, 2 * kMark - 1,
                       title);
  if (m.kind == Measurement::Kind::original)
    return drawn + fmt::format(
                       "<path class=\"original\" d=\"M{0:.1f} {2:.1f} L{3:.1f} {1:.1f} "
                       "L{0:.1f} {4:.1f} L{5:.1f} {1:.1f} Z\">{6}</path>\n",
                       mark.x, mark.y, mark.y - kMark - 1, mark.x + kMark + 1, mark.y + kMark + 1,
                       mark.x - kMark - 1, title);
  return drawn + fmt::format(
                     "<circle class=\"method\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\">{}"
                     "</circle>\n",
                     mark.x, mark.y, kMark - 0.5, title);
}

/// The nearest free place for a label around its mark, or nothing where all is taken.
std::optional<Box> free_place(const Mark& mark, const Box& frame, const std::vector<Box>& taken) {
  const double width = text_width(mark.label);
  for (int ring = 0; ring < 16; ++ring)
    for (const double up : {-1.0, 1.0})
      for (const double x : {mark.x + kMark + 5, mark.x - kMark - 5 - width, mark.x - width / 2}) {
        const bool above = x == mark.x - width / 2;  // not over the mark itself
        const double shift = ring * 0.7 * kLetterHeight + (above ? kMark + kLetterHeight : 0);
        const Box box{x, mark.y - kLetterHeight / 2 + up * shift, width, kLetterHeight};
        if (box.inside(frame) && std::none_of(taken.begin(), taken.end(),
                                              [&](const Box& other) { return box.meets(other); }))
          return box;
      }
  return {};
}

std::string mark_labels(const std::vector<Mark>& marks, const Box& frame) {
  std::vector<Box> taken;
  for (const Mark& mark : marks) {
    taken.push_back({mark.x - kMark - 2, mark.y - kMark - 2, 2 * kMark + 4, 2 * kMark + 4});
    taken.push_back({mark.x - 4, mark.high, 8, mark.low - mark.high});
  }
  std::string drawn;
  for (const Mark& mark : marks) {
    const auto box = free_place(mark, frame, taken);
    if (!box) continue;  // its number stands in the table below, and its title in the mark
    taken.push_back(*box);
    const double middle = box->y + kLetterHeight / 2;
    const double near = std::clamp(mark.x, box->x, box->x + box->width);
    if (std::hypot(near - mark.x, middle - mark.y) > 2 * kLetterHeight)
      drawn += svg_line("lead", mark.x, mark.y, near, middle);
    drawn += svg_text(box->x, middle + 4, "start", "label", mark.label);
  }
  return drawn;
}

std::string plot(const char* kind, double width, double height, const Group& group,
                 const Quantity& quantity, bool numbered) {
  Group shown;
  double low = INFINITY, high = -INFINITY, least = INFINITY, most = -INFINITY;
  const auto value = [&](const Measurement* m) { return *(m->*quantity.value); };
  for (const Measurement* m : group) {
    if (!m->bits || !(m->*quantity.value) || (quantity.log && value(m).value <= 0)) continue;
    shown.push_back(m);
    low = std::min(low, *m->bits), high = std::max(high, *m->bits);
    const double bottom = value(m).value - value(m).error;
    least = std::min(least, quantity.log && bottom <= 0 ? value(m).value / 2 : bottom);
    most = std::max(most, value(m).value + value(m).error);
  }
  if (shown.empty()) return {};
  const Box frame{66, 10, width - 78, height - 62};
  const double bottom = frame.y + frame.height;
  const Scale x = scale_around(low, high, frame.x, frame.x + frame.width, high > kWideRange * low);
  const Scale y = scale_around(least, most, bottom, frame.y, quantity.log);
  std::vector<Mark> marks;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Measurement* m = group[i];
    if (std::find(shown.begin(), shown.end(), m) == shown.end()) continue;
    const Estimate e = value(m);
    marks.push_back({m, numbered ? std::to_string(i + 1) : m->name, x.at(*m->bits), y.at(e.value),
                     std::min(bottom, y.at(std::max(e.value - e.error, y.low))),
                     y.at(e.value + e.error)});
  }
  const std::string y_name = fmt::format("{}, {}", quantity.name, quantity.unit);
  std::string body =
      bottom_axis(x, frame, numbered ? 5 : 9,
                  std::string("bits per weight of the linear layers") + (x.log ? " (log)" : "")) +
      left_axis(y, frame, 8, y_name);
  body += fmt::format("<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                      frame.x, frame.y, frame.width, frame.height);
  for (const Mark& mark : marks) body += shape(mark);
  return svg(kind, width, height, y_name + " over bits per weight",
             body + mark_labels(marks, frame));
}

std::string share(const Measurement& m, const char* key) {
  const auto found = m.json != nullptr ? number(*m.json, {key}) : std::nullopt;
  return found ? fmt::format("{:.2f}", 100 * *found) : "";
}

std::string kl_at(const Measurement& m, const char* key) {
  const auto found = m.json != nullptr ? number(*m.json, {"kl", key}) : std::nullopt;
  return found ? short_number(*found, 3) : "";
}

std::string numbers(const Group& group) {
  std::vector<Row> rows = {{{"#"},
                            {"model", "", true},
                            {"bits/weight"},
                            {"perplexity"},
                            {"KL, nats/token"},
                            {"median"},
                            {"99 %"},
                            {"99.9 %"},
                            {"max"},
                            {"top 1, %"},
                            {"top 5, %"},
                            {"RMS Δp, %"}}};
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Measurement& m = *group[i];
    rows.push_back({{std::to_string(i + 1)},
                    {m.name, "", true},
                    {m.bits ? fmt::format("{:.3f}", *m.bits) : ""},
                    {m.perplexity ? with_error(m.perplexity->value, m.perplexity->error) : ""},
                    {m.kl ? with_error(m.kl->value, m.kl->error) : ""},
                    {kl_at(m, "median")},
                    {kl_at(m, "percentile_99")},
                    {kl_at(m, "percentile_999")},
                    {kl_at(m, "maximum")},
                    {share(m, "top1_agreement")},
                    {share(m, "top5_agreement")},
                    {share(m, "probability_rms")}});
  }
  return table(rows);
}

std::string group_title(const Measurement& m) {
  const std::string file = std::filesystem::path(m.text).filename().string();
  return fmt::format("{}, convention {}: {:.0f} tokens", file, m.convention, m.tokens);
}

std::string group_html(const Group& group) {
  std::string html = "<h3>" + escape(group_title(*group.front())) + "</h3>\n";
  for (const Quantity& quantity : kQuantities) {
    const std::string wide = plot("wide", 800, 420, group, quantity, false);
    if (wide.empty()) continue;
    html += figure(wide, plot("narrow", 360, 330, group, quantity, true),
                   fmt::format("{} ({} scale), bars: ± one standard error over tokens. Disc: a "
                               "method; open square: plain rounding; diamond: the original.",
                               quantity.name, quantity.log ? "logarithmic" : "linear"));
  }
  return html + numbers(group);
}

}  // namespace

std::string quality_section(const ReportData& data) {
  std::vector<Group> groups;
  for (const Measurement& m : data.measurements) {
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group.front()->comparable(m);
    });
    if (same == groups.end())
      groups.push_back({&m});
    else
      same->push_back(&m);
  }
  std::string html;
  for (const Group& group : groups) html += group_html(group);
  return section("Size and quality",
                 "Each text and convention stands alone: numbers of two do not compare.", html);
}

}  // namespace karat::report
