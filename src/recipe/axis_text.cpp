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
  for (const std::string& link : links_of(axis_text))
    if (const auto value = Options::find(options_of(link), key)) return value;
  return {};
}

std::string with_option(std::string_view axis_text, std::string_view key, std::string_view value) {
  std::string text;
  for (const std::string& link : links_of(axis_text)) {
    if (!text.empty()) text += '+';
    text += name_of(link) + ":" + Options::with(options_of(link), key, value);
  }
  return text;
}

std::vector<std::string> links_of(std::string_view axis_text) {
  std::vector<std::string> links(1);
  for (std::size_t i = 0; i < axis_text.size(); ++i) {
    const bool begins_name =
        i + 1 < axis_text.size() && axis_text[i + 1] >= 'a' && axis_text[i + 1] <= 'z';
    if (axis_text[i] == '+' && begins_name && !links.back().empty())
      links.emplace_back();
    else
      links.back() += axis_text[i];
  }
  return links;
}

}  // namespace karat
