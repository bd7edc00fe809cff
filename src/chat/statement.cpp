#include <fmt/format.h>

#include <algorithm>

#include "chat/parser.h"
#include "karat/error.h"

namespace karat {
namespace {

/// What `run` writes, instead of writing it.
std::string captured(const Statement& run, TemplateScope& scope) {
  std::string text;
  std::string* const before = scope.state.out;
  scope.state.out = &text;
  try {
    run(scope);
  } catch (...) {
    scope.state.out = before;
    throw;
  }
  scope.state.out = before;
  return text;
}

void assign(TemplateScope& scope, const std::vector<std::string>& names, Datum value) {
  if (names.size() == 1) {
    scope.values[names[0]] = std::move(value);
    return;
  }
  const DatumList items = items_of(value);
  if (items.size() != names.size())
    fail("template", fmt::format("{} values", items.size()), fmt::format("{}", names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) scope.values[names[i]] = items[i];
}

/// What `loop` is at item `at`.
Datum loop_state(const DatumList& items, std::size_t at) {
  const auto count = static_cast<std::int64_t>(items.size()), index = static_cast<std::int64_t>(at);
  const auto cycle = [at](const CallArguments& call) {
    if (call.plain.empty()) fail("loop.cycle", "nothing", "values");
    return call.plain[at % call.plain.size()];
  };
  return Datum::dict(
      {{"index", {index + 1}},
       {"index0", {index}},
       {"revindex", {count - index}},
       {"revindex0", {count - index - 1}},
       {"first", {at == 0}},
       {"last", {at + 1 == items.size()}},
       {"length", {count}},
       {"cycle", {std::make_shared<const DatumFunction>(cycle)}},
       {"previtem", at > 0 ? items[at - 1] : Datum::undefined("loop.previtem")},
       {"nextitem", at + 1 < items.size() ? items[at + 1] : Datum::undefined("loop.nextitem")}});
}

struct Macro {
  std::string name;
  std::vector<std::pair<std::string, Expression>> parameters;
  Statement body;

  Datum call(const CallArguments& given, TemplateScope& defined) const {
    TemplateState& state = defined.state;
    if (state.depth >= state.limits.depth)
      fail("template", "macros that call each other without end",
           fmt::format("at most {} at a time", state.limits.depth));
    TemplateScope& scope = state.inner(&defined);
    if (given.plain.size() > parameters.size())
      fail(name, fmt::format("{} arguments", given.plain.size()),
           fmt::format("at most {}", parameters.size()));
    for (const auto& [key, value] : given.named) scope.values[key] = value;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto& [key, otherwise] = parameters[i];
      if (i < given.plain.size())
        scope.values[key] = given.plain[i];
      else if (!given.named.contains(key))
        scope.values[key] = otherwise ? otherwise(scope) : Datum::undefined(key);
    }
    ++state.depth;
    std::string text;
    try {
      text = captured(body, scope);
    } catch (...) {
      --state.depth;
      throw;
    }
    --state.depth;
    return {std::move(text)};
  }
};

}  // namespace

Statement TemplateParser::whole() {
  Statement all = body({});
  if (look().kind != Kind::end) refuse("the end");
  return all;
}

void TemplateParser::close(TemplateToken::Kind kind) {
  if (look().kind != kind) refuse(kind == Kind::output_end ? "'}}'" : "'%}'");
  ++at_;
}

/// Statements up to a tag that begins with one of `ends`, whose word comes next then.
Statement TemplateParser::body(const std::vector<std::string_view>& ends) {
  if (++depth_ > 100) refuse("fewer nested blocks");
  std::vector<std::pair<int, Statement>> parts;
  while (look().kind != Kind::end) {
    const int line = look().line;
    if (look().kind == Kind::text) {
      parts.emplace_back(line, [text = tokens_[at_++].text](TemplateScope& scope) {
        scope.state.write(text);
        return Flow::next;
      });
    } else if (look().kind == Kind::output_begin) {
      ++at_;
      parts.emplace_back(line, [value = expression()](TemplateScope& scope) {
        scope.state.write(shown(value(scope)));
        return Flow::next;
      });
      close(Kind::output_end);
    } else {
      ++at_;
      if (std::ranges::find(ends, look().text) != ends.end()) break;
      parts.emplace_back(line, block());
    }
  }
  if (look().kind == Kind::end && !ends.empty()) refuse(fmt::format("'{}'", ends.back()));
  --depth_;
  return [parts](TemplateScope& scope) {
    for (const auto& [line, part] : parts) {
      scope.state.step();
      scope.state.line = line;
      if (const Flow flow = part(scope); flow != Flow::next) return flow;
    }
    return Flow::next;
  };
}

Statement TemplateParser::block() {
  if (take("if")) return if_block();
  if (take("for")) return for_block();
  if (take("set")) return set_block();
  if (take("macro")) return macro_block();
  if (take("filter")) return filter_block();
  if (take("generation")) {  // transformers marks with it what the assistant wrote
    close(Kind::block_end);
    Statement inner = body({"endgeneration"});
    ++at_;
    close(Kind::block_end);
    return inner;
  }
  if (loops_ > 0 && (word("break") || word("continue"))) {
    const Flow flow = name() == "break" ? Flow::leave : Flow::again;
    close(Kind::block_end);
    return [flow](TemplateScope&) { return flow; };
  }
  refuse("if, for, set, macro, filter, generation, or break and continue in a loop");
}

Statement TemplateParser::if_block() {
  std::vector<std::pair<Expression, Statement>> branches;
  Statement otherwise;
  Expression test = expression();
  while (true) {
    close(Kind::block_end);
    Statement inner = body({"elif", "else", "endif"});
    if (test)
      branches.emplace_back(test, inner);
    else
      otherwise = inner;
    if (take("endif")) break;
    if (otherwise) refuse("'endif'");
    test = take("elif") ? expression() : (expect("else"), Expression());
  }
  close(Kind::block_end);
  return [branches, otherwise](TemplateScope& scope) {
    for (const auto& [condition, inner] : branches)
      if (truth(condition(scope))) return inner(scope);
    return otherwise ? otherwise(scope) : Flow::next;
  };
}

std::vector<std::string> TemplateParser::targets() {
  const bool brackets = take("(");
  std::vector<std::string> names = {name()};
  while (take(",")) names.push_back(name());
  if (brackets) expect(")");
  return names;
}

Statement TemplateParser::for_block() {
  const std::vector<std::string> names = targets();
  expect("in");
  const Expression all = either();
  Expression filter;
  if (take("if")) filter = condition();
  close(Kind::block_end);
  ++loops_;
  const Statement inner = body({"else", "endfor"});
  --loops_;
  Statement otherwise;
  if (take("else")) {
    close(Kind::block_end);
    otherwise = body({"endfor"});
  }
  expect("endfor");
  close(Kind::block_end);
  return [=](TemplateScope& outer) {
    TemplateScope& scope = outer.state.inner(&outer);
    DatumList items;
    for (Datum& item : items_of(all(outer))) {
      outer.state.step();
      if (filter) assign(scope, names, item);
      if (!filter || truth(filter(scope))) items.push_back(std::move(item));
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      scope.values.clear();
      assign(scope, names, items[i]);
      scope.values["loop"] = loop_state(items, i);
      if (inner(scope) == Flow::leave) break;
    }
    return items.empty() && otherwise ? otherwise(outer) : Flow::next;
  };
}

Statement TemplateParser::set_block() {
  if (look(1).text == "." && look(1).kind == Kind::symbol) {
    const std::string held = name();
    expect(".");
    const std::string key = name();
    expect("=");
    const Expression value = expression();
    close(Kind::block_end);
    return [held, key, value](TemplateScope& scope) {
      const Datum found = scope.find(held);
      const auto* space = std::get_if<std::shared_ptr<DatumNamespace>>(&found.is);
      if (!space) fail("set", fmt::format("{} '{}'", kind_name(found), held), "a namespace");
      (*space)->values[key] = value(scope);
      return Flow::next;
    };
  }
  const std::vector<std::string> names = targets();
  if (take("=")) {
    const Expression value = expression();
    close(Kind::block_end);
    return [names, value](TemplateScope& scope) {
      assign(scope, names, value(scope));
      return Flow::next;
    };
  }
  Filters all;
  if (take("|")) all = filters();
  close(Kind::block_end);
  const Statement inner = body({"endset"});
  ++at_;
  close(Kind::block_end);
  return [names, inner, all](TemplateScope& scope) {
    assign(scope, names, through(all, {captured(inner, scope.state.inner(&scope))}, scope));
    return Flow::next;
  };
}

std::vector<std::pair<std::string, Expression>> TemplateParser::parameters() {
  std::vector<std::pair<std::string, Expression>> out;
  expect("(");
  while (!take(")")) {
    const std::string key = name();
    out.emplace_back(key, take("=") ? condition() : Expression());
    if (!symbol(")")) expect(",");
  }
  return out;
}

Statement TemplateParser::macro_block() {
  const std::string called = name();
  const auto given = parameters();
  close(Kind::block_end);
  const int loops = std::exchange(loops_, 0);
  const Statement inner = body({"endmacro"});
  loops_ = loops;
  ++at_;
  close(Kind::block_end);
  const auto macro = std::make_shared<const Macro>(Macro{called, given, inner});
  return [macro](TemplateScope& scope) {
    TemplateScope* const defined = &scope;
    const DatumFunction function = [macro, defined](const CallArguments& arguments) {
      return macro->call(arguments, *defined);
    };
    scope.values[macro->name] = {std::make_shared<const DatumFunction>(function)};
    return Flow::next;
  };
}

TemplateParser::Filters TemplateParser::filters() {
  Filters out;
  do {
    const TemplateFilter filter =
        look().kind == Kind::name ? find_filter(look().text) : TemplateFilter();
    if (!filter) refuse("the name of a filter");
    ++at_;
    Arguments given;
    if (take("(")) given = arguments();
    out.emplace_back(filter, given);
  } while (take("|"));
  return out;
}

Statement TemplateParser::filter_block() {
  const Filters all = filters();
  close(Kind::block_end);
  const Statement inner = body({"endfilter"});
  ++at_;
  close(Kind::block_end);
  return [all, inner](TemplateScope& scope) {
    scope.state.write(shown(through(all, {captured(inner, scope.state.inner(&scope))}, scope)));
    return Flow::next;
  };
}

}  // namespace karat
