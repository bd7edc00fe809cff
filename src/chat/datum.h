// The values of a template: what Python's would be, immutable but for namespaces.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace karat {

struct Datum;
using DatumList = std::vector<Datum>;
using DatumDict = std::vector<std::pair<std::string, Datum>>;  // in order of insertion
struct DatumNamespace {
  std::map<std::string, Datum> values;
};
/// What a call hands over.
struct CallArguments {
  DatumList plain;
  std::map<std::string, Datum> named;
};
using DatumFunction = std::function<Datum(const CallArguments&)>;

struct Datum {
  struct Undefined {
    std::string name;  // for errors
  };
  struct None {};
  std::variant<Undefined, None, bool, std::int64_t, double, std::string,
               std::shared_ptr<const DatumList>, std::shared_ptr<const DatumDict>,
               std::shared_ptr<DatumNamespace>, std::shared_ptr<const DatumFunction>>
      is = Undefined{};
  int depth = 0;  // of lists and dicts in each other

  static Datum list(DatumList items);
  static Datum dict(DatumDict items);
  static Datum text(std::string_view text) { return {std::string(text)}; }
  static Datum undefined(std::string_view name) { return {Undefined{std::string(name)}}; }

  bool defined() const { return !std::holds_alternative<Undefined>(is); }
  bool none() const { return std::holds_alternative<None>(is); }
  const std::string* text() const { return std::get_if<std::string>(&is); }
  const DatumList* list() const;
  const DatumDict* dict() const;
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&is); }
  const bool* boolean() const { return std::get_if<bool>(&is); }
  bool number() const;         // an int, a float or a bool, as Python counts them
  double real() const;         // of a number
  bool whole() const;          // an int or a bool
  std::int64_t count() const;  // of a whole one
};

/// The value of `key`; null: there is none.
const Datum* find_key(const DatumDict& dict, std::string_view key);
bool truth(const Datum& value);
bool equal(const Datum& a, const Datum& b);
/// Below 0, 0, above 0. Throws Error on kinds that have no order between them.
int compare(const Datum& a, const Datum& b);
std::string_view kind_name(const Datum& value);
/// What str() and repr() of Python write.
std::string shown(const Datum& value);
std::string quoted(const Datum& value);
/// What can be gone through: items of a list, keys of a dict, characters of a text; nothing of what
/// is undefined. Throws Error on others.
DatumList items_of(const Datum& value);

struct JsonStyle {
  std::int64_t indent = -1;  // below 0: one line
  std::string item = ", ", key = ": ";
  bool sorted = false, ascii = false;
};
/// What json.dumps() writes. Throws Error on what JSON has no word for.
std::string json_text(const Datum& value, const JsonStyle& style, int depth = 0);
Datum datum_of(const nlohmann::ordered_json& value);

}  // namespace karat
