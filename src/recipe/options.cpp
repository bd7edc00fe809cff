#include "karat/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "karat/error.h"

namespace karat {
namespace {

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    items.push_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

/// The value of "key=value", nothing for another key.
std::optional<std::string_view> value_in(std::string_view item, std::string_view key) {
  const std::size_t equals = item.find('=');
  if (equals == item.npos || item.substr(0, equals) != key) return {};
  return item.substr(equals + 1);
}

template <class Number>
bool parse(const std::string& text, Number& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end;
}

}  // namespace

Options::Options(std::string owner, std::string_view text) : owner_(std::move(owner)) {
  bool first = true;
  for (std::string_view item : split(text)) {
    const std::size_t equals = item.find('=');
    const bool bare = equals == std::string_view::npos;
    const std::string key(bare ? "" : item.substr(0, equals));
    const std::string value(bare ? item : item.substr(equals + 1));
    if (value.empty() || (bare ? !first : key.empty()))
      fail(owner_, fmt::format("'{}'", item), "key=value,key=value");
    if (!given_.emplace(key, value).second)
      fail(owner_, fmt::format("option '{}' twice", key), "each option once");
    first = false;
  }
}

std::string Options::take(const std::string& key, std::string fallback, std::string help) {
  const bool first = known_.empty();
  std::string value = std::move(fallback);
  if (first && given_.contains("") && given_.contains(key))
    fail(owner_, fmt::format("option '{}' twice", key), "each option once");
  if (first && given_.contains("")) value = given_.at("");
  if (given_.contains(key)) value = given_.at(key);
  known_.push_back({key, value, std::move(help)});
  return value;
}

void Options::reject(const std::string& key, const std::string& value,
                     const std::string& expected) const {
  fail(owner_, fmt::format("{}={}", key, value), expected, known_.back().help);
}

std::int64_t Options::integer(const std::string& key, std::int64_t fallback, std::int64_t low,
                              std::int64_t high, std::string help) {
  const std::string text = take(key, std::to_string(fallback), std::move(help));
  std::int64_t value = 0;
  if (!parse(text, value) || value < low || value > high)
    reject(key, text, fmt::format("an integer from {} to {}", low, high));
  known_.back().value = std::to_string(value);
  return value;
}

double Options::number(const std::string& key, double fallback, double low, double high,
                       std::string help) {
  const std::string text = take(key, number_text(fallback), std::move(help));
  double value = 0;
  if (!parse(text, value) || !(value >= low && value <= high))
    reject(key, text, fmt::format("a number from {} to {}", low, high));
  known_.back().value = number_text(value);
  return value;
}

bool Options::flag(const std::string& key, bool fallback, std::string help) {
  const std::string text = take(key, fallback ? "1" : "0", std::move(help));
  if (text != "0" && text != "1") reject(key, text, "0 or 1");
  return text == "1";
}

std::string Options::choice(const std::string& key, const std::string& fallback,
                            const std::vector<std::string>& allowed, std::string help) {
  const std::string text = take(key, fallback, std::move(help));
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end())
    reject(key, text, list_text(allowed));
  return text;
}

void Options::finish() const {
  std::vector<std::string> keys;
  for (const OptionEntry& entry : known_) keys.push_back(entry.key);
  const std::string expected = keys.empty() ? "no options" : list_text(keys);
  for (const auto& [key, value] : given_) {
    if (key.empty() ? !keys.empty() : std::find(keys.begin(), keys.end(), key) != keys.end())
      continue;
    fail(owner_, fmt::format("option '{}'", key.empty() ? value : key), expected);
  }
}

std::string Options::text() const {
  std::string text;
  for (const OptionEntry& entry : known_)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", entry.key, entry.value);
  return text;
}

std::string Options::with(std::string_view text, std::string_view key, std::string_view value) {
  const std::string rest = without(text, key);
  return fmt::format("{}{}{}={}", rest, rest.empty() ? "" : ",", key, value);
}

std::string Options::without(std::string_view text, std::string_view key) {
  std::string result;
  for (std::string_view item : split(text))
    if (!value_in(item, key)) result += fmt::format("{}{}", result.empty() ? "" : ",", item);
  return result;
}

std::optional<std::string> Options::find(std::string_view text, std::string_view key) {
  for (std::string_view item : split(text))
    if (const auto value = value_in(item, key)) return std::string(*value);
  return {};
}

std::string number_text(double value) {
  return fmt::format("{}", value);
}

std::string list_text(const std::vector<std::string>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

}  // namespace karat
