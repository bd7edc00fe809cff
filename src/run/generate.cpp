// Texts that grow by a token a step, and who takes part in one.
#include "karat/generate.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <list>
#include <utility>

#include "karat/error.h"
#include "run/stop_texts.h"

namespace karat {
namespace {

constexpr std::size_t kPromptPiece = 256;  // tokens a step, as in a pass of the engine
constexpr std::size_t kScoredRows = 16;    // of logits that are held at a time

/// A text that grows until it is complete.
class Writer {
 public:
  Writer(Generation wanted, const Tokenizer& tokenizer, const Architecture& arch)
      : wanted_(std::move(wanted)),
        context_(arch.max_positions),
        stop_tokens_(wanted_.stop_tokens.value_or(arch.eos)),
        sampler_(wanted_.sampling),
        stream_(tokenizer, wanted_.after_prompt ? std::span<const TokenId>(wanted_.prompt)
                                                : std::span<const TokenId>{}),
        stops_(wanted_.stop_texts) {
    if (wanted_.prompt.empty()) fail("prompt", "no token", "at least one");
    if (prompt_tokens() > context_)
      fail("prompt", std::to_string(prompt_tokens()) + " tokens",
           "at most " + std::to_string(context_) + ", the model's context");
    wanted_.score_prompt = wanted_.score_prompt && wanted_.alternatives.has_value();
    if (wanted_.max_new < (wanted_.score_prompt ? 0 : 1))
      fail("max-new", std::to_string(wanted_.max_new), "at least 1");
  }

  /// Positions that it may take.
  std::int64_t room() const {
    return prompt_tokens() + std::min(wanted_.max_new, context_ - prompt_tokens());
  }
  /// What the model reads next: a piece of the prompt, or the last token.
  Request next(SequenceId sequence) const {
    if (!reading()) return {sequence, std::span(written_.ids).last(1)};
    const auto left = std::span(wanted_.prompt).subspan(read_);
    return {sequence, left.first(std::min(kPromptPiece, left.size())), left.size() <= kPromptPiece};
  }
  /// Counts what the model has read.
  void count(const Request& request, double seconds) {
    if (reading()) {
      read_ += request.ids.size();
      written_.prompt_seconds += seconds;
    } else {
      ++written_.steps;
      written_.decode_seconds += seconds;
    }
  }
  /// Goes on without a token; false: the text is complete.
  bool wait() { return show({}) || end(Ending::cancelled); }
  /// Whether the rows of all tokens of the piece that is read next are wanted.
  bool scores_next() const { return wanted_.score_prompt && reading(); }
  /// Scores the prompt's token that follows the `row`-th of the piece that is read now.
  void score(std::size_t row, std::span<const float> logits) {
    if (const std::size_t next = read_ + row + 1; next < wanted_.prompt.size())
      written_.prompt_scores.push_back(
          score_token(logits, wanted_.prompt[next], *wanted_.alternatives));
  }
  /// Draws the next token; false: the text is complete.
  bool grow(std::span<const float> logits) {
    if (wanted_.max_new == 0) return end(Ending::length);
    const TokenId id = sampler_.next(logits);
    if (std::ranges::find(stop_tokens_, id) != stop_tokens_.end()) return end(Ending::eos);
    written_.ids.push_back(id);
    if (wanted_.alternatives) {
      written_.scores.push_back(score_token(logits, id, *wanted_.alternatives));
      if (wanted_.on_score) wanted_.on_score(written_.scores.back());
    }
    const bool wanted = show(stops_.push(stream_.push(id)));
    if (!stops_.stopped().empty()) return end(Ending::text);
    if (!wanted) return end(Ending::cancelled);
    const auto count = static_cast<std::int64_t>(written_.ids.size());
    if (count == wanted_.max_new) return end(Ending::length);
    return prompt_tokens() + count <= context_ || end(Ending::context);
  }
  Generated take() { return std::move(written_); }

