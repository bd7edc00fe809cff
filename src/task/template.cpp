#include "task/template.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "karat/error.h"
#include "load/characters.h"
#include "task/text.h"

namespace karat {
namespace {

using nlohmann::json;

/// What a filter may look at.
struct FilterInput {
  std::string text;
  const std::string& argument;
  const json& row;
  const std::string& where;
};

const json& field_of(const json& row, std::string_view path, const std::string& where) {
  const json* found = &row;
  for (std::string_view rest = path; !rest.empty();) {
    const std::size_t point = rest.find('.');
    const std::string name(rest.substr(0, point));
    if (!found->is_object() || !found->contains(name))
      fail(where, "no field \"" + std::string(path) + "\"", "a row that has it");
    found = &(*found)[name];
    rest = point == rest.npos ? std::string_view{} : rest.substr(point + 1);
  }
  return *found;
}

std::string text_of(const json& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "1" : "0";
  if (value.is_number()) return value.dump();
  fail(where, std::string("a field that is ") + value.type_name(), "a text or a number");
}

/// The part of the text before or after the first (or last) occurrence of the argument.
std::string part_of(const FilterInput& in, bool before, bool first) {
  const std::size_t found = first ? in.text.find(in.argument) : in.text.rfind(in.argument);
  if (found == std::string::npos)
    fail(in.where, "a text without \"" + in.argument + "\"", "one with it");
  return before ? in.text.substr(0, found) : in.text.substr(found + in.argument.size());
}

/// "cause=because,effect=therefore"
std::string looked_up(const FilterInput& in) {
  for (std::string_view rest = in.argument; !rest.empty();) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    const std::size_t equals = entry.find('=');
    if (equals != entry.npos && entry.substr(0, equals) == in.text)
      return std::string(entry.substr(equals + 1));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
  }
  fail(in.where, "\"" + in.text + "\"", "a value among " + in.argument);
}

std::string index_in(const FilterInput& in) {
  const json& list = field_of(in.row, in.argument, in.where);
  for (std::size_t i = 0; i < list.size(); ++i)
    if (text_of(list.at(i), in.where) == in.text) return std::to_string(i);
  fail(in.where, "\"" + in.text + "\"", "one of the values of " + in.argument);
}

const std::map<std::string, std::function<std::string(const FilterInput&)>>& filters() {
  using In = const FilterInput&;
  static const std::map<std::string, std::function<std::string(In)>> table{
      {"strip", [](In in) { return std::string(without_space(in.text)); }},
      {"capitalize", [](In in) { return capitalized(in.text); }},
      {"lower_first", [](In in) { return lower_first(in.text); }},
      {"drop_last", [](In in) { return std::string(without_last(in.text)); }},
      {"wikihow", [](In in) { return without_wikihow_marks(in.text); }},
      {"spaces", [](In in) { return replaced(in.text, "_", " "); }},
      {"before", [](In in) { return part_of(in, true, true); }},
      {"after", [](In in) { return part_of(in, false, true); }},
      {"before_last", [](In in) { return part_of(in, true, false); }},
      {"after_last", [](In in) { return part_of(in, false, false); }},
      {"map", looked_up},
      {"index_in", index_in},
  };
  return table;
}

}  // namespace

Template::Filter Template::parse_filter(std::string_view text, const std::string& where) {
  const std::size_t colon = text.find(':');
  Filter filter{std::string(text.substr(0, colon)), {}};
  if (colon != text.npos) filter.argument = text.substr(colon + 1);
  if (filters().contains(filter.name)) return filter;
  std::string names;
  for (const auto& [name, apply] : filters()) names += (names.empty() ? "" : ", ") + name;
  fail(where, "the filter \"" + filter.name + "\"", "one of " + names);
}

Template::Piece Template::parse_field(std::string_view text, const std::string& where) {
  Piece piece{{}, std::string(text.substr(0, text.find('|'))), {}};
  if (piece.field.empty()) fail(where, "{} without a name", "the name of a field");
  for (std::size_t bar; (bar = text.find('|')) != text.npos;) {
    text.remove_prefix(bar + 1);
    piece.filters.push_back(parse_filter(text.substr(0, text.find('|')), where));
  }
  return piece;
}

Template::Template(std::string_view text, const std::string& where) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool twice = at + 1 < text.size() && text[at] == text[at + 1];
    if ((text[at] == '{' || text[at] == '}') && twice) {
      plain += text[at++];
    } else if (text[at] == '{') {
      const std::size_t close = text.find('}', at);
      if (close == text.npos) fail(where, "{ without }", "{field}", "{{ stands for a brace");
      pieces_.push_back({std::exchange(plain, {}), {}, {}});
      pieces_.push_back(parse_field(text.substr(at + 1, close - at - 1), where));
      at = close;
    } else if (text[at] == '}') {
      fail(where, "} without {", "{field}", "}} stands for a brace");
    } else {
      plain += text[at];
    }
  }
  pieces_.push_back({std::move(plain), {}, {}});
}

void Template::then(std::string_view filter, const std::string& where) {
  finish_.push_back(parse_filter(filter, where));
}

std::vector<std::string> Template::fields() const {
  std::vector<std::string> names;
  for (const Piece& piece : pieces_)
    if (!piece.field.empty()) names.push_back(piece.field.substr(0, piece.field.find('.')));
  return names;
}

std::string Template::value(const Piece& piece, const json& found, const json& row,
                            const std::string& where) const {
  std::string text = text_of(found, where);
  for (const Filter& filter : piece.filters)
    text = filters().at(filter.name)({std::move(text), filter.argument, row, where});
  return text;
}

std::string Template::finished(std::string text, const json& row, const std::string& where) const {
  for (const Filter& filter : finish_)
    text = filters().at(filter.name)({std::move(text), filter.argument, row, where});
  return text;
}

std::string Template::render(const json& row, const std::string& where) const {
  std::string out;
  for (const Piece& piece : pieces_)
    out += piece.field.empty() ? piece.text
                               : value(piece, field_of(row, piece.field, where), row, where);
  return finished(std::move(out), row, where);
}

std::vector<std::string> Template::render_each(const json& row, const std::string& where) const {
  const json* list = nullptr;
  for (const Piece& piece : pieces_)
    if (!piece.field.empty() && field_of(row, piece.field, where).is_array())
      list = &field_of(row, piece.field, where);
  if (!list) return {render(row, where)};
  std::vector<std::string> out(list->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (const Piece& piece : pieces_) {
      if (piece.field.empty()) {
        out[i] += piece.text;
        continue;
      }
      const json& found = field_of(row, piece.field, where);
      out[i] += value(piece, &found == list ? found.at(i) : found, row, where);
    }
    out[i] = finished(std::move(out[i]), row, where);
  }
  return out;
}

}  // namespace karat
