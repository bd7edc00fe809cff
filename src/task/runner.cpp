#include "task/runner.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "task/boxes.h"
#include "task/generate.h"

namespace karat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kPackTokens = 1024;  // about: fills passes of 256, and small beside a cache
constexpr std::int64_t kWorthSharing = 16;  // tokens
constexpr std::int64_t kCeilingTokens = 256;
constexpr double kCeilingSeconds = 0.5;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<Sequence> sequences_of(std::span<const Item> items) {
  std::vector<Sequence> all;
  for (const Item& item : items)
    all.insert(all.end(), item.sequences.begin(), item.sequences.end());
  return all;
}

/// Items that are scored together. Which ones never depends on what is done already, so that
/// resumed work gives the same bytes.
struct Pack {
  std::size_t begin = 0, end = 0;
  std::int64_t tokens = 0;  // at most, without the shared ones
};

std::vector<Pack> pack_up(std::span<const Item> items, std::int64_t shared) {
  std::vector<Pack> packs;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::int64_t tokens = plant(items[i].sequences, shared).tokens;
    if (packs.empty() || packs.back().tokens + tokens > kPackTokens) packs.push_back({i, i, 0});
    packs.back().end = i + 1;
    packs.back().tokens += tokens;
  }
  return packs;
}

std::int64_t asked_tokens(const Item& item) {
  auto tokens = static_cast<std::int64_t>(item.prompt.size());
  for (const Sequence& sequence : item.sequences)
    tokens += static_cast<std::int64_t>(sequence.inputs().size());
  return tokens;
}

ItemResult begin_result(const ItemGroup& group, const Item& item) {
  ItemResult result;
  result.task = group.task->name;
  result.group = group.group;
  result.row = item.document.row;
  result.gold = item.document.gold;
  result.lengths = item.lengths;
  return result;
}

}  // namespace

std::int64_t Runner::weight(const Item& item) {
  return asked_tokens(item) + 1;
}

bool Runner::done(const ItemGroup& group, const Item& item) const {
  return journal_.find(number_, group.task->name, group.group, item.document.row) != nullptr;
}

void Runner::run(const ItemGroup& group, const Tokenizer& tokenizer) {
  const TaskKind kind = group.task->kind;
  if (kind == TaskKind::generation) return write(group, tokenizer);
  if (kind != TaskKind::boxes) return score(group);
  for (const Item& item : group.items) {
    if (!done(group, item)) look(group, item);
    meter_.step(weight(item), group.task->name);
  }
}

void Runner::score(const ItemGroup& group) {
  const std::span<const Item> items = group.items;
  const std::vector<Sequence> all = sequences_of(items);
  std::int64_t shared = shared_beginning(all);
  if (shared < kWorthSharing) shared = 0;
  const std::vector<Pack> packs = pack_up(items, shared);
  std::int64_t largest = 0;
  for (const Pack& pack : packs) largest = std::max(largest, pack.tokens);
  PackScorer scorer(model_, shared + largest);
  bool begun = false;
  for (const Pack& pack : packs) {
    const auto part = items.subspan(pack.begin, pack.end - pack.begin);
    std::int64_t weights = 0;
    for (const Item& item : part) weights += weight(item);
    if (!std::ranges::all_of(part, [&](const Item& item) { return done(group, item); })) {
      const auto start = Clock::now();
      if (!std::exchange(begun, true))
        scorer.share(std::span(all.front().ids).first(static_cast<std::size_t>(shared)));
      score_pack(group, part, scorer);
      speed_.seconds += since(start);
    }
    meter_.step(weights, group.task->name);
  }
  speed_.run += scorer.tokens_run();
}

void Runner::score_pack(const ItemGroup& group, std::span<const Item> part, PackScorer& scorer) {
  const std::vector<Score> scores = scorer.score(sequences_of(part));
  auto next = scores.begin();
  for (const Item& item : part) {
    ItemResult result = begin_result(group, item);
    const auto end = next + static_cast<std::ptrdiff_t>(item.sequences.size());
    result.scores.assign(next, end);
    next = end;
    speed_.asked += asked_tokens(item);
    judge(*group.task, result);
    if (!done(group, item)) journal_.add(number_, std::move(result));
  }
}

void Runner::write(const ItemGroup& group, const Tokenizer& tokenizer) {
  const std::string& name = group.task->name;
  std::vector<const Item*> items;
  for (const Item& item : group.items)
    if (done(group, item))
      meter_.step(weight(item), name);
    else
      items.push_back(&item);
  // The longest first, so that they are not the ones that end alone.
  std::ranges::stable_sort(items, std::greater{},
                           [](const Item* item) { return item->prompt.size(); });
  const AnswerFinder finder(group.task->generation, "task " + name);
  std::vector<BatchWriter::Prompt> prompts;
  for (const Item* item : items) prompts.emplace_back(item->prompt);
  BatchWriter writer(model_, tokenizer, group.task->generation);
  const auto start = Clock::now();
  const auto give = [&](std::size_t i, std::string text) {
    ItemResult result = begin_result(group, *items[i]);
    result.response = std::move(text);
    for (const auto& answer : finder.find(result.response, items[i]->document.answers.front()))
      result.metrics["exact_match" + (answer.name.empty() ? "" : "," + answer.name)] = answer.right;
    journal_.add(number_, std::move(result));
    meter_.step(weight(*items[i]), name);
  };
  writer.write(prompts, give, [&] { meter_.step(0, name); });
  speed_.prompted += writer.prompted();
  speed_.generated += writer.steps();
  speed_.generation_seconds += since(start);
}

void Runner::look(const ItemGroup& group, const Item& item) {
  const Document& document = item.document;
  ItemResult result = begin_result(group, item);
  result.response = document.answers.front();
  const auto box = find_box(result.response, group.task->boxes, document.size[0], document.size[1]);
  const Box truth{document.box[0], document.box[1], document.box[2], document.box[3]};
  result.metrics["acc_iou_50"] = box && intersection_over_union(*box, truth) >= 0.5;
  journal_.add(number_, std::move(result));
}

double prefill_ceiling(const LanguageModel& model) {
  const std::int64_t tokens = std::min(kCeilingTokens, model.architecture().max_positions);
  std::vector<TokenId> ids(static_cast<std::size_t>(tokens));
  for (std::size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<TokenId>(static_cast<std::int64_t>(i) % model.architecture().vocab);
  Engine engine(model, {.room = tokens});
  const SequenceId sequence = engine.begin(tokens);
  double best = 0;
  const auto begin = Clock::now();
  for (int round = 0; round < 3 || since(begin) < kCeilingSeconds; ++round) {
    engine.rewind(sequence, 0);
    const auto start = Clock::now();
    engine.step({sequence, ids});
    best = std::max(best, static_cast<double>(tokens) / since(start));
  }
  return best;
}

}  // namespace karat
