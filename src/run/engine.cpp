// Who is in the cache: sequences, their places, and what a step adds to them.
#include "karat/engine.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <string>

#include "karat/error.h"
#include "kernel/kernel.h"
#include "run/passes.h"
#include "run/places.h"

namespace karat {
namespace {

std::int64_t whole_blocks(std::int64_t positions) {
  return (positions + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
}

struct Sequence {
  bool open = false;
  std::int64_t tokens = 0;  // most of its own
  std::int64_t place = 0, taken = 0;
  SequenceId parent = kNoSequence;
  std::int64_t children = 0;
  bool begun = false;                // has had tokens of its own: what follows is in force
  std::int64_t first = 0;            // position of the first of them
  std::vector<KeySpan> shared = {};  // before those at its own places
  KeySpan own = {};                  // at its own places; some may be copies of a parent's

  std::int64_t position() const { return own.position + own.end - own.begin; }
};

/// A run of the step, and what has to be copied before it.
struct Taken {
  Placed tokens;
  std::int64_t from = 0, to = 0, copies = 0;
};

std::int64_t count_tokens(std::span<const Request> requests) {
  std::int64_t tokens = 0;
  for (const Request& request : requests) tokens += static_cast<std::int64_t>(request.ids.size());
  return tokens;
}

/// Scale, bias and cap of what the head's matrix gave, [rows, vocab].
void finish_logits(const LanguageModel::Impl& model, std::span<float> logits) {
  const float scale = model.arch.logit_scale, cap = model.arch.logit_cap;
  if (scale != 1)
    for (float& logit : logits) logit *= scale;
  for (std::size_t at = 0; !model.head_bias.empty() && at < logits.size();)
    for (const float bias : model.head_bias) logits[at++] += bias;
  if (cap > 0)
    for (float& logit : logits) logit = cap * std::tanh(logit / cap);
}

void check_rows(std::span<const Request> requests, std::span<const std::int64_t> rows) {
  const std::int64_t tokens = count_tokens(requests);
  if (rows.empty()) return;
  if (rows.front() < 0 || rows.back() >= tokens ||
      !std::ranges::is_sorted(rows, std::ranges::less_equal()))
    fail("engine", "rows that do not ascend or are not there",
         "some of 0 to " + std::to_string(tokens - 1));
}

}  // namespace

std::int64_t EngineOptions::taken(std::int64_t tokens, bool continues_another) const {
  if (tokens < 0 || tokens > std::numeric_limits<std::int64_t>::max() - kSpanPlaces - kKeyBlock)
    fail("engine", "a sequence of " + std::to_string(tokens) + " tokens", "a count of tokens");
  if (!independent) return tokens;
  return whole_blocks(tokens + (continues_another ? kSpanPlaces - 1 : 0));
}

struct Engine::State {
  State(LanguageModel opened, const EngineOptions& chosen)
      : model(std::move(opened)),
        options(complete(chosen)),
        places(options.room),
        cache(model.architecture(), options.room + (chosen.independent ? kKeyBlock : 0),
              chosen.cache) {}

  EngineOptions complete(EngineOptions chosen) const {
    if (chosen.room < 0)
      fail("engine", "room for " + std::to_string(chosen.room) + " positions", "a count",
           "0 has room for the model's context");
    if (chosen.room > std::numeric_limits<std::int64_t>::max() - kKeyBlock)
      fail("engine", "room for " + std::to_string(chosen.room) + " positions",
           "a size that fits 64 bits");
    if (chosen.room == 0) chosen.room = chosen.taken(model.architecture().max_positions);
    return chosen;
  }

  Sequence& at(SequenceId id) {
    if (id < 0 || id >= static_cast<std::int64_t>(sequences.size()) ||
        !sequences[static_cast<std::size_t>(id)].open)
      fail("engine", "sequence " + std::to_string(id), "one that was begun and has not ended");
    return sequences[static_cast<std::size_t>(id)];
  }

  /// The sequence whose tokens this one ends with: itself, or the nearest ancestor that has had
  /// tokens of its own or continues nobody.
  const Sequence& last_begun(const Sequence& sequence) {
    const Sequence* found = &sequence;
    while (!found->begun && found->parent != kNoSequence) found = &at(found->parent);
    return *found;
  }

  std::int64_t position(const Sequence& sequence) { return last_begun(sequence).position(); }

