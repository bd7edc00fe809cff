// What stands behind `|`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "chat/scope.h"
#include "karat/error.h"
#include "load/characters.h"

namespace karat {
namespace {

std::int64_t size_of(const Datum& value) {
  return static_cast<std::int64_t>(items_of(value).size());
}

template <std::string (*change)(std::string_view)>
Datum case_filter(FilterCall& call) {
  return {change(shown(call.value))};
}

Datum same_value(FilterCall& call) {
  return call.value;
}

Datum trim_filter(FilterCall& call) {
  const Datum any = call.argument(0, "chars");
  return Datum::text(stripped(shown(call.value), any.text() ? *any.text() : ""));
}

Datum default_filter(FilterCall& call) {
  const bool empty_too = truth(call.argument(1, "boolean"));
  if (call.value.defined() && (!empty_too || truth(call.value))) return call.value;
  return call.argument(0, "default_value", Datum::text(""));
}

Datum tojson_filter(FilterCall& call) {
  JsonStyle style;
  const Datum indent = call.argument(1, "indent"), marks = call.argument(2, "separators");
  if (indent.whole()) {
    style.indent = std::clamp<std::int64_t>(indent.count(), 0, 64);
    style.item = ",";
  }
  if (marks.list() && marks.list()->size() == 2) {
    style.item = shown((*marks.list())[0]);
    style.key = shown((*marks.list())[1]);
  }
  style.ascii = truth(call.argument(0, "ensure_ascii"));
  style.sorted = truth(call.argument(3, "sort_keys"));
  return {json_text(call.value, style)};
}

/// The value at `path`, dots between its names.
Datum value_at(Datum value, const Datum& path) {
  if (!path.text()) return attribute_of(value, path);
  for (std::string_view rest = *path.text();;) {
    const auto dot = rest.find('.');
    value = attribute_of(value, Datum::text(rest.substr(0, dot)));
    if (dot == rest.npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

DatumList values_by(FilterCall& call, const Datum& path) {
  DatumList items = items_of(call.value);
  call.scope.state.step(static_cast<std::int64_t>(items.size()));
  if (path.defined() && !path.none())
    for (Datum& item : items) item = value_at(item, path);
  return items;
}

Datum join_filter(FilterCall& call) {
  const std::string between = shown(call.argument(0, "d", Datum::text("")));
  std::string out;
  bool first = true;
  for (const Datum& item : values_by(call, call.argument(1, "attribute"))) {
    if (!std::exchange(first, false)) out += between;
    out += shown(item);
    if (static_cast<std::int64_t>(out.size()) > call.scope.state.limits.bytes)
      fail("join", "too long a text", "a shorter one");
  }
  return {out};
}

Datum replace_filter(FilterCall& call) {
  const Datum from = call.argument(0, "old"), to = call.argument(1, "new");
  const Datum count = call.argument(2, "count");
  if (!from.defined() || shown(from).empty()) fail("replace", "nothing", "what is to be replaced");
  return {replaced(shown(call.value), shown(from), shown(to), count.whole() ? count.count() : -1)};
}

Datum map_filter(FilterCall& call) {
  const auto& named = call.arguments.named;
  if (named.contains("attribute")) {
    DatumList out = values_by(call, named.at("attribute"));
    const Datum otherwise = call.argument(SIZE_MAX, "default");
    for (Datum& item : out)
      if (!item.defined()) item = otherwise;
    return Datum::list(std::move(out));
  }
  const Datum name = call.argument(0, "");
  const TemplateFilter filter = name.text() ? find_filter(*name.text()) : nullptr;
  if (!filter) fail("map", shown(name), "the name of a filter, or attribute=");
  CallArguments rest = call.arguments;
  rest.plain.erase(rest.plain.begin());
  DatumList out;
  for (const Datum& item : values_by(call, {})) {
    FilterCall one{item, rest, call.scope};
    out.push_back(filter(one));
  }
  return Datum::list(std::move(out));
}

/// selectattr(path, test, value) and select(test, value).
template <bool kept, bool by_attribute>
Datum select_filter(FilterCall& call) {
  CallArguments rest = call.arguments;
  Datum path;
  if (by_attribute) {
    if (rest.plain.empty()) fail("selectattr", "no attribute", "its name");
    path = rest.plain[0];
    rest.plain.erase(rest.plain.begin());
  }
  TemplateTest test = [](const Datum& value, const CallArguments&) { return truth(value); };
  if (!rest.plain.empty()) {
    static const std::map<std::string, std::string> kSigns = {
        {"==", "eq"}, {"!=", "ne"}, {"<", "lt"}, {"<=", "le"}, {">", "gt"}, {">=", "ge"}};
    const std::string name = shown(rest.plain[0]);
    test = find_test(kSigns.contains(name) ? kSigns.at(name) : name);
    if (!test) fail("selectattr", name, "the name of a test");
    rest.plain.erase(rest.plain.begin());
  }
  DatumList out;
  for (const Datum& item : values_by(call, {}))
    if (test(by_attribute ? value_at(item, path) : item, rest) == kept) out.push_back(item);
  return Datum::list(std::move(out));
}

Datum pair_list(const DatumDict& dict) {
  DatumList out;
  for (const auto& [key, value] : dict) out.push_back(Datum::list({Datum::text(key), value}));
  return Datum::list(std::move(out));
}

Datum items_filter(FilterCall& call) {
  if (!call.value.defined()) return Datum::list({});
  if (!call.value.dict()) fail("items", kind_name(call.value), "a dict");
  return pair_list(*call.value.dict());
}

/// As sort, unless told otherwise, letters' cases do not count.
Datum folded(const Datum& value, bool sensitive) {
  return value.text() && !sensitive ? Datum{lower_case(*value.text())} : value;
}

Datum dictsort_filter(FilterCall& call) {
  if (!call.value.dict()) fail("dictsort", kind_name(call.value), "a dict");
  DatumDict dict = *call.value.dict();
  const bool sensitive = truth(call.argument(0, "case_sensitive"));
  std::ranges::stable_sort(dict, [&](const auto& a, const auto& b) {
    return compare(folded(Datum::text(a.first), sensitive),
                   folded(Datum::text(b.first), sensitive)) < 0;
  });
  return pair_list(dict);
}

Datum sort_filter(FilterCall& call) {
  DatumList items = items_of(call.value);
  const bool reverse = truth(call.argument(0, "reverse"));
  const bool sensitive = truth(call.argument(1, "case_sensitive"));
  const Datum path = call.argument(2, "attribute");
  const auto key = [&](const Datum& item) {
    return folded(path.text() ? value_at(item, path) : item, sensitive);
  };
  std::ranges::stable_sort(items, [&](const Datum& a, const Datum& b) {
    return reverse ? compare(key(b), key(a)) < 0 : compare(key(a), key(b)) < 0;
  });
  return Datum::list(std::move(items));
}

Datum unique_filter(FilterCall& call) {
  DatumList out, keys;
  const Datum path = call.argument(1, "attribute");
  for (const Datum& item : items_of(call.value)) {
    const Datum key = folded(path.text() ? value_at(item, path) : item,
                             truth(call.argument(0, "case_sensitive")));
    call.scope.state.step(static_cast<std::int64_t>(keys.size()));
    if (std::ranges::any_of(keys, [&](const Datum& one) { return equal(one, key); })) continue;
    keys.push_back(key);
    out.push_back(item);
  }
  return Datum::list(std::move(out));
}

Datum reverse_filter(FilterCall& call) {
  const Datum none{Datum::None{}};
  if (call.value.text()) return slice_of(call.value, none, none, {std::int64_t{-1}});
  DatumList items = items_of(call.value);
  std::ranges::reverse(items);
  return Datum::list(std::move(items));
}

Datum int_filter(FilterCall& call) {
  if (call.value.whole()) return {call.value.count()};
  const Datum otherwise = call.argument(0, "default", {std::int64_t{0}});
  double value = 0;
  if (call.value.number()) {
    value = call.value.real();
  } else {
    const std::string text(stripped(shown(call.value)));
    char* end = nullptr;
    value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return otherwise;
  }
  return std::abs(value) < 9e18 ? Datum{static_cast<std::int64_t>(value)} : otherwise;
}

Datum float_filter(FilterCall& call) {
  if (call.value.number()) return {call.value.real()};
  const std::string text(stripped(shown(call.value)));
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' ? call.argument(0, "default", {0.0}) : Datum{value};
}

Datum round_filter(FilterCall& call) {
  if (!call.value.number()) fail("round", kind_name(call.value), "a number");
  const Datum digits = call.argument(0, "precision", {std::int64_t{0}});
  const std::string method = shown(call.argument(1, "method", Datum::text("common")));
  const double scale = std::pow(10.0, digits.whole() ? static_cast<double>(digits.count()) : 0);
  const double value = call.value.real() * scale;
  if (method == "ceil") return {std::ceil(value) / scale};
  return {(method == "floor" ? std::floor(value) : std::nearbyint(value)) / scale};
}

Datum indent_filter(FilterCall& call) {
  const Datum width = call.argument(0, "width", {std::int64_t{4}});
  const std::string shift =
      width.whole()
          ? std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(width.count(), 0, 256)),
                        ' ')
          : shown(width);
  const bool first = truth(call.argument(1, "first")), blank = truth(call.argument(2, "blank"));
  std::string out = first ? shift : "";
  const std::string text = shown(call.value);
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '\n' && (blank || (i + 1 < text.size() && text[i + 1] != '\n'))) out += shift;
    if (static_cast<std::int64_t>(out.size()) > call.scope.state.limits.bytes)
      fail("indent", "too long a text", "a shorter one");
  }
  return {out};
}

Datum escape_filter(FilterCall& call) {
  std::string out;
  for (const char c : shown(call.value)) {
    static const std::map<char, std::string> kNames = {
        {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&#34;"}, {'\'', "&#39;"}};
    const auto found = kNames.find(c);
    out += found == kNames.end() ? std::string(1, c) : found->second;
  }
  return {out};
}

/// "%s and %d" with values.
Datum format_filter(FilterCall& call) {
  std::string out;
  const std::string form = shown(call.value);
  std::size_t next = 0;
  for (std::size_t i = 0; i < form.size(); ++i) {
    if (form[i] != '%') {
      out += form[i];
    } else if (++i < form.size() && form[i] == '%') {
      out += '%';
    } else {
      const Datum value = call.argument(next++, "");
      if (i >= form.size() || (form[i] != 's' && form[i] != 'd') || !value.defined())
        fail("format", form, "%s and %d, and a value for each");
      out += shown(value);
    }
  }
  return {out};
}

template <bool first>
Datum end_filter(FilterCall& call) {
  const DatumList items = items_of(call.value);
  if (items.empty()) return Datum::undefined(first ? "first" : "last");
  return first ? items.front() : items.back();
}

const std::map<std::string_view, TemplateFilter> kFilters = {
    {"trim", trim_filter},
    {"upper", case_filter<upper_case>},
    {"lower", case_filter<lower_case>},
    {"title", case_filter<title_case>},
    {"capitalize", case_filter<capitalized>},
    {"safe", same_value},
    {"escape", escape_filter},
    {"e", escape_filter},
    {"string", [](FilterCall& call) { return Datum{shown(call.value)}; }},
    {"length", [](FilterCall& call) { return Datum{size_of(call.value)}; }},
    {"count", [](FilterCall& call) { return Datum{size_of(call.value)}; }},
    {"list", [](FilterCall& call) { return Datum::list(items_of(call.value)); }},
    {"first", end_filter<true>},
    {"last", end_filter<false>},
    {"default", default_filter},
    {"d", default_filter},
    {"tojson", tojson_filter},
    {"join", join_filter},
    {"replace", replace_filter},
    {"map", map_filter},
    {"select", select_filter<true, false>},
    {"reject", select_filter<false, false>},
    {"selectattr", select_filter<true, true>},
    {"rejectattr", select_filter<false, true>},
    {"items", items_filter},
    {"dictsort", dictsort_filter},
    {"sort", sort_filter},
    {"unique", unique_filter},
    {"reverse", reverse_filter},
    {"int", int_filter},
    {"float", float_filter},
    {"round", round_filter},
    {"indent", indent_filter},
    {"format", format_filter},
};

}  // namespace

TemplateFilter find_filter(std::string_view name) {
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? TemplateFilter() : found->second;
}

}  // namespace karat
