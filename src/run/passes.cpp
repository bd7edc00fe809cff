#include "run/passes.h"

#include <algorithm>

#include "kernel/kernel.h"

namespace karat {
namespace {

constexpr std::int64_t kPassTokens = 256;  // bounds the activations of long prompts

}  // namespace

void Passes::append(std::span<const TokenId> ids, QueryRun run) {
  run.first = static_cast<std::int64_t>(ids_.size());
  run.tokens = static_cast<std::int64_t>(ids.size());
  runs_.push_back(std::move(run));
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

void Passes::add(const Placed& tokens) {
  const auto all = static_cast<std::int64_t>(tokens.ids.size());
  for (std::int64_t begin = 0; begin < all;) {
    const auto room = kPassTokens - static_cast<std::int64_t>(ids_.size());
    const std::int64_t count = std::min(room, all - begin);
    QueryRun run;
    run.position = tokens.position + begin;
    run.keys.assign(tokens.shared.begin(), tokens.shared.end());
    // Only what is computed already, or in this pass: later tokens are masked by their position,
    // but must be finite.
    const std::int64_t end = tokens.own.begin + run.position + count - tokens.own.position;
    run.keys.push_back({tokens.own.begin, end, tokens.own.position});
    append(tokens.ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)),
           std::move(run));
    begin += count;
    if (count == room) flush();
  }
}

/// Tokens of sequences of their own, which nobody asked for, up to kManyTokens.
void Passes::fill_up() {
  const std::vector<TokenId> zeros(static_cast<std::size_t>(kManyTokens));
  std::int64_t place = *spare_;
  while (static_cast<std::int64_t>(ids_.size()) < kManyTokens) {
    const std::int64_t missing = kManyTokens - static_cast<std::int64_t>(ids_.size());
    const std::int64_t count = std::min(missing, model_.arch.max_positions);
    append(std::span(zeros).first(static_cast<std::size_t>(count)),
           {0, 0, 0, {{place, place + count, 0}}});
    place += count;
  }
}

/// The rows of this pass, of its own `tokens`, whose states are asked for.
std::vector<std::int64_t> Passes::wanted(std::int64_t tokens) {
  std::vector<std::int64_t> rows;
  for (; used_ < rows_.size() && rows_[used_] < done_ + tokens; ++used_)
    rows.push_back(rows_[used_] - done_);
  return rows;
}

/// Runs the pass for the states of `run`, of which `rows` were asked for.
void Passes::run(std::span<const std::int64_t> rows, const std::vector<std::int64_t>& run) {
  const auto width = static_cast<std::size_t>(model_.arch.hidden);
  std::vector<float> more;
  if (run.size() != rows.size()) more.resize(run.size() * width);
  forward({model_, cache_, static_cast<std::int64_t>(ids_.size()),
           RopeTable(model_.arch.ropes, positions_of(runs_)), runs_,
           run.size() == ids_.size() ? nullptr : &run, spare_.has_value()},
          ids_, more.empty() ? states_ : more.data());
  for (std::size_t r = 0; !more.empty() && r < rows.size(); ++r) {
    const auto at = static_cast<std::size_t>(std::ranges::lower_bound(run, rows[r]) - run.begin());
    std::copy_n(&more[at * width], width, states_ + r * width);
  }
  states_ += rows.size() * width;
}

void Passes::flush() {
  if (ids_.empty()) return;
  const auto own = static_cast<std::int64_t>(ids_.size());
  if (spare_) fill_up();
  const std::vector<std::int64_t> rows = wanted(own);
  std::vector<std::int64_t> all = rows;
  // Nor may there be few in the last block: any others go with them.
  if (spare_ && !rows.empty())
    for (std::int64_t row = 0; static_cast<std::int64_t>(all.size()) < kManyTokens; ++row)
      if (const auto at = std::ranges::lower_bound(all, row); at == all.end() || *at != row)
        all.insert(at, row);
  run(rows, all);
  done_ += own;
  ids_.clear();
  runs_.clear();
}

}  // namespace karat
