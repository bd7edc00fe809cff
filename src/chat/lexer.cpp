#include "chat/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "karat/error.h"
#include "load/characters.h"

namespace karat {
namespace {
using Kind = TemplateToken::Kind;

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<TemplateToken> tokens() {
    while (at_ < source_.size()) piece();
    push(Kind::end, "");
    return std::move(out_);
  }

 private:
  void push(Kind kind, std::string text) { out_.push_back({kind, std::move(text), line_}); }
  char look(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void advance(std::size_t count) {
    const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(at_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(count), '\n'));
    at_ += count;
  }
  [[noreturn]] void refuse(std::string_view got, std::string_view expected) const {
    fail(fmt::format("chat template, line {}", line_), got, expected);
  }

  /// Text up to the next tag, and that tag.
  void piece() {
    std::size_t tag = at_;
    for (; tag < source_.size(); ++tag)
      if (source_[tag] == '{' && tag + 1 < source_.size() &&
          std::string_view("{%#").find(source_[tag + 1]) != std::string_view::npos)
        break;
    std::string text = source_.substr(at_, tag - at_);
    const bool found = tag < source_.size();
    const char kind = found ? source_[tag + 1] : '\0';
    const char mark = found && tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (mark == '-')
      text = std::string(stripped(text, {}, false, true));
    else if (found && kind != '{' && mark != '+')
      strip_line(text);
    if (!text.empty()) push(Kind::text, text);
    advance(tag - at_);
    if (!found) return;
    advance(mark == '-' || (mark == '+' && kind == '%') ? 3 : 2);
    kind == '#' ? comment() : words(kind == '{');
  }

  /// lstrip_blocks: white space between the line's begin and a block goes.
  void strip_line(std::string& text) const {
    const auto kept = text.find_last_not_of(" \t\v\f");
    if (kept == std::string::npos ? at_ == 0 || source_[at_ - 1] == '\n' : text[kept] == '\n')
      text.resize(kept == std::string::npos ? 0 : kept + 1);
  }

  /// What follows a tag: `-` takes all white space, a block's end the first line's end.
  void after_tag(char mark, bool block) {
    if (mark == '-') {
      const std::string_view rest = std::string_view(source_).substr(at_);
      advance(rest.size() - stripped(rest, {}, true, false).size());
    } else if (block && mark != '+' && look() == '\n') {
      advance(1);
    }
  }

  void comment() {
    const auto end = source_.find("#}", at_);
    if (end == std::string::npos) refuse("a comment without end", "#}");
    const char mark = source_[end - 1];
    advance(end + 2 - at_);
    after_tag(mark, true);
  }

  /// The tokens of `{{ … }}` or `{% … %}`.
  void words(bool output) {
    const char close = output ? '}' : '%';
    push(output ? Kind::output_begin : Kind::block_begin, "");
    int depth = 0;
    while (true) {
      while (std::isspace(static_cast<unsigned char>(look()))) advance(1);
      if (look() == '\0') refuse("a tag without end", output ? "}}" : "%}");
      const bool marked = (look() == '-' || look() == '+') && look(1) == close && look(2) == '}';
      if (marked || (depth == 0 && look() == close && look(1) == '}')) {
        const char mark = marked ? look() : '\0';
        push(output ? Kind::output_end : Kind::block_end, "");
        advance(marked ? 3 : 2);
        return after_tag(mark, !output);
      }
      word(depth);
    }
  }

  void word(int& depth) {
    const char c = look();
    if (std::isdigit(static_cast<unsigned char>(c))) return number();
    if (std::isalpha(static_cast<unsigned char>(c)) || c == '_') return name();
    if (c == '"' || c == '\'') return string(c);
    for (const std::string_view two : {"==", "!=", "<=", ">=", "//", "**"})
      if (c == two[0] && look(1) == two[1]) {
        push(Kind::symbol, std::string(two));
        return advance(2);
      }
    if (std::string_view("()[]{}.,:|=<>+-*/%~").find(c) == std::string_view::npos)
      refuse(fmt::format("'{}'", c), "an expression");
    depth += std::string_view("([{").find(c) != std::string_view::npos;
    depth -= std::string_view(")]}").find(c) != std::string_view::npos;
    push(Kind::symbol, std::string(1, c));
    advance(1);
  }

  void name() {
    const std::size_t begin = at_;
    while (std::isalnum(static_cast<unsigned char>(look())) || look() == '_') advance(1);
    push(Kind::name, source_.substr(begin, at_ - begin));
  }

  void number() {
    const std::size_t begin = at_;
    const auto digits = [&] {
      while (std::isdigit(static_cast<unsigned char>(look()))) advance(1);
    };
    digits();
    bool real = look() == '.' && std::isdigit(static_cast<unsigned char>(look(1)));
    if (real) advance(1), digits();
    const std::size_t sign = look(1) == '-' || look(1) == '+';
    if ((look() == 'e' || look() == 'E') &&
        std::isdigit(static_cast<unsigned char>(look(1 + sign)))) {
      real = true;
      advance(1 + sign);
      digits();
    }
    push(real ? Kind::real : Kind::integer, source_.substr(begin, at_ - begin));
  }

  void string(char mark) {
    std::string text;
    advance(1);
    for (; look() != mark; advance(1)) {
      if (at_ >= source_.size()) refuse("a text without end", std::string(1, mark));
      if (look() != '\\') {
        text += look();
        continue;
      }
      advance(1);
      constexpr std::string_view kEscapes = "nrtbfva0", kMeant = "\n\r\t\b\f\v\a";
      const auto found = kEscapes.find(look());
      if (found < kMeant.size())
        text += kMeant[found];
      else if (look() == mark || look() == '\\' || look() == '\'' || look() == '"')
        text += look();
      else if (look() != '\n')
        (text += '\\') += look();
    }
    advance(1);
    push(Kind::string, text);
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<TemplateToken> out_;
};

}  // namespace

std::vector<TemplateToken> template_tokens(std::string_view source) {
  std::string text = replaced(replaced(source, "\r\n", "\n"), "\r", "\n");
  if (text.ends_with('\n')) text.pop_back();
  return Lexer(std::move(text)).tokens();
}

}  // namespace karat
