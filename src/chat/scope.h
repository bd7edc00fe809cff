// What a template knows and has used up while it is rendered.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/datum.h"

namespace karat {

/// Templates come from outside: what one rendering may take.
struct TemplateLimits {
  std::int64_t steps = 2'000'000;  // statements, calls and items gone through
  std::int64_t bytes = 1 << 28;    // of all texts and lists that it makes
  int depth = 64;                  // macros in macros
};

struct TemplateScope;
struct TemplateState {
  TemplateState() = default;
  ~TemplateState();  // namespaces may hold themselves
  TemplateState(const TemplateState&) = delete;
  TemplateState& operator=(const TemplateState&) = delete;

  TemplateLimits limits = {};
  std::int64_t steps = 0, bytes = 0, now = 0;  // now: seconds since 1970
  int line = 0, depth = 0;
  std::string* out = nullptr;
  std::vector<std::shared_ptr<DatumNamespace>> namespaces;
  std::deque<TemplateScope> scopes;  // kept to the end, since macros look back into them

  /// Counts against the limits. Throws Error when one is passed.
  void step(std::int64_t count = 1);
  void charge(std::size_t count);
  void write(std::string_view text);
  TemplateScope& inner(TemplateScope* outer);
};

/// Names of one block; what it lacks is looked for in the outer one.
struct TemplateScope {
  TemplateState& state;
  TemplateScope* outer = nullptr;
  std::map<std::string, Datum, std::less<>> values = {};
  Datum find(std::string_view name) const;
};

using Expression = std::function<Datum(TemplateScope&)>;
enum class Flow { next, again, leave };  // go on; with the loop's next item; behind the loop
using Statement = std::function<Flow(TemplateScope&)>;

/// The argument at `index` or of that name; `otherwise` where it is not given.
Datum argument(const CallArguments& call, std::size_t index, const std::string& name,
               Datum otherwise = {});

struct FilterCall {
  Datum value;
  CallArguments arguments;
  TemplateScope& scope;
  Datum argument(std::size_t index, const std::string& name, Datum otherwise = {}) const {
    return karat::argument(arguments, index, name, std::move(otherwise));
  }
};
using TemplateFilter = Datum (*)(FilterCall&);
/// Null: there is none of that name.
TemplateFilter find_filter(std::string_view name);
using TemplateTest = bool (*)(const Datum& value, const CallArguments& arguments);
TemplateTest find_test(std::string_view name);

/// A method of a text or a dict, as Python has it. Throws Error when there is none.
Datum call_method(const Datum& object, const std::string& name, FilterCall& call);
bool has_method(const Datum& object, std::string_view name);

Datum attribute_of(const Datum& object, const Datum& key);
Datum slice_of(const Datum& object, const Datum& begin, const Datum& end, const Datum& step);
bool contains_item(const Datum& all, const Datum& one);
/// + - * / // % ** of numbers; + of texts and lists, * of texts and lists by numbers, % of texts.
Datum arithmetic(std::string_view symbol, const Datum& a, const Datum& b, TemplateState& state);
Datum joined_texts(const Datum& a, const Datum& b, TemplateState& state);
/// The functions that every template may call.
void add_globals(TemplateScope& scope);

}  // namespace karat
