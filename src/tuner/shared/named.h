// What a text names in a table that was written from file names: "quest:weights=4".
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "karat/error.h"
#include "karat/options.h"
#include "recipe/axis_text.h"

namespace karat {

/// One with the text that says it in full, all its options with their values.
template <class Value>
struct Named {
  Value value = {};
  std::string text = {};
  std::vector<OptionEntry> options = {};
};

/// Throws Error on an unknown name or option, listing the known; `kind` ("quantizer") is named.
template <class Value>
Named<Value> make_named(const std::map<std::string, Value (*)(Options&)>& table,
                        const std::string& kind, std::string_view text) {
  const std::string name = name_of(text);
  const auto found = table.find(name);
  if (found == table.end()) {
    std::vector<std::string> known;
    for (const auto& entry : table) known.push_back(entry.first);
    fail(kind + " of training", "'" + name + "'", list_text(known),
         "`karat train --help` lists their options");
  }
  Options options(kind + " " + name, options_of(text));
  Named<Value> result;
  result.value = found->second(options);
  options.finish();
  result.options = options.known();
  result.text = options.text().empty() ? name : fmt::format("{}:{}", name, options.text());
  return result;
}

}  // namespace karat
