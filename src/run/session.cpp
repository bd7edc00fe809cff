// One sequence: its position, its cache, and what may be asked of it.
#include <algorithm>
#include <string>

#include "karat/error.h"
#include "karat/language_model.h"
#include "run/forward.h"

namespace karat {
namespace {

constexpr std::int64_t kBatch = 256;  // tokens per pass: bounds the activations of long prompts
std::int64_t checked_capacity(const Architecture& arch, std::int64_t capacity) {
  if (capacity < 0 || capacity > arch.max_positions)
    fail("session", "a capacity of " + std::to_string(capacity) + " positions",
         "at most the model's context of " + std::to_string(arch.max_positions));
  return capacity == 0 ? arch.max_positions : capacity;
}

}  // namespace

struct Session::State {
  State(LanguageModel opened, std::int64_t positions, CacheType type)
      : model(std::move(opened)),
        capacity(checked_capacity(model.architecture(), positions)),
        cache(model.architecture(), capacity, type) {}

  void check(std::span<const TokenId> ids) const {
    if (ids.empty()) fail("session", "no token", "at least one");
    if (static_cast<std::int64_t>(ids.size()) > capacity - position)
      fail("session", std::to_string(ids.size()) + " tokens after " + std::to_string(position),
           "at most " + std::to_string(capacity) + " together",
           capacity == model.architecture().max_positions ? "this is the model's context"
                                                          : "open the session with more capacity");
    check_ids("session", ids, model.architecture());
  }

  LanguageModel model;
  std::int64_t capacity, position = 0;
  KvCache cache;
};

Session::Session(LanguageModel model, std::int64_t capacity, CacheType type)
    : state_(std::make_unique<State>(std::move(model), capacity, type)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::vector<float> Session::forward(std::span<const TokenId> ids) {
  State& state = *state_;
  state.check(ids);
  const LanguageModel::Impl& model = state.model.impl();
  model.watch.check();
  std::vector<float> states(ids.size() * static_cast<std::size_t>(model.arch.hidden));
  for (std::size_t done = 0; done < ids.size();) {
    const auto part = ids.subspan(done, std::min<std::size_t>(kBatch, ids.size() - done));
    const auto tokens = static_cast<std::int64_t>(part.size());
    karat::forward({model, state.cache, state.position, tokens,
                    RopeTable(model.arch.ropes, state.position, tokens)},
                   part, &states[done * static_cast<std::size_t>(model.arch.hidden)]);
    state.position += tokens;
    done += part.size();
  }
  return states;
}

std::vector<float> Session::next_logits(std::span<const TokenId> ids) {
  const std::vector<float> states = forward(ids);
  const auto width = static_cast<std::size_t>(state_->model.architecture().hidden);
  std::vector<float> logits(static_cast<std::size_t>(state_->model.architecture().vocab));
  state_->model.logits(std::span(states).last(width), logits);
  return logits;
}

std::int64_t Session::position() const {
  return state_->position;
}
std::int64_t Session::capacity() const {
  return state_->capacity;
}

void Session::rewind(std::int64_t position) {
  if (position < 0 || position > state_->position)
    fail("session", "a rewind to position " + std::to_string(position),
         "0 to " + std::to_string(state_->position));
  state_->position = position;
}

}  // namespace karat
