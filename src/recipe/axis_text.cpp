#include "recipe/axis_text.h"

#include "karat/options.h"

namespace karat {

std::string name_of(std::string_view axis_text) {
  return std::string(axis_text.substr(0, axis_text.find(':')));
}

std::string options_of(std::string_view axis_text) {
  const std::size_t colon = axis_text.find(':');
  return colon == axis_text.npos ? "" : std::string(axis_text.substr(colon + 1));
}

std::optional<std::string> option_of(std::string_view axis_text, std::string_view key) {
  return Options::find(options_of(axis_text), key);
}

std::string with_option(std::string_view axis_text, std::string_view key, std::string_view value) {
  return name_of(axis_text) + ":" + Options::with(options_of(axis_text), key, value);
}

}  // namespace karat
