// "Question: {goal|strip}\nAnswer:" — how a task file turns a row of data into text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

/// Text with places for the fields of a row. {a.b} is field b of field a; {a|f|g:x} passes through
/// filters from the left; "{{" and "}}" are braces. A filter may name another field.
class Template {
 public:
  /// Throws Error naming `where` when braces do not match or a filter is unknown.
  Template(std::string_view text, const std::string& where);
  /// The whole text passes through a filter ("wikihow") as well.
  void then(std::string_view filter, const std::string& where);

  /// Names of the fields it reads, without what is behind a point.
  std::vector<std::string> fields() const;
  /// Throws Error naming `where` when a field is missing or a filter cannot be applied.
  std::string render(const nlohmann::json& row, const std::string& where) const;
  /// One text for each element of the one field that is a list; one text when none is.
  std::vector<std::string> render_each(const nlohmann::json& row, const std::string& where) const;

 private:
  struct Filter {
    std::string name, argument;
  };
  struct Piece {
    std::string text, field;  // one of them
    std::vector<Filter> filters;
  };
  static Filter parse_filter(std::string_view text, const std::string& where);
  static Piece parse_field(std::string_view text, const std::string& where);
  std::string value(const Piece& piece, const nlohmann::json& found, const nlohmann::json& row,
                    const std::string& where) const;
  std::string finished(std::string text, const nlohmann::json& row, const std::string& where) const;
  std::vector<Piece> pieces_;
  std::vector<Filter> finish_;
};

}  // namespace karat