 private:
  std::int64_t prompt_tokens() const { return static_cast<std::int64_t>(wanted_.prompt.size()); }
  bool reading() const { return read_ < wanted_.prompt.size(); }
  bool show(std::string_view piece) {
    written_.text += piece;
    return !wanted_.on_piece || wanted_.on_piece(piece);
  }
  bool end(Ending ending) {
    written_.ending = ending;
    if (stops_.stopped().empty()) {
      std::string rest = stops_.push(stream_.finish());
      rest += stops_.finish();
      if (!rest.empty()) show(rest);
    }
    if (!stops_.stopped().empty()) {
      written_.ending = Ending::text;
      written_.stop_text = stops_.stopped();
    }
    return false;
  }

  Generation wanted_;
  std::int64_t context_;
  std::vector<TokenId> stop_tokens_;
  Sampler sampler_;
  TokenStream stream_;
  StopTexts stops_;
  std::size_t read_ = 0;  // of the prompt
  Generated written_ = {};
};

struct Text {
  Writer writer;
  std::function<void(Generated)> done;
  SequenceId sequence = kNoSequence;
};

}  // namespace

std::string_view name_of(Ending ending) {
  constexpr std::string_view kNames[] = {"eos", "text", "length", "context", "cancelled"};
  return kNames[static_cast<std::size_t>(ending)];
}

struct Generator::State {
  /// Refuses a text that would wait for ever.
  void check_room(const Writer& writer) const {
    const EngineOptions& options = engine.options();
    const std::int64_t taken = options.taken(writer.room());
    if (taken > options.room)
      fail("prompt", "a text that may take " + std::to_string(taken) + " positions",
           "at most " + std::to_string(options.room) + ", the engine's room",
           "make the engine with more room, or write fewer tokens");
  }

  /// Begins texts that wait, as many as there is room for.
  void admit() {
    while (!waiting.empty() && (most == 0 || static_cast<std::int64_t>(active.size()) < most)) {
      const std::int64_t room = waiting.front().writer.room();
      if (!engine.fits(room)) return;
      waiting.front().sequence = engine.begin(room);
      active.splice(active.end(), waiting, waiting.begin());
    }
  }

  /// The text alone, whose sequence has ended.
  std::list<Text> taken_out(std::list<Text>::iterator text) {
    engine.end(text->sequence);
    std::list<Text> one;
    one.splice(one.end(), active, text);
    return one;
  }

  std::size_t vocab() const {
    return static_cast<std::size_t>(engine.model().architecture().vocab);
  }

  /// Scores by the states of a piece's tokens; returns the logits of the last.
  std::vector<float> score(Writer& writer, std::span<const float> states) const {
    const auto width = static_cast<std::size_t>(engine.model().architecture().hidden);
    const std::size_t rows = states.size() / width;
    std::vector<float> logits;
    for (std::size_t row = 0; row < rows; row += kScoredRows) {
      const std::size_t count = std::min(kScoredRows, rows - row);
      // One row alone has a kernel of its own, which rounds otherwise.
      std::vector<float> some(std::max<std::size_t>(2, count) * width);
      std::copy_n(&states[row * width], count * width, some.begin());
      logits.resize(some.size() / width * vocab());
      engine.logits(some, logits);
      for (std::size_t i = 0; i < count; ++i)
        writer.score(row + i, std::span(logits).subspan(i * vocab(), vocab()));
      logits = {&logits[(count - 1) * vocab()], &logits[(count - 1) * vocab()] + vocab()};
    }
    return logits;
  }

