#include "task/score.h"

#include <algorithm>
#include <numeric>

#include "core/threads.h"
#include "evaluate/scores.h"

namespace karat {
namespace {

constexpr std::int64_t kLogits = 1 << 22;  // floats of logits held at once: 16 MiB
constexpr std::int64_t kMostRows = 256;

std::size_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(end - a.begin());
}

/// Sequences that end with it, the last ones first, since they may continue earlier ones.
class Begun {
 public:
  /// Room for `most` of them, so that adding one fails only where the engine does.
  Begun(Engine& engine, std::size_t most) : engine_(engine) { sequences_.reserve(most); }
  ~Begun() {
    for (; !sequences_.empty(); sequences_.pop_back()) engine_.end(sequences_.back());
  }
  Begun(const Begun&) = delete;
  Begun& operator=(const Begun&) = delete;

  SequenceId add(std::int64_t tokens, SequenceId parent) {
    sequences_.push_back(engine_.begin(tokens, parent));
    return sequences_.back();
  }
  void keep() { sequences_.clear(); }  // they stay

 private:
  Engine& engine_;
  std::vector<SequenceId> sequences_ = {};
};

std::int64_t rows_at_once(std::int64_t vocab) {
  return std::clamp<std::int64_t>(kLogits / vocab, 1, kMostRows);
}

}  // namespace

std::vector<Score> score_alone(const LanguageModel& model, std::span<const Sequence> sequences) {
  std::vector<Score> scores;
  const auto width = static_cast<std::size_t>(model.architecture().hidden);
  std::vector<float> logits(static_cast<std::size_t>(model.architecture().vocab));
  for (const Sequence& sequence : sequences) {
    Engine engine(model);
    const std::vector<float> states = engine.step({engine.begin(), sequence.inputs()});
    Score score;
    const std::size_t first = sequence.ids.size() - static_cast<std::size_t>(sequence.scored);
    for (std::size_t i = first; i < sequence.ids.size(); ++i) {
      engine.logits(std::span(states).subspan((i - 1) * width, width), logits);
      const LogSoftmax row = log_softmax(logits);
      score.loglikelihood -= negative_log_likelihood(logits, row, sequence.ids[i]);
      score.greedy = score.greedy && row.best == sequence.ids[i];
    }
    scores.push_back(score);
  }
  return scores;
}

std::int64_t SequenceTree::row(std::size_t sequence, std::int64_t back) const {
  std::int64_t branch = leaf[sequence], inside = last_[sequence] - back;
  while (inside < 0) {
    branch = branches[static_cast<std::size_t>(branch)].parent;
    inside += static_cast<std::int64_t>(branches[static_cast<std::size_t>(branch)].ids.size());
  }
  return first_row_[static_cast<std::size_t>(branch)] + inside;
}

SequenceTree plant(std::span<const Sequence> sequences, std::int64_t skip) {
  SequenceTree tree;
  tree.leaf.resize(sequences.size());
  tree.last_.resize(sequences.size());
  const auto inputs = [&](std::size_t i) {
    return sequences[i].inputs().subspan(static_cast<std::size_t>(skip));
  };
  std::vector<std::size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::ranges::lexicographical_compare(inputs(a), inputs(b));
  });
  // Sorted, what shares a beginning stands together, the beginning itself first.
  const auto grow = [&](auto& self, std::size_t begin, std::size_t end, std::size_t depth,
                        std::int64_t parent) -> void {
    while (begin < end) {
      const auto head = inputs(order[begin]);
      std::size_t same = begin + 1, length = head.size();
      for (; same < end && inputs(order[same])[depth] == head[depth]; ++same)
        length = std::min(length, common_length(head, inputs(order[same])));
      const auto branch = static_cast<std::int64_t>(tree.branches.size());
      tree.branches.push_back({parent,
                               {head.begin() + static_cast<std::ptrdiff_t>(depth),
                                head.begin() + static_cast<std::ptrdiff_t>(length)}});
      tree.first_row_.push_back(tree.tokens);
      tree.tokens += static_cast<std::int64_t>(length - depth);
      for (; begin < same && inputs(order[begin]).size() == length; ++begin) {
        tree.leaf[order[begin]] = branch;
        tree.last_[order[begin]] = static_cast<std::int64_t>(length - depth) - 1;
      }
      self(self, begin, same, length, branch);
      begin = same;
    }
  };
  grow(grow, 0, order.size(), 0, -1);
  return tree;
}

std::int64_t shared_beginning(std::span<const Sequence> sequences) {
  if (sequences.empty()) return 0;
  std::size_t shared = sequences.front().ids.size();
  for (const Sequence& sequence : sequences) {
    // The state of the last token before the scored ones says what comes first: it is not shared.
    const std::size_t unscored = sequence.ids.size() - static_cast<std::size_t>(sequence.scored);
    shared = std::min({shared, unscored - 1, common_length(sequences.front().ids, sequence.ids)});
  }
  return static_cast<std::int64_t>(shared);
}

