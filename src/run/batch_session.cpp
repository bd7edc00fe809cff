#include "run/batch_session.h"

#include <algorithm>
#include <string>

#include "karat/error.h"
#include "kernel/kernel.h"
#include "run/forward.h"

namespace karat {
namespace {

constexpr std::int64_t kPassTokens = 256;  // as Session's
// A part is cut where attention cuts a run anyway, so that a cut changes no bit.
constexpr std::int64_t kCut = 16;

std::int64_t whole_blocks(std::int64_t positions) {
  return (positions + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
}

}  // namespace

struct BatchSession::State {
  State(LanguageModel opened, std::int64_t slots, std::int64_t positions)
      : model(std::move(opened)),
        capacity(positions),
        width(whole_blocks(positions)),
        lengths(static_cast<std::size_t>(slots)),
        cache(model.architecture(), slots * width + kKeyBlock, CacheType::f32) {}

  void check(std::span<const Part> parts) const {
    std::vector<bool> named(lengths.size());
    for (const Part& part : parts) {
      const auto slot = static_cast<std::size_t>(part.slot);
      if (part.slot < 0 || slot >= lengths.size() || named[slot] || part.ids.empty())
        fail("batch", "a slot that is not there, twice or without tokens", "each slot once");
      named[slot] = true;
      if (static_cast<std::int64_t>(part.ids.size()) > capacity - lengths[slot])
        fail("batch",
             std::to_string(part.ids.size()) + " tokens after " + std::to_string(lengths[slot]),
             "at most " + std::to_string(capacity) + " together");
      check_ids("batch", part.ids, model.architecture());
    }
  }

  LanguageModel model;
  std::int64_t capacity, width;
  std::vector<std::int64_t> lengths;  // tokens in each slot
  KvCache cache;                      // slot after slot, then a place for rows that fill up a pass
};

namespace {

/// Gathers rows for a pass, runs it when it is full, and keeps the states of the rows asked for.
class Filler {
 public:
  Filler(const LanguageModel::Impl& model, KvCache& cache, std::int64_t spare, float* states)
      : model_(model), cache_(cache), spare_(spare), states_(states) {}

  /// Appends a sequence's tokens; `place`: of the sequence's first token, `position`: of ids[0].
  void add(std::span<const TokenId> ids, std::int64_t place, std::int64_t position,
           std::int64_t part) {
    while (!ids.empty()) {
      const auto left = static_cast<std::int64_t>(ids.size());
      const std::int64_t room = kPassTokens - static_cast<std::int64_t>(ids_.size());
      // Up to where a tile of attention ends if the part begins on its own.
      const std::int64_t count = left <= room ? left : room / kCut * kCut;
      if (count == 0) {
        flush();
        continue;
      }
      append(ids.first(static_cast<std::size_t>(count)), place, position);
      ids = ids.subspan(static_cast<std::size_t>(count));
      position += count;
    }
    wanted_.push_back({static_cast<std::int64_t>(ids_.size()) - 1, part});
  }

  void flush() {
    if (ids_.empty()) return;
    // Few rows would go through another kernel. What fills up has to fit into a context.
    const auto fewest =
        static_cast<std::size_t>(std::min(kManyTokens, 1 + model_.arch.max_positions));
    if (ids_.size() < fewest) append(std::vector<TokenId>(fewest - ids_.size()), spare_, 0);
    const auto tokens = static_cast<std::int64_t>(ids_.size());
    const auto width = static_cast<std::size_t>(model_.arch.hidden);
    std::vector<std::int64_t> rows;
    for (const Wanted& one : wanted_) rows.push_back(one.row);
    // Nor may there be few in the last block: any others go with them.
    for (std::int64_t row = 0; rows.size() < fewest; ++row)
      if (const auto at = std::ranges::lower_bound(rows, row); at == rows.end() || *at != row)
        rows.insert(at, row);
    std::vector<float> states(rows.size() * width);
    forward({model_, cache_, 0, tokens, RopeTable(model_.arch.ropes, positions_of(runs_)), runs_,
             &rows},
            ids_, states.data());
    for (const Wanted& one : wanted_) {
      const auto row = std::ranges::lower_bound(rows, one.row) - rows.begin();
      std::copy_n(&states[static_cast<std::size_t>(row) * width], width,
                  states_ + static_cast<std::size_t>(one.part) * width);
    }
    ids_.clear();
    runs_.clear();
    wanted_.clear();
  }

 private:
  struct Wanted {
    std::int64_t row, part;
  };

  void append(std::span<const TokenId> ids, std::int64_t place, std::int64_t position) {
    const auto count = static_cast<std::int64_t>(ids.size());
    runs_.push_back({static_cast<std::int64_t>(ids_.size()),
                     count,
                     position,
                     {{place, place + position + count, 0}}});
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }

  const LanguageModel::Impl& model_;
  KvCache& cache_;
  std::int64_t spare_;
  float* states_;
  std::vector<TokenId> ids_;
  std::vector<QueryRun> runs_;
  std::vector<Wanted> wanted_;
};

}  // namespace

BatchSession::BatchSession(LanguageModel model, std::int64_t slots, std::int64_t capacity) {
  const std::int64_t context = model.architecture().max_positions;
  if (slots < 1 || capacity < 1 || capacity > context)
    fail("batch", std::to_string(slots) + " slots of " + std::to_string(capacity) + " positions",
         "at least one, of at most the model's context of " + std::to_string(context));
  state_ = std::make_unique<State>(std::move(model), slots, capacity);
}
BatchSession::~BatchSession() = default;
BatchSession::BatchSession(BatchSession&&) noexcept = default;
BatchSession& BatchSession::operator=(BatchSession&&) noexcept = default;

std::vector<float> BatchSession::next_logits(std::span<const Part> parts) {
  State& state = *state_;
  state.check(parts);
  if (parts.empty()) return {};
  const LanguageModel::Impl& model = state.model.impl();
  model.watch.check();
  const auto width = static_cast<std::size_t>(model.arch.hidden);
  const auto vocab = static_cast<std::size_t>(model.arch.vocab);
  const std::size_t rows = std::max<std::size_t>(parts.size(), 2);  // as in a pass
  std::vector<float> states(rows * width), logits(rows * vocab);
  Filler filler(model, state.cache, slots() * state.width, states.data());
  for (std::size_t i = 0; i < parts.size(); ++i)
    filler.add(parts[i].ids, parts[i].slot * state.width, position(parts[i].slot),
               static_cast<std::int64_t>(i));
  filler.flush();
  for (const Part& part : parts)
    state.lengths[static_cast<std::size_t>(part.slot)] +=
        static_cast<std::int64_t>(part.ids.size());
  state.model.logits(states, logits);
  logits.resize(parts.size() * vocab);
  return logits;
}

void BatchSession::clear(std::int64_t slot) {
  state_->lengths.at(static_cast<std::size_t>(slot)) = 0;
}
std::int64_t BatchSession::slots() const {
  return static_cast<std::int64_t>(state_->lengths.size());
}
std::int64_t BatchSession::position(std::int64_t slot) const {
  return state_->lengths.at(static_cast<std::size_t>(slot));
}

}  // namespace karat
