// Methods of texts and dicts, as Python has them.
#include <fmt/format.h>

#include <map>

#include "chat/scope.h"
#include "karat/error.h"
#include "load/characters.h"

namespace karat {
namespace {
using Method = Datum (*)(FilterCall&);

std::string text_argument(FilterCall& call, std::size_t index) {
  const Datum given = call.argument(index, "");
  if (!given.text()) fail("method", kind_name(given), "a text");
  return *given.text();
}

std::string strip_set(FilterCall& call) {
  const Datum given = call.argument(0, "chars");
  return given.text() ? *given.text() : "";
}

template <bool left, bool right>
Datum strip(FilterCall& call) {
  return Datum::text(stripped(*call.value.text(), strip_set(call), left, right));
}

/// Whether it begins (or ends) with a text, or one of a list.
template <bool begins>
Datum edge(FilterCall& call) {
  const Datum given = call.argument(0, "");
  const std::string& text = *call.value.text();
  for (const Datum& one : given.list() ? *given.list() : DatumList{given}) {
    if (!one.text()) fail("method", kind_name(one), "a text");
    if (begins ? text.starts_with(*one.text()) : text.ends_with(*one.text())) return {true};
  }
  return {false};
}

Datum split_at_spaces(std::string_view rest, std::int64_t most) {
  DatumList parts;
  while (!(rest = stripped(rest, {}, true, false)).empty()) {
    std::size_t size = 0;
    for (const auto one : characters(rest)) {
      if (stripped(one).empty()) break;
      size += one.size();
    }
    if (most-- == 0) size = rest.size();
    parts.push_back(Datum::text(rest.substr(0, size)));
    rest.remove_prefix(size);
  }
  return Datum::list(std::move(parts));
}

Datum split(FilterCall& call) {
  std::string_view rest = *call.value.text();
  const Datum mark = call.argument(0, "sep"), count = call.argument(1, "maxsplit");
  std::int64_t most = count.whole() ? count.count() : -1;
  if (!mark.text()) return split_at_spaces(rest, most);
  if (mark.text()->empty()) fail("split", "an empty text", "what stands between the parts");
  DatumList parts;
  for (auto at = rest.find(*mark.text()); at != rest.npos && most-- != 0;
       at = rest.find(*mark.text())) {
    parts.push_back(Datum::text(rest.substr(0, at)));
    rest.remove_prefix(at + mark.text()->size());
  }
  parts.push_back(Datum::text(rest));
  return Datum::list(std::move(parts));
}

Datum find_in(FilterCall& call) {
  const std::string_view text = *call.value.text();
  const auto at = text.find(text_argument(call, 0));
  if (at == text.npos) return {std::int64_t{-1}};
  return {static_cast<std::int64_t>(characters(text.substr(0, at)).size())};
}

Datum count_in(FilterCall& call) {
  const std::string text = *call.value.text(), one = text_argument(call, 0);
  if (one.empty()) return {static_cast<std::int64_t>(characters(text).size() + 1)};
  std::int64_t count = 0;
  for (auto at = text.find(one); at != text.npos; at = text.find(one, at + one.size())) ++count;
  return {count};
}

Datum replace_in(FilterCall& call) {
  const Datum count = call.argument(2, "count");
  const std::string from = text_argument(call, 0);
  if (from.empty()) fail("replace", "an empty text", "what is to be replaced");
  return {replaced(*call.value.text(), from, text_argument(call, 1),
                   count.whole() ? count.count() : -1)};
}

/// "{} and {name}": fields in order, by number or by name.
Datum format_text(FilterCall& call) {
  std::string out;
  std::string_view rest = *call.value.text();
  for (std::size_t next = 0; !rest.empty();) {
    const char c = rest[0];
    if ((c == '{' || c == '}') && rest.size() > 1 && rest[1] == c) {
      out += c;
      rest.remove_prefix(2);
      continue;
    }
    const auto end = rest.find('}');
    if (c == '}' || (c == '{' && end == rest.npos)) fail("format", "a single brace", "a pair");
    if (c != '{') {
      out += c;
      rest.remove_prefix(1);
      continue;
    }
    const std::string field(rest.substr(1, end - 1));
    const bool number = !field.empty() && field.size() < 4 &&
                        field.find_first_not_of("0123456789") == std::string::npos;
    const std::size_t index = number ? std::stoul(field) : field.empty() ? next++ : SIZE_MAX;
    const Datum value = call.argument(index, field);
    if (!value.defined()) fail("format", fmt::format("{{{}}}", field), "a value for it");
    out += shown(value);
    rest.remove_prefix(end + 1);
  }
  return {out};
}

const std::map<std::string_view, Method> kTextMethods = {
    {"strip", strip<true, true>},
    {"lstrip", strip<true, false>},
    {"rstrip", strip<false, true>},
    {"startswith", edge<true>},
    {"endswith", edge<false>},
    {"split", split},
    {"replace", replace_in},
    {"find", find_in},
    {"count", count_in},
    {"format", format_text},
    {"upper", [](FilterCall& call) { return Datum{upper_case(*call.value.text())}; }},
    {"lower", [](FilterCall& call) { return Datum{lower_case(*call.value.text())}; }},
    {"title", [](FilterCall& call) { return Datum{title_case(*call.value.text())}; }},
    {"capitalize", [](FilterCall& call) { return Datum{capitalized(*call.value.text())}; }},
    {"join",
     [](FilterCall& call) {
       FilterCall other{call.argument(0, ""), {{call.value}, {}}, call.scope};
       return find_filter("join")(other);
     }},
};

const std::map<std::string_view, Method> kDictMethods = {
    {"items", [](FilterCall& call) { return find_filter("items")(call); }},
    {"keys", [](FilterCall& call) { return Datum::list(items_of(call.value)); }},
    {"values",
     [](FilterCall& call) {
       DatumList out;
       for (const auto& [key, value] : *call.value.dict()) out.push_back(value);
       return Datum::list(std::move(out));
     }},
    {"get",
     [](FilterCall& call) {
       const Datum key = call.argument(0, "key");
       const Datum* found = key.text() ? find_key(*call.value.dict(), *key.text()) : nullptr;
       return found ? *found : call.argument(1, "default", {Datum::None{}});
     }},
};

Method find_method(const Datum& object, std::string_view name) {
  if (!object.text() && !object.dict()) return nullptr;
  const auto& table = object.text() ? kTextMethods : kDictMethods;
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace

bool has_method(const Datum& object, std::string_view name) {
  return find_method(object, name);
}

Datum call_method(const Datum& object, const std::string& name, FilterCall& call) {
  const Method method = find_method(object, name);
  if (!method) fail("method", name, "one of a text or a dict");
  Datum out = method(call);
  if (out.text()) call.scope.state.charge(out.text()->size());
  if (out.list()) call.scope.state.charge(out.list()->size() * sizeof(Datum));
  return out;
}

}  // namespace karat
