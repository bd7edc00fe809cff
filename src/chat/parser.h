// A template's tokens made into functions.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/lexer.h"
#include "chat/scope.h"

namespace karat {

class TemplateParser {
 public:
  explicit TemplateParser(std::string_view source) : tokens_(template_tokens(source)) {}
  Statement whole();  // throws Error with the line of what is malformed

 private:
  using Kind = TemplateToken::Kind;
  const TemplateToken& look(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool symbol(std::string_view text) const {
    return look().kind == Kind::symbol && look().text == text;
  }
  bool word(std::string_view text) const {
    return look().kind == Kind::name && look().text == text;
  }
  bool take(std::string_view text);  // a symbol or a word, if it comes next
  void expect(std::string_view text);
  std::string name();
  void close(TemplateToken::Kind kind);
  [[noreturn]] void refuse(std::string_view expected) const;
  void deeper();

  // Expressions, from what binds least to what binds most.
  Expression expression();
  Expression condition();
  Expression either();
  Expression both();
  Expression negation();
  Expression comparison();
  Expression sum();
  Expression concatenation();
  Expression product();
  Expression power();
  Expression unary(bool filters = true);
  Expression primary();
  Expression list(std::string_view end);
  Expression dict();
  Expression postfix(Expression value);
  Expression member(Expression object);
  Expression subscript(Expression object);
  Expression filtered(Expression value);
  Expression tested(Expression value);
  Expression binary(Expression (TemplateParser::*next)(), std::string_view symbols);
  struct Arguments {
    std::vector<Expression> plain;
    std::vector<std::pair<std::string, Expression>> named;
    CallArguments of(TemplateScope& scope) const;
  };
  Arguments arguments();
  using Filters = std::vector<std::pair<TemplateFilter, Arguments>>;
  Filters filters();
  /// `value` through all of them.
  static Datum through(const Filters& all, Datum value, TemplateScope& scope);

  // Statements. Each `…_block` begins behind its word.
  Statement body(const std::vector<std::string_view>& ends);
  Statement block();
  Statement if_block();
  Statement for_block();
  Statement set_block();
  Statement macro_block();
  Statement filter_block();
  std::vector<std::string> targets();
  std::vector<std::pair<std::string, Expression>> parameters();

  std::vector<TemplateToken> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
};

}  // namespace karat
