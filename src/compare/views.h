// What the views of a CompareReport share.
#pragma once

#include <string>
#include <vector>

#include "karat/compare.h"

namespace karat {

/// The table, its header first. The last column, notes, is there only when one has something.
std::vector<std::vector<std::string>> compare_cells(const CompareReport& report);
/// Whether a column of it holds names or notes, which begin at the left.
inline bool is_text_column(std::size_t column) {
  return column == 0 || column == 7 || column == 10;
}
/// What was measured, how, and on what, a sentence each.
std::vector<std::string> compare_facts(const CompareReport& report);
/// What the table's columns mean, a sentence each.
std::vector<std::string> compare_legend(const CompareReport& report);

/// An inline SVG of KL over bits per weight; empty when there is nothing to draw.
std::string compare_plot(const CompareReport& report);

}  // namespace karat