  /// Settles which tokens of others a sequence continues. Others than a parent's last ones are
  /// read where they are. Without `independent` so are these; with it they are copied, since
  /// attention takes keys in together as kSpanPlaces of their positions lie, whoever has them.
  void settle(Sequence& child, Taken& taken) {
    child.begun = true;
    child.own = {child.place, child.place, 0};
    if (child.parent == kNoSequence) return;
    const Sequence& parent = last_begun(at(child.parent));
    const std::int64_t all = parent.position(), own = parent.own.position;
    const std::int64_t kept = options.independent ? all / kSpanPlaces * kSpanPlaces : all;
    child.first = all;
    child.shared = parent.shared;
    const std::int64_t end = parent.own.begin + kept - own;
    if (end > parent.own.begin) child.shared.push_back({parent.own.begin, end, own});
    child.own = {child.place, child.place + all - kept, kept};
    taken = {.tokens = {}, .from = end, .to = child.place, .copies = all - kept};
  }

  Taken take(const Request& request) {
    const auto count = static_cast<std::int64_t>(request.ids.size());
    Sequence& sequence = at(request.sequence);
    if (count == 0) fail("engine", "a request without a token", "at least one");
    check_ids("engine", request.ids, model.architecture());
    Taken taken;
    if (!sequence.begun) settle(sequence, taken);
    const std::int64_t position = sequence.position(), own = position - sequence.first;
    const std::int64_t context = model.architecture().max_positions;
    if (position + count > context)
      fail("engine", std::to_string(count) + " tokens after " + std::to_string(position),
           "at most " + std::to_string(context) + " together", "this is the model's context");
    if (own + count > sequence.tokens)
      fail("engine", std::to_string(count) + " tokens after " + std::to_string(own),
           "at most " + std::to_string(sequence.tokens) + " together",
           "begin the sequence with room for more");
    sequence.own.end += count;
    taken.tokens = {request.ids, position, sequence.own, sequence.shared};
    return taken;
  }

  LanguageModel model;
  EngineOptions options;
  Places places;
  KvCache cache;  // after the room, a place for tokens that fill up a pass
  std::vector<Sequence> sequences = {};
};

Engine::Engine(LanguageModel model, const EngineOptions& options)
    : state_(std::make_unique<State>(std::move(model), options)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
const LanguageModel& Engine::model() const {
  return state_->model;
}
const EngineOptions& Engine::options() const {
  return state_->options;
}

bool Engine::fits(std::int64_t tokens, SequenceId parent) const {
  if (tokens > state_->options.room) return false;
  const std::int64_t own = tokens == 0 ? model().architecture().max_positions : tokens;
  return state_->places.has(state_->options.taken(own, parent != kNoSequence));
}

SequenceId Engine::begin(std::int64_t tokens, SequenceId parent) {
  State& state = *state_;
  const std::int64_t context = state.model.architecture().max_positions;
  if (tokens < 0 || tokens > context)
    fail("engine", "a sequence of " + std::to_string(tokens) + " tokens",
         "at most the model's context of " + std::to_string(context));
  if (tokens == 0) tokens = context;
  if (parent != kNoSequence) state.at(parent);
  const std::int64_t taken = state.options.taken(tokens, parent != kNoSequence);
  const auto place = state.places.take(taken);
  if (!place)
    fail(
        "engine", "no room for a sequence of " + std::to_string(tokens) + " tokens",
        std::to_string(taken) + " free positions in a row of " + std::to_string(state.options.room),
        "make the engine with more room, or end a sequence");
  if (parent != kNoSequence) ++state.at(parent).children;
  const auto free = std::ranges::find(state.sequences, false, &Sequence::open);
  const auto id = free - state.sequences.begin();
  if (free == state.sequences.end()) state.sequences.emplace_back();
  state.sequences[static_cast<std::size_t>(id)] = {
      .open = true, .tokens = tokens, .place = *place, .taken = taken, .parent = parent};
  return id;
}

void Engine::end(SequenceId id) {
  Sequence& sequence = state_->at(id);
  if (sequence.children > 0)
    fail("engine", "the end of sequence " + std::to_string(id) + ", which others continue",
         "these to end before it");
  state_->places.give(sequence.place, sequence.taken);
  sequence.open = false;
  if (sequence.parent != kNoSequence) --state_->at(sequence.parent).children;
}

std::int64_t Engine::position(SequenceId id) const {
  return state_->position(state_->at(id));
}

void Engine::rewind(SequenceId id, std::int64_t position) {
  Sequence& sequence = state_->at(id);
  const std::int64_t now = state_->position(sequence);
  if (position < (sequence.begun ? sequence.first : now) || position > now)
    fail("engine", "a rewind to position " + std::to_string(position),
         std::to_string(sequence.begun ? sequence.first : now) + " to " + std::to_string(now));
  if (sequence.children > 0 && position < now)
    fail("engine", "a rewind of sequence " + std::to_string(id) + ", which others continue",
         "these to end before it");
  sequence.own.end -= now - position;
}

std::vector<float> Engine::step(std::span<const Request> requests) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count_tokens(requests)));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return step(requests, rows);
}

