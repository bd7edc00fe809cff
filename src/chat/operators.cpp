#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chat/scope.h"
#include "karat/error.h"
#include "load/characters.h"

namespace karat {
namespace {

[[noreturn]] void refuse_operands(std::string_view symbol, const Datum& a, const Datum& b) {
  const auto named = [](const Datum& one) {
    const auto* nothing = std::get_if<Datum::Undefined>(&one.is);
    return nothing ? fmt::format("undefined '{}'", nothing->name) : std::string(kind_name(one));
  };
  fail(fmt::format("'{}'", symbol), fmt::format("{} and {}", named(a), named(b)),
       "two numbers, or texts");
}

Datum whole_result(std::string_view symbol, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool over = false;
  if (symbol == "+") over = __builtin_add_overflow(a, b, &out);
  if (symbol == "-") over = __builtin_sub_overflow(a, b, &out);
  if (symbol == "*") over = __builtin_mul_overflow(a, b, &out);
  if (symbol == "//" || symbol == "%") {
    if (b == 0) fail("division", "a divisor of 0", "another");
    if (b == -1) return symbol == "%" ? Datum{std::int64_t{0}} : whole_result("-", 0, a);
    const std::int64_t rest = a % b, shift = rest != 0 && (rest < 0) != (b < 0);
    out = symbol == "%" ? rest + shift * b : a / b - shift;
  }
  if (over) fail("arithmetic", "a number beyond 64 bits", "a smaller one");
  return {out};
}

Datum power_of(const Datum& a, const Datum& b) {
  if (!a.whole() || !b.whole() || b.count() < 0) return {std::pow(a.real(), b.real())};
  if (b.count() > 64 && std::abs(a.real()) > 1) fail("power", "a large exponent", "at most 64");
  Datum out{std::int64_t{1}};
  for (std::int64_t i = 0; i < std::min<std::int64_t>(b.count(), 64); ++i)
    out = whole_result("*", *out.integer(), a.count());
  return out;
}

Datum real_result(std::string_view symbol, double a, double b) {
  if (symbol == "+") return {a + b};
  if (symbol == "-") return {a - b};
  if (symbol == "*") return {a * b};
  if (b == 0) fail("division", "a divisor of 0", "another");
  if (symbol == "/") return {a / b};
  const double floor = std::floor(a / b);
  return {symbol == "//" ? floor : a - floor * b};
}

Datum repeated(const Datum& what, std::int64_t times, TemplateState& state) {
  times = std::max<std::int64_t>(times, 0);
  const std::size_t size = what.text() ? what.text()->size() : what.list()->size() * sizeof(Datum);
  if (size > 0 && times > state.limits.bytes / static_cast<std::int64_t>(size))
    fail("'*'", "too long a result", "a smaller number");
  state.charge(size * static_cast<std::size_t>(times));
  std::string text;
  DatumList items;
  for (std::int64_t i = 0; size > 0 && i < times; ++i) {
    if (what.text()) text += *what.text();
    if (what.list()) items.insert(items.end(), what.list()->begin(), what.list()->end());
  }
  return what.text() ? Datum{std::move(text)} : Datum::list(std::move(items));
}

}  // namespace

Datum joined_texts(const Datum& a, const Datum& b, TemplateState& state) {
  std::string text = shown(a) + shown(b);
  state.charge(text.size());
  return {std::move(text)};
}

Datum arithmetic(std::string_view symbol, const Datum& a, const Datum& b, TemplateState& state) {
  state.step();
  if (symbol == "+" && a.text() && b.text()) return joined_texts(a, b, state);
  if (symbol == "+" && a.list() && b.list()) {
    state.charge((a.list()->size() + b.list()->size()) * sizeof(Datum));
    DatumList items = *a.list();
    items.insert(items.end(), b.list()->begin(), b.list()->end());
    return Datum::list(std::move(items));
  }
  if (symbol == "*" && (a.text() || a.list()) && b.whole()) return repeated(a, b.count(), state);
  if (symbol == "*" && (b.text() || b.list()) && a.whole()) return repeated(b, a.count(), state);
  if (symbol == "%" && a.text()) {
    TemplateScope scope{state};
    FilterCall call{a, {b.list() ? *b.list() : DatumList{b}, {}}, scope};
    return find_filter("format")(call);
  }
  if (!a.number() || !b.number()) refuse_operands(symbol, a, b);
  if (symbol == "**") return power_of(a, b);
  if (a.whole() && b.whole() && symbol != "/") return whole_result(symbol, a.count(), b.count());
  return real_result(symbol, a.real(), b.real());
}

Datum attribute_of(const Datum& object, const Datum& key) {
  if (const auto* nothing = std::get_if<Datum::Undefined>(&object.is))
    fail("template", fmt::format("'{}', which is undefined", nothing->name),
         fmt::format("a value with '{}'", shown(key)));
  const auto* space = std::get_if<std::shared_ptr<DatumNamespace>>(&object.is);
  if (space && key.text()) {
    const auto found = (*space)->values.find(*key.text());
    return found == (*space)->values.end() ? Datum::undefined(*key.text()) : found->second;
  }
  if (object.dict() && key.text())
    if (const Datum* found = find_key(*object.dict(), *key.text())) return *found;
  if (key.whole() && (object.list() || object.text())) {
    const DatumList items = items_of(object);
    const auto count = static_cast<std::int64_t>(items.size());
    const std::int64_t at = key.count() < 0 ? key.count() + count : key.count();
    if (at >= 0 && at < count) return items[static_cast<std::size_t>(at)];
  }
  return Datum::undefined(key.text() ? *key.text() : "an item");
}

Datum slice_of(const Datum& object, const Datum& begin, const Datum& end, const Datum& step) {
  if (!object.list() && !object.text()) fail("slice", kind_name(object), "a list or a text");
  for (const Datum* one : {&begin, &end, &step})
    if (!one->none() && !one->whole()) fail("slice", kind_name(*one), "a whole number");
  const DatumList items = items_of(object);
  const auto count = static_cast<std::int64_t>(items.size());
  const std::int64_t by =
      step.none() ? 1 : std::clamp<std::int64_t>(step.count(), -count - 1, count + 1);
  if (by == 0) fail("slice", "a step of 0", "another");
  const std::int64_t low = by > 0 ? 0 : -1, high = by > 0 ? count : count - 1;
  const auto bound = [&](const Datum& given, std::int64_t otherwise) {
    if (given.none()) return otherwise;
    const std::int64_t at = given.count() < 0 ? given.count() + count : given.count();
    return std::clamp(at, low, high);
  };
  const std::int64_t from = bound(begin, by > 0 ? low : high), to = bound(end, by > 0 ? high : low);
  std::string text;
  DatumList taken;
  for (std::int64_t at = from; by > 0 ? at < to : at > to; at += by) {
    const Datum& item = items[static_cast<std::size_t>(at)];
    object.text() ? void(text += *item.text()) : taken.push_back(item);
  }
  return object.text() ? Datum{std::move(text)} : Datum::list(std::move(taken));
}

bool contains_item(const Datum& all, const Datum& one) {
  if (all.text()) {
    if (!one.text()) fail("'in'", kind_name(one), "a text, to look for in a text");
    return all.text()->find(*one.text()) != std::string::npos;
  }
  if (all.dict()) return one.text() && find_key(*all.dict(), *one.text());
  if (all.list())
    return std::ranges::any_of(*all.list(), [&](const Datum& x) { return equal(x, one); });
  return !items_of(all).empty();
}

}  // namespace karat
