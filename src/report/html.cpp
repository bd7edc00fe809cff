#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/file.h"

namespace karat::report {
namespace {

constexpr const char* kPageStyle = R"(
:root { color-scheme: light dark; --page: #fff; --ink: #1c2024; --faint: #57606a; --line: #d8dde3;
  --shade: #f4f6f8; --method: #1261ad; --plain: #8a5500; --original: #2d7a3e; --map: #1261ad; }
@media (prefers-color-scheme: dark) { :root { --page: #15181c; --ink: #e6e9ed; --faint: #a0aab4;
  --line: #383f47; --shade: #1e2329; --method: #74b6f7; --plain: #e3ad4f; --original: #7ccf8f;
  --map: #3f8bd6; } }
@media print { :root { color-scheme: light; --page: #fff; --ink: #000; --faint: #444; --line: #bbb;
  --shade: #f2f2f2; --method: #0b4f93; --plain: #7a4b00; --original: #1f6430; --map: #1261ad; }
  body { margin: 0; max-width: none; } figure, table { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: .68rem; } th, td { padding: .1rem .3rem; }
  th { white-space: normal; } h2 { break-after: avoid; } }
* { box-sizing: border-box; }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 54rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
p { margin: .2rem 0 .6rem; } .lead, figcaption, .note { color: var(--faint); }
.note { font-size: .82rem; display: block; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
th { color: var(--faint); font-weight: 600; } .name { text-align: left; }
td.name { white-space: normal; min-width: 6rem; }
tbody tr:nth-child(even) { background: var(--shade); }
figure { margin: .8rem 0; } figcaption { font-size: .85rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
svg.narrow { display: none; }
@media (max-width: 40rem) { svg.wide { display: none; } svg.narrow { display: block; }
  body { margin-top: 1rem; } th, td { padding: .25rem .5rem; } }
svg text { fill: var(--ink); } svg .faint { fill: var(--faint); }
svg .grid { stroke: var(--line); } svg .frame { stroke: var(--faint); fill: none; }
svg .method { fill: var(--method); stroke: var(--method); }
svg .plain { fill: var(--page); stroke: var(--plain); stroke-width: 1.8; }
svg .original { fill: var(--original); stroke: var(--original); }
svg .dot { fill: var(--method); fill-opacity: .45; stroke: var(--method); }
svg .middle { stroke: var(--ink); stroke-width: 2; }
svg .lead { stroke: var(--faint); stroke-width: .7; }
svg .cell { fill: var(--map); stroke: var(--page); }
svg .hole { fill: none; stroke: var(--line); }
svg text.strong { fill: #fff; }
@media (prefers-color-scheme: dark) { svg text.strong { fill: #0b0d0f; } }
@media print { svg text.strong { fill: #fff; } }
code { font-size: .85rem; } summary { cursor: pointer; color: var(--faint); }
)";

}  // namespace

std::string escape(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string table(const std::vector<Row>& rows) {
  std::string html = "<div class=\"scroll\"><table>\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    html += r == 0 ? "<thead><tr>" : r == 1 ? "<tbody>\n<tr>" : "<tr>";
    for (const Cell& cell : rows[r])
      html += fmt::format(
          "<{0}{1}>{2}{3}</{0}>", r == 0 ? "th" : "td", cell.name ? " class=\"name\"" : "",
          escape(cell.text),
          cell.note.empty() ? "" : "<span class=\"note\">" + escape(cell.note) + "</span>");
    html += r == 0 ? "</tr></thead>\n" : "</tr>\n";
  }
  return html + (rows.size() > 1 ? "</tbody>" : "") + "</table></div>\n";
}

std::string section(std::string_view title, std::string_view lead, const std::string& body) {
  if (body.empty()) return {};
  return fmt::format("<section>\n<h2>{}</h2>\n<p class=\"lead\">{}</p>\n{}</section>\n",
                     escape(title), escape(lead), body);
}

std::string page(std::string_view title, const std::string& body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{3}\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}</body>\n</"
      "html>\n",
      escape(title), kPageStyle, body, kGenerator);
}

std::string not_a_page(const std::filesystem::path& file) {
  constexpr std::size_t kHead = 4096;
  const auto mapped = MappedFile::open(file);
  const bool ours = mapped->text().substr(0, kHead).find(kGenerator) != std::string_view::npos;
  return ours ? "" : "no page of Karat";
}

std::string figure(const std::string& wide, const std::string& narrow, std::string_view caption) {
  return fmt::format("<figure>\n{}{}<figcaption>{}</figcaption>\n</figure>\n", wide, narrow,
                     escape(caption));
}

std::string short_number(double value, int digits) {
  if (value == 0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  if (magnitude < -4 || magnitude > 7) return fmt::format("{:.{}g}", value, digits);
  return fmt::format("{:.{}f}", value, std::clamp(digits - 1 - magnitude, 0, 7));
}

std::string with_error(double value, double error) {
  if (error <= 0) return short_number(value);
  // Two digits of the error that count, and the value as far.
  const int places = std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), 0, 7);
  return fmt::format("{:.{}f} ± {:.{}f}", value, places, error, places);
}

}  // namespace karat::report