std::vector<float> Engine::step(std::span<const Request> requests,
                                std::span<const std::int64_t> rows) {
  State& state = *state_;
  const Runtime::Scope scope(state.options.runtime);
  const LanguageModel::Impl& model = *state.model.impl_;
  model.files.check();
  const std::vector<Sequence> before = state.sequences;
  check_rows(requests, rows);
  std::vector<float> states(rows.size() * static_cast<std::size_t>(model.arch.hidden));
  try {
    std::vector<Taken> all;
    for (const Request& request : requests) all.push_back(state.take(request));
    std::optional<std::int64_t> spare;
    if (state.options.independent) spare = state.options.room;
    Passes passes(model, state.cache, spare, rows, states.data());
    for (const Taken& taken : all) {
      if (taken.copies > 0) {
        passes.flush();  // what is copied may be of this step
        state.cache.copy(taken.from, taken.to, taken.copies);
      }
      passes.add(taken.tokens);
    }
    passes.flush();
    model.files.check();
  } catch (...) {
    state.sequences = before;
    model.files.check();  // which may be why
    throw;
  }
  return states;
}

std::vector<float> Engine::next_logits(std::span<const Request> requests) {
  const bool independent = options().independent;
  std::vector<std::int64_t> rows;  // whose states are computed
  std::vector<std::size_t> last;   // of these, those that are asked for
  std::int64_t begin = 0;
  for (const Request& request : requests) {
    const std::int64_t end = begin + static_cast<std::int64_t>(request.ids.size());
    for (std::int64_t row = independent ? end - 1 : begin; request.logits && row < end; ++row)
      rows.push_back(row);
    if (request.logits) last.push_back(rows.size() - 1);
    begin = end;
  }
  const std::vector<Sequence> before = state_->sequences;
  const std::vector<float> all = step(requests, rows);
  const auto width = static_cast<std::size_t>(model().architecture().hidden);
  const auto vocab = static_cast<std::size_t>(model().architecture().vocab);
  // A product of one row has a kernel of its own, too.
  const std::size_t count = independent && last.size() == 1 ? 2 : last.size();
  std::vector<float> states(count * width), found(count * vocab);
  for (std::size_t i = 0; i < last.size(); ++i)
    std::copy_n(&all[last[i] * width], width, &states[i * width]);
  try {
    logits(states, found);
  } catch (...) {
    state_->sequences = before;
    throw;
  }
  found.resize(last.size() * vocab);
  return found;
}

void Engine::logits(std::span<const float> states, std::span<float> logits) const {
  const Runtime::Scope scope(state_->options.runtime);
  const LanguageModel::Impl& model = *state_->model.impl_;
  const auto width = static_cast<std::size_t>(model.arch.hidden);
  const auto vocab = static_cast<std::size_t>(model.arch.vocab);
  const std::size_t rows = states.size() / width;
  if (states.size() % width != 0 || logits.size() != rows * vocab)
    fail("logits",
         std::to_string(logits.size()) + " places for " + std::to_string(states.size()) +
             " state values",
         std::to_string(vocab) + " places for each " + std::to_string(width) + " values");
  matmul(model.head(), states.data(), static_cast<std::int64_t>(rows), logits.data());
  finish_logits(model, logits);
  model.files.check();
  float sum = 0;  // x − x is 0 for a finite x and NaN for any other
  for (const float logit : logits) sum += logit - logit;
  if (sum != 0 || std::isnan(sum))
    fail("model " + model.folder.string(), "a logit that is NaN or infinite", "finite numbers",
         "the weights are damaged or overflow; karat inspect --tensors shows them");
}

}  // namespace karat