/// A token that is asked about, and the row of states that predicts it.
struct PackScorer::Target {
  std::int64_t row = 0;
  TokenId token = 0;
  std::size_t sequence = 0;
  double nll = 0;
  bool greedy = false;
};

PackScorer::PackScorer(const LanguageModel& model, std::int64_t capacity)
    : engine_(model, {.room = capacity}) {}

void PackScorer::share(std::span<const TokenId> beginning) {
  if (beginning_ != kNoSequence) engine_.end(beginning_);
  beginning_ = kNoSequence;
  shared_ = 0;
  if (beginning.empty()) return;
  const auto tokens = static_cast<std::int64_t>(beginning.size());
  Begun begun(engine_, 1);
  const Request request{begun.add(tokens, kNoSequence), beginning};
  engine_.step({&request, 1}, {});
  begun.keep();
  beginning_ = request.sequence;
  shared_ = tokens;
  tokens_run_ += shared_;
}

/// States of some rows of the tree's tokens, which are forgotten then.
std::vector<float> PackScorer::run(const SequenceTree& tree, std::span<const std::int64_t> rows) {
  std::vector<Request> requests;
  Begun begun(engine_, tree.branches.size());
  for (const Branch& branch : tree.branches) {
    const SequenceId parent =
        branch.parent < 0 ? beginning_ : requests[static_cast<std::size_t>(branch.parent)].sequence;
    const auto tokens = static_cast<std::int64_t>(branch.ids.size());
    requests.push_back({begun.add(tokens, parent), branch.ids});
  }
  std::vector<float> states = engine_.step(requests, rows);
  tokens_run_ += tree.tokens;
  return states;
}

std::vector<PackScorer::Target> PackScorer::targets_of(const SequenceTree& tree,
                                                       std::span<const Sequence> sequences) {
  std::vector<Target> targets;
  for (std::size_t s = 0; s < sequences.size(); ++s)
    for (std::int64_t back = sequences[s].scored - 1; back >= 0; --back)
      targets.push_back(
          {.row = tree.row(s, back),
           .token = sequences[s].ids[sequences[s].ids.size() - 1 - static_cast<std::size_t>(back)],
           .sequence = s});
  return targets;
}

/// `states` are those of rows from `first_row` on; `targets` are in the order of their rows.
void PackScorer::resolve(std::span<const float> states, std::int64_t first_row,
                         std::span<Target> targets) {
  const Architecture& arch = engine_.model().architecture();
  const auto vocab = static_cast<std::size_t>(arch.vocab);
  const std::size_t rows = states.size() / static_cast<std::size_t>(arch.hidden);
  std::vector<float> logits(rows * vocab);
  engine_.logits(states, logits);
  parallel_for(static_cast<std::int64_t>(rows), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const auto row = std::span(logits).subspan(static_cast<std::size_t>(r) * vocab, vocab);
      const LogSoftmax of = log_softmax(row);
      auto target = std::ranges::lower_bound(targets, first_row + r, {}, &Target::row);
      for (; target != targets.end() && target->row == first_row + r; ++target) {
        target->nll = negative_log_likelihood(row, of, target->token);
        target->greedy = of.best == target->token;
      }
    }
  });
}

std::vector<Score> PackScorer::score(std::span<const Sequence> sequences) {
  const SequenceTree tree = plant(sequences, shared_);
  std::vector<Target> targets = targets_of(tree, sequences);
  std::ranges::stable_sort(targets, {}, &Target::row);
  std::vector<std::int64_t> rows;  // whose states say something: a target's row is one of them
  for (Target& target : targets) {
    if (rows.empty() || rows.back() != target.row) rows.push_back(target.row);
    target.row = static_cast<std::int64_t>(rows.size()) - 1;
  }
  const std::vector<float> states = run(tree, rows);
  const Architecture& arch = engine_.model().architecture();
  const auto width = static_cast<std::size_t>(arch.hidden);
  const auto most = static_cast<std::size_t>(rows_at_once(arch.vocab));
  for (std::size_t begin = 0; begin < rows.size(); begin += most) {
    const std::size_t count = std::min(most, rows.size() - begin);
    resolve(std::span(states).subspan(begin * width, count * width),
            static_cast<std::int64_t>(begin), targets);
  }
  std::vector<Score> scores(sequences.size());
  for (const Target& target : targets) {  // a sequence's rows rise with its positions
    scores[target.sequence].loglikelihood -= target.nll;
    scores[target.sequence].greedy = scores[target.sequence].greedy && target.greedy;
  }
  return scores;
}

}  // namespace karat
