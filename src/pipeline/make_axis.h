// The value of an axis from its text.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "karat/error.h"
#include "pipeline/axes.h"
#include "recipe/axis_text.h"

namespace karat {

template <class Value>
std::vector<std::string> names(const std::map<std::string, Value>& table) {
  std::vector<std::string> result;
  for (const auto& [name, value] : table) result.push_back(name);
  return result;
}

/// Makes the value that `axis` names and spells its options out in `axis.text`. Throws Error, which
/// begins with `kind`, on an unknown name or option.
template <class Value>
Value make(const std::string& kind, Axis<Value>& axis, const Table<Value>& table) {
  const std::string name = name_of(axis.text);
  const auto found = table.find(name);
  if (!axis.own && found == table.end())
    fail(kind, fmt::format("'{}'", name), list_text(names(table)));
  Options options(kind + " " + name, options_of(axis.text));
  Value value = (axis.own ? axis.own : found->second)(options);
  options.finish();
  axis.text = options.known().empty() ? name : name + ":" + options.text();
  return value;
}

}  // namespace karat
