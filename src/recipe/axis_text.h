// The text of an axis, "uniform:bits=3,group=16": a name and options.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace karat {

/// "uniform"
std::string name_of(std::string_view axis_text);
/// "bits=3,group=16"; empty where there are none.
std::string options_of(std::string_view axis_text);
/// The value of `key`, "16" of "group"; nothing when it is not there.
std::optional<std::string> option_of(std::string_view axis_text, std::string_view key);
/// The text with the value of `key` replaced or added.
std::string with_option(std::string_view axis_text, std::string_view key, std::string_view value);

}  // namespace karat
