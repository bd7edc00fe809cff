// Maps of the linear layers: kinds of layer across, blocks along.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/chart.h"
#include "report/html.h"
#include "report/layer_name.h"
#include "report/sections.h"

namespace karat::report {
namespace {

struct LayerMap {
  std::vector<std::string> kinds;
  std::int64_t blocks = 0;
  std::vector<std::optional<double>> values;  // [kinds, blocks]
  double least = INFINITY, most = -INFINITY;

  std::optional<double>& at(std::size_t kind, std::int64_t block) {
    return values[kind * static_cast<std::size_t>(blocks) + static_cast<std::size_t>(block)];
  }
};

struct Shown {
  const char *key, *title, *unit;
  double factor;
};
constexpr Shown kShown[] = {
    {"bits", "Bits per weight", "bits", 1},
    {"kept", "Kept at FP16", "% of the weights", 100},
    {"error", "Relative squared error of the weights", "× 10⁻³", 1000},
    {"output_error", "Relative squared error of the outputs", "× 10⁻³", 1000}};

LayerMap map_of(const nlohmann::json& report, const Shown& shown) {
  LayerMap map;
  const auto tensors = objects(report, {"tensors"});
  for (const auto* tensor : tensors) {
    const LayerName name = split_layer_name(text(*tensor, {"name"}));
    if (name.block < 0) continue;  // embedding and head are in no block
    map.blocks = std::max(map.blocks, name.block + 1);
    if (std::find(map.kinds.begin(), map.kinds.end(), name.kind) == map.kinds.end())
      map.kinds.push_back(name.kind);
  }
  map.values.resize(map.kinds.size() * static_cast<std::size_t>(map.blocks));
  for (const auto* tensor : tensors) {
    const LayerName name = split_layer_name(text(*tensor, {"name"}));
    const auto value = number(*tensor, {shown.key});
    if (!value || name.block < 0) continue;
    const auto kind = std::find(map.kinds.begin(), map.kinds.end(), name.kind) - map.kinds.begin();
    map.at(static_cast<std::size_t>(kind), name.block) = *value * shown.factor;
    map.least = std::min(map.least, *value * shown.factor);
    map.most = std::max(map.most, *value * shown.factor);
  }
  return map;
}

/// Lengths of a drawing whose columns are blocks (wide) or kinds (narrow).
struct Layout {
  double left, top, cell_width, cell_height;
  bool blocks_across;
};

std::string cell(const Layout& layout, std::size_t column, std::size_t row,
                 std::optional<double> value, const LayerMap& map, const std::string& title) {
  const double x = layout.left + static_cast<double>(column) * layout.cell_width;
  const double y = layout.top + static_cast<double>(row) * layout.cell_height;
  const std::string place =
      fmt::format("x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"", x, y,
                  layout.cell_width, layout.cell_height);
  if (!value) return fmt::format("<rect class=\"hole\" {}/>\n", place);
  const double share = map.most > map.least ? (*value - map.least) / (map.most - map.least) : 0.3;
  const double opacity = 0.12 + 0.88 * share;
  std::string drawn = fmt::format("<rect class=\"cell\" fill-opacity=\"{:.2f}\" {}>{}</rect>\n",
                                  opacity, place, svg_title(title));
  const std::string number = short_number(*value, 3);
  if (text_width(number) + 4 <= layout.cell_width)
    drawn += svg_text(x + layout.cell_width / 2, y + layout.cell_height / 2 + 4, "middle",
                      opacity > 0.8 ? "strong" : "value", number);
  return drawn;
}

std::string headings(const Layout& layout, const LayerMap& map) {
  std::string drawn;
  const auto column = [&](std::size_t i, const std::string& name) {
    drawn += svg_text(layout.left + (static_cast<double>(i) + 0.5) * layout.cell_width,
                      layout.top - 6, "middle", "faint", name);
  };
  const auto row = [&](std::size_t i, const std::string& name) {
    drawn += svg_text(layout.left - 6,
                      layout.top + (static_cast<double>(i) + 0.5) * layout.cell_height + 4, "end",
                      "faint", name);
  };
  const double block_size = layout.blocks_across ? layout.cell_width : layout.cell_height;
  const auto every = static_cast<std::int64_t>(
      std::max(1.0, std::ceil((layout.blocks_across ? 24 : 14) / block_size)));
  for (std::int64_t block = 0; block < map.blocks; block += every)
    layout.blocks_across ? column(static_cast<std::size_t>(block), std::to_string(block))
                         : row(static_cast<std::size_t>(block), std::to_string(block));
  for (std::size_t kind = 0; kind < map.kinds.size(); ++kind)
    layout.blocks_across ? row(kind, map.kinds[kind]) : column(kind, short_kind(map.kinds[kind]));
  return drawn;
}

std::string drawing(const char* kind, double width, const LayerMap& map, const Shown& shown,
                    bool blocks_across) {
  const auto kinds = static_cast<double>(map.kinds.size()),
             blocks = static_cast<double>(map.blocks);
  double left = 34;
  for (const std::string& name : map.kinds)
    if (blocks_across) left = std::max(left, text_width(name) + 12);
  const double across = blocks_across ? blocks : kinds, along = blocks_across ? kinds : blocks;
  const Layout layout{left, 22, std::min(96.0, (width - left - 2) / across), 22, blocks_across};
  std::string body = headings(layout, map);
  LayerMap copy = map;
  for (std::size_t k = 0; k < map.kinds.size(); ++k)
    for (std::int64_t block = 0; block < map.blocks; ++block) {
      const auto value = copy.at(k, block);
      const std::string title = fmt::format("block {}, {}: {} {}", block, map.kinds[k],
                                            value ? short_number(*value) : "none", shown.unit);
      const auto b = static_cast<std::size_t>(block);
      body += blocks_across ? cell(layout, b, k, value, map, title)
                            : cell(layout, k, b, value, map, title);
    }
  return svg(kind, width, layout.top + along * layout.cell_height + 4,
             fmt::format("{} of every layer", shown.title), body);
}

std::string map_html(const nlohmann::json& report, const Shown& shown) {
  const LayerMap map = map_of(report, shown);
  if (map.blocks == 0 || map.most < map.least) return {};
  const std::string caption =
      map.most > map.least
          ? fmt::format(
                "{}, {}: from {} (faintest) to {} (strongest); columns are blocks, or rows on "
                "narrow pages.",
                shown.title, shown.unit, short_number(map.least), short_number(map.most))
          : fmt::format("{}, {}: {} everywhere.", shown.title, shown.unit, short_number(map.least));
  if (map.most == map.least) return "<p>" + escape(caption) + "</p>\n";
  return figure(drawing("wide", 800, map, shown, true), drawing("narrow", 360, map, shown, false),
                caption);
}

std::string tensor_table(const nlohmann::json& report) {
  std::vector<Row> rows = {{{"tensor", "", true},
                            {"shape"},
                            {"bits"},
                            {"kept, %"},
                            {"error"},
                            {"output error"},
                            {"rule", "", true}}};
  const auto cell_of = [](std::optional<double> value, double factor) {
    return Cell{value ? short_number(*value * factor) : ""};
  };
  for (const auto* tensor : objects(report, {"tensors"})) {
    const nlohmann::json* shape = look(*tensor, {"shape"});
    rows.push_back({{text(*tensor, {"name"}), "", true},
                    {shape != nullptr ? shape->dump() : ""},
                    cell_of(number(*tensor, {"bits"}), 1),
                    cell_of(number(*tensor, {"kept"}), 100),
                    cell_of(number(*tensor, {"error"}), 1),
                    cell_of(number(*tensor, {"output_error"}), 1),
                    {text(*tensor, {"rule"}), "", true}});
  }
  return "<details><summary>Every tensor</summary>\n" + table(rows) + "</details>\n";
}

}  // namespace

std::string layers_section(const ReportData& data) {
  std::string html;
  for (const ModelFolder& model : data.models) {
    if (model.quantize == nullptr || objects(*model.quantize, {"tensors"}).empty()) continue;
    html += "<h3>" + escape(model.name) + "</h3>\n";
    for (const Shown& shown : kShown) html += map_html(*model.quantize, shown);
    html += tensor_table(*model.quantize);
  }
  return section("Layers", "Where the bits went, and what rounding cost there.", html);
}

}  // namespace karat::report
