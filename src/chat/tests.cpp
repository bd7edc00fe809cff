// What stands behind `is`.
#include <algorithm>
#include <map>

#include "chat/scope.h"
#include "karat/error.h"
#include "load/characters.h"

namespace karat {
namespace {
using Given = const CallArguments&;

Datum operand(Given given) {
  if (given.plain.empty()) fail("test", "nothing to compare with", "a value");
  return given.plain[0];
}

bool divisible(const Datum& value, Given given) {
  const Datum by = operand(given);
  if (!value.whole() || !by.whole() || by.count() == 0)
    fail("divisibleby", kind_name(value), "two whole numbers, the second not 0");
  return by.count() == -1 || value.count() % by.count() == 0;
}

bool odd_number(const Datum& value, Given) {
  if (!value.whole()) fail("is odd", kind_name(value), "a whole number");
  return value.count() % 2 != 0;
}

const std::map<std::string_view, TemplateTest> kTests = {
    {"defined", [](const Datum& value, Given) { return value.defined(); }},
    {"undefined", [](const Datum& value, Given) { return !value.defined(); }},
    {"none", [](const Datum& value, Given) { return value.none(); }},
    {"string", [](const Datum& value, Given) { return value.text() != nullptr; }},
    {"mapping", [](const Datum& value, Given) { return value.dict() != nullptr; }},
    {"sequence",
     [](const Datum& value, Given) {
       return value.text() || value.list() || value.dict() || !value.defined();
     }},
    {"iterable",
     [](const Datum& value, Given) {
       return value.text() || value.list() || value.dict() || !value.defined();
     }},
    {"number", [](const Datum& value, Given) { return value.number(); }},
    {"integer", [](const Datum& value, Given) { return value.integer() != nullptr; }},
    {"float", [](const Datum& value, Given) { return std::holds_alternative<double>(value.is); }},
    {"boolean", [](const Datum& value, Given) { return value.boolean() != nullptr; }},
    {"true", [](const Datum& value, Given) { return value.boolean() && *value.boolean(); }},
    {"false", [](const Datum& value, Given) { return value.boolean() && !*value.boolean(); }},
    {"callable",
     [](const Datum& value, Given) {
       return std::holds_alternative<std::shared_ptr<const DatumFunction>>(value.is);
     }},
    {"odd", odd_number},
    {"even", [](const Datum& value, Given given) { return !odd_number(value, given); }},
    {"divisibleby", divisible},
    {"lower", [](const Datum& v, Given) { return shown(v) == lower_case(shown(v)); }},
    {"upper", [](const Datum& v, Given) { return shown(v) == upper_case(shown(v)); }},
    {"equalto", [](const Datum& value, Given given) { return equal(value, operand(given)); }},
    {"eq", [](const Datum& value, Given given) { return equal(value, operand(given)); }},
    {"ne", [](const Datum& value, Given given) { return !equal(value, operand(given)); }},
    {"lt", [](const Datum& value, Given given) { return compare(value, operand(given)) < 0; }},
    {"gt", [](const Datum& value, Given given) { return compare(value, operand(given)) > 0; }},
    {"le", [](const Datum& value, Given given) { return compare(value, operand(given)) <= 0; }},
    {"ge", [](const Datum& value, Given given) { return compare(value, operand(given)) >= 0; }},
    {"in", [](const Datum& value, Given given) { return contains_item(operand(given), value); }},
};

}  // namespace

TemplateTest find_test(std::string_view name) {
  const auto found = kTests.find(name);
  return found == kTests.end() ? TemplateTest() : found->second;
}

}  // namespace karat
