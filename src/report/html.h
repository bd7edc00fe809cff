// Pieces of a page. Whatever comes from files goes through escape().
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace karat::report {

std::string escape(std::string_view text);

/// A cell's text as it is to be read, not yet escaped; `note` is smaller, on a line of its own.
struct Cell {
  std::string text, note = {};
  bool name = false;  // left aligned; numbers are not
};
using Row = std::vector<Cell>;
/// Scrolls inside itself where it is wider than the page. The first row is the head.
std::string table(const std::vector<Row>& rows);

/// In the head of every page that Karat writes, by which it knows them.
inline constexpr const char* kGenerator = "<meta name=\"generator\" content=\"karat\">";
/// What keeps `file` from being such a page; empty: nothing.
std::string not_a_page(const std::filesystem::path& file);

std::string section(std::string_view title, std::string_view lead, const std::string& body);
std::string page(std::string_view title, const std::string& body);

/// A drawing for wide pages and one for narrow ones, of which one is shown.
std::string figure(const std::string& wide, const std::string& narrow, std::string_view caption);

/// "1.234", "0.0123", "1.2e-05": `digits` that count, no more.
std::string short_number(double value, int digits = 4);
std::string with_error(double value, double error);

}  // namespace karat::report
