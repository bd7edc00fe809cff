// What quantize, measure, compare and evaluate wrote, on one page that needs nothing else.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace karat {

/// One HTML page of the JSON files that lie in `folders`: karat_report.json, and what `measure`,
/// `compare` and `evaluate` print with --json, under any name that ends in .json. Other files are
/// left alone. Charts are inline SVG; no script, no other file. Throws Error when a folder is
/// missing or holds none of them, or a file is damaged.
std::string report_html(std::span<const std::filesystem::path> folders);

/// Writes that page. With `replace`, a page that Karat wrote may be there already.
void write_report(std::span<const std::filesystem::path> folders, const std::filesystem::path& out,
                  bool replace);

}  // namespace karat
