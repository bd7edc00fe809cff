#include "chat/datum.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "karat/error.h"
#include "load/characters.h"

namespace karat {

namespace {

/// The values go through each other by recursion, so what is nested has an end.
int below(int deepest, const Datum& item) {
  if (item.depth >= 200) fail("template", "values in each other", "at most 200 deep");
  return std::max(deepest, item.depth + 1);
}

}  // namespace

Datum Datum::list(DatumList items) {
  int deepest = 1;
  for (const Datum& item : items) deepest = below(deepest, item);
  return {std::make_shared<const DatumList>(std::move(items)), deepest};
}

Datum Datum::dict(DatumDict items) {
  int deepest = 1;
  for (const auto& [key, item] : items) deepest = below(deepest, item);
  return {std::make_shared<const DatumDict>(std::move(items)), deepest};
}

const DatumList* Datum::list() const {
  const auto* held = std::get_if<std::shared_ptr<const DatumList>>(&is);
  return held ? held->get() : nullptr;
}

const DatumDict* Datum::dict() const {
  const auto* held = std::get_if<std::shared_ptr<const DatumDict>>(&is);
  return held ? held->get() : nullptr;
}

bool Datum::whole() const {
  return integer() || boolean();
}
bool Datum::number() const {
  return whole() || std::holds_alternative<double>(is);
}
std::int64_t Datum::count() const {
  return integer() ? *integer() : std::int64_t{*boolean()};
}
double Datum::real() const {
  if (const auto* value = std::get_if<double>(&is)) return *value;
  return static_cast<double>(count());
}

const Datum* find_key(const DatumDict& dict, std::string_view key) {
  for (const auto& [name, value] : dict)
    if (name == key) return &value;
  return nullptr;
}

bool truth(const Datum& value) {
  if (!value.defined() || value.none()) return false;
  if (value.number()) return value.real() != 0;
  if (value.text()) return !value.text()->empty();
  if (value.list()) return !value.list()->empty();
  if (value.dict()) return !value.dict()->empty();
  return true;
}

bool equal(const Datum& a, const Datum& b) {
  if (a.whole() && b.whole()) return a.count() == b.count();
  if (a.number() && b.number()) return a.real() == b.real();
  if (a.is.index() != b.is.index()) return false;
  if (a.text()) return *a.text() == *b.text();
  if (a.list()) return std::ranges::equal(*a.list(), *b.list(), equal);
  if (!a.dict()) return !a.defined() || a.none();
  if (a.dict()->size() != b.dict()->size()) return false;
  for (const auto& [key, value] : *a.dict()) {
    const Datum* other = find_key(*b.dict(), key);
    if (!other || !equal(value, *other)) return false;
  }
  return true;
}

std::string_view kind_name(const Datum& value) {
  static constexpr std::string_view kNames[] = {
      "undefined", "None", "bool", "int", "float", "str", "list", "dict", "namespace", "function"};
  return kNames[value.is.index()];
}

int compare(const Datum& a, const Datum& b) {
  const auto sign = [](auto x, auto y) { return x < y ? -1 : x > y ? 1 : 0; };
  if (a.whole() && b.whole()) return sign(a.count(), b.count());
  if (a.number() && b.number()) return sign(a.real(), b.real());
  if (a.text() && b.text()) return sign(*a.text(), *b.text());
  if (a.list() && b.list()) {
    const std::size_t both = std::min(a.list()->size(), b.list()->size());
    for (std::size_t i = 0; i < both; ++i)
      if (!equal((*a.list())[i], (*b.list())[i])) return compare((*a.list())[i], (*b.list())[i]);
    return sign(a.list()->size(), b.list()->size());
  }
  fail("comparison", fmt::format("{} and {}", kind_name(a), kind_name(b)),
       "two numbers, texts or lists");
}

namespace {

/// repr() of a float: the shortest digits that give it back, plain between 1e-4 and 1e16.
std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  char buffer[64];
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr;
  std::string text(buffer, end);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string joined(const std::vector<std::string>& parts, std::string_view open,
                   std::string_view close) {
  return fmt::format("{}{}{}", open, fmt::join(parts, ", "), close);
}

std::string quoted_text(const std::string& text) {
  const bool twice = text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char mark = twice ? '"' : '\'';
  std::string out(1, mark);
  for (const char c : text) {
    if (c == mark || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (static_cast<unsigned char>(c) < 32 || c == 127)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + mark;
}

}  // namespace

std::string quoted(const Datum& value) {
  if (value.text()) return quoted_text(*value.text());
  std::vector<std::string> parts;
  if (value.list()) {
    for (const Datum& item : *value.list()) parts.push_back(quoted(item));
    return joined(parts, "[", "]");
  }
  if (value.dict()) {
    for (const auto& [key, item] : *value.dict())
      parts.push_back(quoted_text(key) + ": " + quoted(item));
    return joined(parts, "{", "}");
  }
  return value.defined() ? shown(value) : "Undefined";
}

std::string shown(const Datum& value) {
  if (value.text()) return *value.text();
  if (!value.defined()) return "";
  if (value.none()) return "None";
  if (value.boolean()) return *value.boolean() ? "True" : "False";
  if (value.integer()) return std::to_string(*value.integer());
  if (value.number()) return float_text(value.real());
  if (value.list() || value.dict()) return quoted(value);
  fail("text", kind_name(value), "a value that has a text");
}

DatumList items_of(const Datum& value) {
  DatumList items;
  if (value.list()) return *value.list();
  if (value.dict()) {
    for (const auto& [key, item] : *value.dict()) items.push_back(Datum::text(key));
  } else if (value.text()) {
    for (const std::string_view one : characters(*value.text())) items.push_back(Datum::text(one));
  } else if (value.defined()) {
    fail("items", kind_name(value), "a list, a dict or a text");
  }
  return items;
}

namespace {

std::string json_string(const std::string& text, const JsonStyle& style) {
  return nlohmann::json(text).dump(-1, ' ', style.ascii, nlohmann::json::error_handler_t::replace);
}

/// The parts between brackets, on lines of their own where the style has an indent.
std::string json_parts(const std::vector<std::string>& parts, const JsonStyle& style, int depth,
                       std::string_view open, std::string_view close) {
  if (parts.empty()) return fmt::format("{}{}", open, close);
  if (style.indent < 0) return fmt::format("{}{}{}", open, fmt::join(parts, style.item), close);
  const auto width = static_cast<std::size_t>(style.indent * (depth + 1));
  const std::string line = "\n" + std::string(width, ' ');
  const std::string end = "\n" + std::string(static_cast<std::size_t>(style.indent * depth), ' ');
  return fmt::format("{}{}{}{}{}", open, line, fmt::join(parts, style.item + line), end, close);
}

}  // namespace

std::string json_text(const Datum& value, const JsonStyle& style, int depth) {
  std::vector<std::string> parts;
  if (value.text()) return json_string(*value.text(), style);
  if (value.none()) return "null";
  if (value.boolean()) return *value.boolean() ? "true" : "false";
  if (value.number()) return shown(value);
  if (value.list()) {
    for (const Datum& item : *value.list()) parts.push_back(json_text(item, style, depth + 1));
    return json_parts(parts, style, depth, "[", "]");
  }
  if (value.dict()) {
    DatumDict dict = *value.dict();
    if (style.sorted)
      std::ranges::stable_sort(dict, {}, [](const auto& pair) { return pair.first; });
    for (const auto& [key, item] : dict)
      parts.push_back(json_string(key, style) + style.key + json_text(item, style, depth + 1));
    return json_parts(parts, style, depth, "{", "}");
  }
  fail("tojson", kind_name(value), "a value that JSON has");
}

Datum datum_of(const nlohmann::ordered_json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  if (value.is_boolean()) return {value.get<bool>()};
  if (value.is_number_integer()) return {value.get<std::int64_t>()};
  if (value.is_number()) return {value.get<double>()};
  if (value.is_array()) {
    DatumList items;
    for (const auto& item : value) items.push_back(datum_of(item));
    return Datum::list(std::move(items));
  }
  if (!value.is_object()) return {Datum::None{}};
  DatumDict dict;
  for (const auto& [key, item] : value.items()) dict.emplace_back(key, datum_of(item));
  return Datum::dict(std::move(dict));
}

}  // namespace karat
