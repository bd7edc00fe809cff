// A CompareReport as one page: no scripts, no other files, light or dark as the reader's system is.
#include <fmt/format.h>

#include "compare/views.h"
#include "report/html.h"

namespace karat {
namespace {

using report::escape;

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c2024; --faint: #5f6872;
  --line: #dde1e6; --method: #1668b8; --plain: #8a5a00; --shade: #f5f7f9; }
@media (prefers-color-scheme: dark) { :root { --page: #16191d; --ink: #e4e7eb; --faint: #9aa4af;
  --line: #343a42; --method: #6cb2f5; --plain: #e0a94a; --shade: #1f242a; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, li { color: var(--faint); margin: .1rem 0; } ul { padding-left: 1.2rem; }
.wide { overflow-x: auto; margin: 1.5rem 0 .5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; }
.name { text-align: left; } .uniform { color: var(--plain); }
.original { background: var(--shade); }
svg { display: block; width: 100%; max-width: 52rem; height: auto; margin: 1.5rem 0 0;
  font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .faint { fill: var(--faint); }
svg .grid { stroke: var(--line); } svg .frame { stroke: var(--faint); fill: none; }
svg .method { fill: var(--method); stroke: var(--method); }
svg .uniform { fill: var(--page); stroke: var(--plain); stroke-width: 1.5; }
svg .curve { fill: none; stroke: var(--plain); stroke-dasharray: 4 4; }
svg .lead { stroke: var(--faint); stroke-width: .7; }
code { font-size: .85rem; color: var(--ink); }
)";

const char* class_of(const CompareRow& row) {
  return row.kind == CompareRow::Kind::original  ? "original"
         : row.kind == CompareRow::Kind::uniform ? "uniform"
                                                 : "method";
}

std::string table_row(const std::vector<std::string>& cells, const std::string& tag,
                      const std::string& row_class) {
  std::string html = fmt::format("<tr class=\"{}\">", row_class);
  for (std::size_t i = 0; i < cells.size(); ++i)
    html += fmt::format("<{0}{1}>{2}</{0}>", tag, is_text_column(i) ? " class=\"name\"" : "",
                        escape(cells[i]));
  return html + "</tr>\n";
}

std::string table(const CompareReport& report) {
  const auto cells = compare_cells(report);
  std::string html = "<div class=\"wide\"><table>\n<thead>" + table_row(cells[0], "th", "head") +
                     "</thead>\n<tbody>\n";
  for (std::size_t i = 0; i < report.rows.size(); ++i)
    html += table_row(cells[i + 1], "td", class_of(report.rows[i]));
  return html + "</tbody>\n</table></div>\n";
}

std::string list(const std::vector<std::string>& lines) {
  std::string html = "<ul>\n";
  for (const std::string& line : lines) html += "<li>" + escape(line) + "</li>\n";
  return html + "</ul>\n";
}

std::string recipes(const CompareReport& report) {
  std::string html =
      "<h2>Recipes</h2>\n<p>metric | selector | transform | grid | solver, as karat quantize takes "
      "them</p>\n<div class=\"wide\"><table>\n";
  for (const CompareRow& row : report.rows)
    if (row.kind != CompareRow::Kind::original)
      html += fmt::format(
          "<tr><td class=\"name\">{}</td><td class=\"name\"><code>{}</code></td></tr>\n",
          escape(row.name), escape(axes_text(row.recipe)));
  return html + "</table></div>\n";
}

}  // namespace

std::string to_html(const CompareReport& report) {
  const std::string title = escape("karat compare: " + report.model);
  std::string html = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html += std::string(report::kGenerator) + "\n";
  html += fmt::format("<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n", title,
                      kStyle, title);
  for (const std::string& fact : compare_facts(report)) html += "<p>" + escape(fact) + "</p>\n";
  html += compare_plot(report) + table(report) + list(compare_legend(report)) + recipes(report);
  html += fmt::format(
      "<p>text sha256 {}{}</p>\n", report.text_sha256,
      report.calibration.empty() ? "" : "; calibration sha256 " + report.calibration_sha256);
  return html + "</body>\n</html>\n";
}

}  // namespace karat
