#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "chat/parser.h"
#include "karat/error.h"

namespace karat {
namespace {
constexpr int kDeepest = 200;

struct Nested {
  explicit Nested(int& depth) : depth_(depth) { ++depth_; }
  ~Nested() { --depth_; }
  int& depth_;
};

bool holds(std::string_view symbol, const Datum& a, const Datum& b) {
  if (symbol == "==") return equal(a, b);
  if (symbol == "!=") return !equal(a, b);
  if (symbol == "in") return contains_item(b, a);
  if (symbol == "not in") return !contains_item(b, a);
  const int order = compare(a, b);
  if (symbol == "<") return order < 0;
  if (symbol == "<=") return order <= 0;
  return symbol == ">" ? order > 0 : order >= 0;
}

Datum called(const Datum& value, const CallArguments& arguments, TemplateState& state) {
  state.step();
  const auto* held = std::get_if<std::shared_ptr<const DatumFunction>>(&value.is);
  if (held) return (**held)(arguments);
  const auto* nothing = std::get_if<Datum::Undefined>(&value.is);
  fail("call", nothing ? fmt::format("'{}', which is undefined", nothing->name) : kind_name(value),
       "a function");
}

}  // namespace

void TemplateParser::deeper() {
  if (depth_ > kDeepest) refuse("fewer nested parts");
}

void TemplateParser::refuse(std::string_view expected) const {
  const TemplateToken& token = look();
  const bool shows = token.kind >= Kind::name && token.kind != Kind::end;
  fail(fmt::format("chat template, line {}", token.line),
       shows ? fmt::format("'{}'", token.text) : "another part", expected);
}

bool TemplateParser::take(std::string_view text) {
  const bool there = symbol(text) || word(text);
  at_ += there;
  return there;
}

void TemplateParser::expect(std::string_view text) {
  if (!take(text)) refuse(fmt::format("'{}'", text));
}

std::string TemplateParser::name() {
  if (look().kind != Kind::name) refuse("a name");
  return tokens_[at_++].text;
}

/// One expression, or several with commas between: a tuple.
Expression TemplateParser::expression() {
  Expression first = condition();
  if (!symbol(",")) return first;
  std::vector<Expression> items = {first};
  while (take(",")) items.push_back(condition());
  return [items](TemplateScope& scope) {
    DatumList values;
    for (const Expression& item : items) values.push_back(item(scope));
    return Datum::list(std::move(values));
  };
}

Expression TemplateParser::condition() {
  const Nested nested(depth_);
  deeper();
  Expression value = either();
  while (take("if")) {
    const Expression test = either();
    Expression otherwise = [](TemplateScope&) { return Datum::undefined("else"); };
    if (take("else")) otherwise = condition();
    value = [value, test, otherwise](TemplateScope& scope) {
      return truth(test(scope)) ? value(scope) : otherwise(scope);
    };
  }
  return value;
}

Expression TemplateParser::either() {
  Expression left = both();
  while (take("or"))
    left = [left, right = both()](TemplateScope& scope) {
      Datum value = left(scope);
      return truth(value) ? value : right(scope);
    };
  return left;
}

Expression TemplateParser::both() {
  Expression left = negation();
  while (take("and"))
    left = [left, right = negation()](TemplateScope& scope) {
      Datum value = left(scope);
      return truth(value) ? right(scope) : value;
    };
  return left;
}

Expression TemplateParser::negation() {
  if (!take("not")) return comparison();
  const Nested nested(depth_);
  deeper();
  return [value = negation()](TemplateScope& scope) { return Datum{!truth(value(scope))}; };
}

Expression TemplateParser::comparison() {
  Expression first = sum();
  std::vector<std::pair<std::string, Expression>> rest;
  while (true) {
    std::string found;
    for (const std::string_view one : {"==", "!=", "<", "<=", ">", ">=", "in"})
      if (found.empty() && take(one)) found = one;
    if (found.empty() && word("not") && look(1).text == "in" && look(1).kind == Kind::name) {
      at_ += 2;
      found = "not in";
    }
    if (found.empty()) break;
    rest.emplace_back(found, sum());
  }
  if (rest.empty()) return first;
  return [first, rest](TemplateScope& scope) {
    Datum left = first(scope);
    for (const auto& [symbol, next] : rest) {
      Datum right = next(scope);
      if (!holds(symbol, left, right)) return Datum{false};
      left = std::move(right);
    }
    return Datum{true};
  };
}

Expression TemplateParser::binary(Expression (TemplateParser::*next)(), std::string_view symbols) {
  Expression left = (this->*next)();
  while (look().kind == Kind::symbol &&
         fmt::format(" {} ", symbols).find(" " + look().text + " ") != std::string::npos) {
    const std::string symbol = tokens_[at_++].text;
    left = [left, symbol, right = (this->*next)()](TemplateScope& scope) {
      const Datum a = left(scope);
      return arithmetic(symbol, a, right(scope), scope.state);
    };
  }
  return left;
}

Expression TemplateParser::sum() {
  return binary(&TemplateParser::concatenation, "+ -");
}
Expression TemplateParser::product() {
  return binary(&TemplateParser::power, "* / // %");
}

Expression TemplateParser::concatenation() {
  Expression left = product();
  while (take("~"))
    left = [left, right = product()](TemplateScope& scope) {
      const Datum a = left(scope);
      return joined_texts(a, right(scope), scope.state);
    };
  return left;
}

Expression TemplateParser::power() {
  Expression left = unary();
  while (take("**"))
    left = [left, right = unary()](TemplateScope& scope) {
      const Datum a = left(scope);
      return arithmetic("**", a, right(scope), scope.state);
    };
  return left;
}

Expression TemplateParser::unary(bool filters) {
  const Nested nested(depth_);
  deeper();
  Expression value;
  if (symbol("-") || symbol("+")) {
    const std::string sign = tokens_[at_++].text;
    value = [sign, inner = unary(false)](TemplateScope& scope) {
      return arithmetic(sign, Datum{std::int64_t{0}}, inner(scope), scope.state);
    };
  } else {
    value = postfix(primary());
  }
  if (!filters) return value;
  while (symbol("|") || word("is")) value = take("is") ? tested(value) : filtered(value);
  return value;
}

Expression TemplateParser::list(std::string_view end) {
  std::vector<Expression> items;
  while (!take(end)) {
    items.push_back(condition());
    if (!symbol(end)) expect(",");
  }
  return [items](TemplateScope& scope) {
    DatumList values;
    for (const Expression& item : items) values.push_back(item(scope));
    return Datum::list(std::move(values));
  };
}

Expression TemplateParser::dict() {
  std::vector<std::pair<Expression, Expression>> items;
  while (!take("}")) {
    const Expression key = condition();
    expect(":");
    items.emplace_back(key, condition());
    if (!symbol("}")) expect(",");
  }
  return [items](TemplateScope& scope) {
    DatumDict values;
    for (const auto& [key, value] : items) values.emplace_back(shown(key(scope)), value(scope));
    return Datum::dict(std::move(values));
  };
}

Expression TemplateParser::primary() {
  const TemplateToken token = look();
  ++at_;
  const auto constant = [](Datum value) {
    return [value = std::move(value)](TemplateScope&) { return value; };
  };
  if (token.kind == Kind::integer)
    return constant({std::int64_t{std::strtoll(token.text.c_str(), nullptr, 10)}});
  if (token.kind == Kind::real) return constant({std::strtod(token.text.c_str(), nullptr)});
  if (token.kind == Kind::string) {
    std::string text = token.text;
    while (look().kind == Kind::string) text += tokens_[at_++].text;
    return constant({text});
  }
  if (token.kind == Kind::name) {
    const std::string& word = token.text;
    if (word == "true" || word == "True") return constant({true});
    if (word == "false" || word == "False") return constant({false});
    if (word == "none" || word == "None") return constant({Datum::None{}});
    return [word](TemplateScope& scope) { return scope.find(word); };
  }
  if (token.kind == Kind::symbol && token.text == "[") return list("]");
  if (token.kind == Kind::symbol && token.text == "{") return dict();
  if (token.kind != Kind::symbol || token.text != "(") --at_, refuse("a value");
  if (take(")")) return constant(Datum::list({}));
  Expression inner = condition();
  if (!take(",")) return expect(")"), inner;
  return [inner, rest = list(")")](TemplateScope& scope) {
    DatumList items = {inner(scope)};
    for (Datum& item : items_of(rest(scope))) items.push_back(std::move(item));
    return Datum::list(std::move(items));
  };
}

CallArguments TemplateParser::Arguments::of(TemplateScope& scope) const {
  CallArguments out;
  for (const Expression& one : plain) out.plain.push_back(one(scope));
  for (const auto& [name, one] : named) out.named[name] = one(scope);
  return out;
}

TemplateParser::Arguments TemplateParser::arguments() {
  Arguments out;
  while (!take(")")) {
    if (look().kind == Kind::name && look(1).kind == Kind::symbol && look(1).text == "=") {
      const std::string key = name();
      ++at_;
      out.named.emplace_back(key, condition());
    } else {
      out.plain.push_back(condition());
    }
    if (!symbol(")")) expect(",");
  }
  return out;
}

Expression TemplateParser::postfix(Expression value) {
  for (int chained = 0;; ++chained) {
    if (chained > kDeepest) refuse("fewer parts");
    if (take("."))
      value = member(value);
    else if (take("["))
      value = subscript(value);
    else if (take("("))
      value = [value, given = arguments()](TemplateScope& scope) {
        const Datum function = value(scope);
        return called(function, given.of(scope), scope.state);
      };
    else
      return value;
  }
}

/// `.name`, or a method that is called at once.
Expression TemplateParser::member(Expression object) {
  const bool index = look().kind == Kind::integer;
  const std::string key = index ? tokens_[at_++].text : name();
  if (index || !take("("))
    return [object, key](TemplateScope& scope) {
      return attribute_of(object(scope), Datum::text(key));
    };
  return [object, key, given = arguments()](TemplateScope& scope) {
    const Datum value = object(scope);
    if (!has_method(value, key))
      return called(attribute_of(value, Datum::text(key)), given.of(scope), scope.state);
    scope.state.step();
    FilterCall call{value, given.of(scope), scope};
    return call_method(value, key, call);
  };
}

Expression TemplateParser::subscript(Expression object) {
  Expression parts[3];
  int part = 0;
  bool slice = false;
  for (; !take("]");) {
    if (take(":")) {
      slice = true;
      if (++part > 2) refuse("']'");
    } else if (parts[part]) {
      refuse("']'");
    } else {
      parts[part] = condition();
    }
  }
  if (!slice && !parts[0]) refuse("an index");
  if (!slice)
    return [object, key = parts[0]](TemplateScope& scope) {
      const Datum value = object(scope);
      return attribute_of(value, key(scope));
    };
  for (Expression& one : parts)
    if (!one) one = [](TemplateScope&) { return Datum{Datum::None{}}; };
  return [object, a = parts[0], b = parts[1], c = parts[2]](TemplateScope& scope) {
    Datum out = slice_of(object(scope), a(scope), b(scope), c(scope));
    scope.state.charge(out.text() ? out.text()->size() : out.list()->size() * sizeof(Datum));
    return out;
  };
}

Expression TemplateParser::filtered(Expression value) {
  expect("|");
  return
      [value, all = filters()](TemplateScope& scope) { return through(all, value(scope), scope); };
}

Datum TemplateParser::through(const Filters& all, Datum value, TemplateScope& scope) {
  for (const auto& [filter, given] : all) {
    scope.state.step();
    FilterCall call{std::move(value), given.of(scope), scope};
    value = filter(call);
    if (value.text()) scope.state.charge(value.text()->size());
  }
  return value;
}

Expression TemplateParser::tested(Expression value) {
  const bool negated = take("not");
  const TemplateTest test = look().kind == Kind::name ? find_test(look().text) : TemplateTest();
  if (!test) refuse("the name of a test");
  ++at_;
  Arguments given;
  const bool operand =
      look().kind == Kind::string || look().kind == Kind::integer || symbol("[") || symbol("{");
  const bool keyword = word("else") || word("or") || word("and") || word("is") || word("if") ||
                       word("not") || word("in");
  if (take("("))
    given = arguments();
  else if (operand || (look().kind == Kind::name && !keyword))
    given.plain.push_back(postfix(primary()));
  return [value, test, negated, given](TemplateScope& scope) {
    const Datum of = value(scope);
    return Datum{test(of, given.of(scope)) != negated};
  };
}

}  // namespace karat
