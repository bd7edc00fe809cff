// The text of an axis, "uniform:bits=3,group=16": a name and options.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

/// "uniform"
std::string name_of(std::string_view axis_text);
/// "bits=3,group=16"; empty where there are none.
std::string options_of(std::string_view axis_text);
/// The value of `key`, "16" of "group"; nothing when it is not there. Of several links the first
/// that has it.
std::optional<std::string> option_of(std::string_view axis_text, std::string_view key);
/// The text with the value of `key` replaced or added; of several links in each.
std::string with_option(std::string_view axis_text, std::string_view key, std::string_view value);

/// Values of an axis that follow each other, "block-ap:batch=4+e2e-qp", each with its options.
std::vector<std::string> links_of(std::string_view axis_text);

}  // namespace karat
