// Runs a model over any number of sequences at once, which share its passes and one cache of keys
// and values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "karat/language_model.h"
#include "karat/runtime.h"

namespace karat {

/// How keys and values are kept: as they are, rounded to FP16, or to 8 bits with an FP32 scale for
/// each position and head.
enum class CacheType { f32, f16, q8 };
/// "f32", "f16", "q8". Throws Error on another name.
CacheType parse_cache_type(std::string_view name);
std::string_view name_of(CacheType type);
/// Bytes of keys and values that one position takes.
std::size_t cache_bytes_per_token(const Architecture& arch, CacheType type);

using SequenceId = std::int64_t;
inline constexpr SequenceId kNoSequence = -1;

struct EngineOptions {
  std::int64_t room = 0;  // positions of all sequences together; 0: the model's context
  CacheType cache = CacheType::f32;
  /// What a sequence gives depends neither on the others nor on how its tokens are cut into
  /// requests, to the last bit: passes of few tokens are filled up. Otherwise few tokens have
  /// kernels of their own, which are faster and differ in the last bits.
  bool independent = false;
  Runtime runtime = Runtime::current();  // that it works with, whichever thread calls it

  /// Positions of the room that a sequence of so many tokens of its own takes. Throws Error
  /// where it is none: below 0, or too large for 64 bits.
  std::int64_t taken(std::int64_t tokens, bool continues_another = false) const;
};

/// Tokens that continue a sequence: a prompt or a piece of one, a single token, a branch. Several
/// requests of one sequence in one step continue it one after the other, in their order.
struct Request {
  SequenceId sequence = kNoSequence;
  std::span<const TokenId> ids = {};  // at least one
  bool logits = true;                 // next_logits() gives those that follow the last of them
};

/// Sequences may begin and end between any two steps. Results do not depend on the number of
/// threads. A call that throws leaves every sequence as it was. An engine serves one thread at a
/// time; those of one model may work at the same time.
class Engine {
 public:
  /// Throws Error when the room overflows or there is no memory for it.
  explicit Engine(LanguageModel model, const EngineOptions& options = {});
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  const LanguageModel& model() const;
  const EngineOptions& options() const;

  /// Begins a sequence of at most `tokens` of its own; 0: as many as the model's context has. With
  /// a `parent` they follow the tokens that this one has when the first of them come, requests of
  /// one step taken in order; it can neither end nor be rewound until its children have ended.
  /// Throws Error when the context is shorter or no room is left.
  SequenceId begin(std::int64_t tokens = 0, SequenceId parent = kNoSequence);
  /// Whether begin() has the room.
  bool fits(std::int64_t tokens = 0, SequenceId parent = kNoSequence) const;
  void end(SequenceId sequence);  // its room is free, and its number may be another's
  /// Forgets everything from `position` on, of the sequence's own tokens.
  void rewind(SequenceId sequence, std::int64_t position);
  std::int64_t position(SequenceId sequence) const;  // tokens so far, a parent's included

  /// Takes the requests' tokens in and returns their states [tokens, hidden] after the final norm.
  /// Throws Error when an id is not in the vocabulary, a sequence's room or the model's context is
  /// exceeded, a key or value overflows the cache, or a file of the model was changed.
  std::vector<float> step(std::span<const Request> requests);
  std::vector<float> step(const Request& request) { return step({&request, 1}); }
  /// The same for some of these tokens: `rows`, ascending, of all requests' tokens in order, ->
  /// [rows, hidden]. Takes less time.
  std::vector<float> step(std::span<const Request> requests, std::span<const std::int64_t> rows);
  /// step(), then the logits [requests that ask for them, vocab] that follow the last token of
  /// each.
  std::vector<float> next_logits(std::span<const Request> requests);
  std::vector<float> next_logits(const Request& request) { return next_logits({&request, 1}); }
  /// States [rows, hidden] -> logits [rows, vocab]. Throws Error when a logit is not finite.
  void logits(std::span<const float> states, std::span<float> logits) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace karat