  /// Engine::next_logits() where some of the requests are scored.
  std::vector<float> scored_logits(std::span<const Request> requests) {
    std::vector<std::int64_t> rows;
    std::int64_t begin = 0;
    auto text = active.begin();
    for (const Request& request : requests) {
      const std::int64_t end = begin + std::ssize(request.ids);
      if ((text++)->writer.scores_next())
        for (std::int64_t row = begin; row < end; ++row) rows.push_back(row);
      else if (request.logits)
        rows.push_back(end - 1);
      begin = end;
    }
    const std::vector<float> states = engine.step(requests, rows);
    const auto width = static_cast<std::size_t>(engine.model().architecture().hidden);
    std::vector<float> result;
    std::span<const float> left = states;
    text = active.begin();
    for (const Request& request : requests) {
      Writer& writer = (text++)->writer;
      const bool all = writer.scores_next();
      const std::size_t count = all ? request.ids.size() : request.logits ? 1 : 0;
      std::vector<float> last(all || count == 0 ? 0 : 2 * vocab());
      if (all) {
        last = score(writer, left.first(count * width));
      } else if (count > 0) {
        std::vector<float> twice(2 * width);
        std::copy_n(left.begin(), width, twice.begin());
        engine.logits(twice, last);
        last.resize(vocab());
      }
      left = left.subspan(count * width);
      if (request.logits) result.insert(result.end(), last.begin(), last.end());
    }
    return result;
  }

  /// Goes on with a text after `request`, without logits where it asked for none.
  void go_on(std::list<Text>::iterator text, const Request& request, std::span<const float> logits,
             double seconds) {
    bool goes_on = false;
    try {
      text->writer.count(request, seconds);
      goes_on = request.logits ? text->writer.grow(logits) : text->writer.wait();
    } catch (...) {
      taken_out(text);
      throw;
    }
    if (goes_on) return;
    std::list<Text> complete = taken_out(text);
    complete.front().done(complete.front().writer.take());
  }

  Engine& engine;
  const Tokenizer& tokenizer;
  std::int64_t most;
  std::list<Text> waiting = {}, active = {};
};

Generator::Generator(Engine& engine, const Tokenizer& tokenizer, std::int64_t most)
    : state_(std::make_unique<State>(State{engine, tokenizer, most})) {}

Generator::~Generator() {
  for (const Text& text : state_->active) state_->engine.end(text.sequence);
}

void Generator::add(Generation wanted, std::function<void(Generated)> done) {
  const Architecture& arch = state_->engine.model().architecture();
  Writer writer(std::move(wanted), state_->tokenizer, arch);
  state_->check_room(writer);
  state_->waiting.push_back({std::move(writer), std::move(done)});
}

bool Generator::busy() const {
  return !state_->waiting.empty() || !state_->active.empty();
}

bool Generator::step() {
  State& state = *state_;
  state.admit();
  if (state.active.empty()) return false;
  std::vector<Request> requests;
  for (const Text& text : state.active) requests.push_back(text.writer.next(text.sequence));
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const bool scored =
      std::ranges::any_of(state.active, [](const Text& text) { return text.writer.scores_next(); });
  const std::vector<float> logits =
      scored ? state.scored_logits(requests) : state.engine.next_logits(requests);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const std::size_t vocab = state.vocab();
  std::span<const float> left = logits;
  auto text = state.active.begin();
  std::exception_ptr thrown;
  for (const Request& request : requests) {  // of each, whose tokens the engine has taken
    const auto row = left.first(request.logits ? vocab : 0);
    left = left.subspan(row.size());
    try {
      state.go_on(text++, request, row, seconds);
    } catch (...) {
      if (!thrown) thrown = std::current_exception();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
  return true;
}

Generated generate(Engine& engine, const Tokenizer& tokenizer, Generation wanted) {
  Generator generator(engine, tokenizer);
  Generated written;
  generator.add(std::move(wanted), [&](Generated done) { written = std::move(done); });
  while (generator.busy())
    if (!generator.step())
      fail("engine", "no room for the text beside other sequences",
           "free positions in a row of " + std::to_string(engine.options().room),
           "make the engine with more room, or end a sequence");
  return written;
}

}  // namespace karat
