#include "chat/scope.h"

#include <fmt/format.h>

#include <ctime>

#include "karat/error.h"

namespace karat {

TemplateState::~TemplateState() {
  for (const auto& one : namespaces) one->values.clear();
}

void TemplateState::step(std::int64_t count) {
  steps += count;
  if (steps > limits.steps)
    fail("template", "a rendering without end", fmt::format("at most {} steps", limits.steps));
}

void TemplateState::charge(std::size_t count) {
  if (count > static_cast<std::size_t>(limits.bytes) ||
      (bytes += static_cast<std::int64_t>(count)) > limits.bytes)
    fail("template", "too much text", fmt::format("at most {} bytes", limits.bytes));
}

void TemplateState::write(std::string_view text) {
  charge(text.size());
  *out += text;
}

TemplateScope& TemplateState::inner(TemplateScope* outer) {
  charge(sizeof(TemplateScope));
  return scopes.emplace_back(TemplateScope{*this, outer});
}

Datum TemplateScope::find(std::string_view name) const {
  for (const TemplateScope* scope = this; scope; scope = scope->outer)
    if (const auto found = scope->values.find(name); found != scope->values.end())
      return found->second;
  return Datum::undefined(name);
}

Datum argument(const CallArguments& call, std::size_t index, const std::string& name,
               Datum otherwise) {
  if (index < call.plain.size()) return call.plain[index];
  const auto found = call.named.find(name);
  return found == call.named.end() ? std::move(otherwise) : found->second;
}

namespace {

Datum function(DatumFunction called) {
  return {std::make_shared<const DatumFunction>(std::move(called))};
}

Datum numbers(const CallArguments& call, TemplateState& state) {
  std::int64_t bounds[3] = {0, 0, 1};
  const std::size_t count = call.plain.size();
  if (count < 1 || count > 3) fail("range", fmt::format("{} arguments", count), "1 to 3");
  for (std::size_t i = 0; i < count; ++i) {
    if (!call.plain[i].whole()) fail("range", kind_name(call.plain[i]), "whole numbers");
    bounds[count == 1 ? 1 : i] = call.plain[i].count();
  }
  const auto [begin, end, step] = bounds;
  if (step == 0) fail("range", "a step of 0", "another");
  DatumList items;
  for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (items.size() == 100000) fail("range", "a longer range", "at most 100000 numbers");
    items.push_back({at});
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  state.step(static_cast<std::int64_t>(items.size()));
  return Datum::list(std::move(items));
}

Datum date(const CallArguments& call, const TemplateState& state) {
  const Datum form = argument(call, 0, "format");
  if (!form.text()) fail("strftime_now", kind_name(form), "a text");
  const std::time_t now = state.now;
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[512];
  return Datum::text({text, std::strftime(text, sizeof text, form.text()->c_str(), &parts)});
}

}  // namespace

void add_globals(TemplateScope& scope) {
  TemplateState& state = scope.state;
  scope.values["range"] = function([&](const CallArguments& call) { return numbers(call, state); });
  scope.values["strftime_now"] =
      function([&](const CallArguments& call) { return date(call, state); });
  scope.values["raise_exception"] = function([](const CallArguments& call) -> Datum {
    throw Error("the template refuses this conversation: " + shown(argument(call, 0, "message")));
  });
  scope.values["namespace"] = function([&](const CallArguments& call) -> Datum {
    auto made = state.namespaces.emplace_back(std::make_shared<DatumNamespace>());
    for (const Datum& one : call.plain)
      if (one.dict())
        for (const auto& [key, value] : *one.dict()) made->values[key] = value;
    for (const auto& [key, value] : call.named) made->values[key] = value;
    return {made};
  });
  scope.values["dict"] = function([](const CallArguments& call) {
    DatumDict made;
    for (const auto& [key, value] : call.named) made.emplace_back(key, value);
    return Datum::dict(std::move(made));
  });
}

}  // namespace karat
