// Several sequences that go through a model together, each with a place of its own in one cache.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "karat/language_model.h"

namespace karat {

/// What a sequence gives depends neither on the others nor on how many there are, to the last bit.
/// (A Session's passes of few tokens differ in the last bits: these have kernels of their own.)
class BatchSession {
 public:
  /// `slots` sequences of at most `capacity` positions each. Throws Error when the model's context
  /// is shorter.
  BatchSession(LanguageModel model, std::int64_t slots, std::int64_t capacity);
  ~BatchSession();
  BatchSession(BatchSession&&) noexcept;
  BatchSession& operator=(BatchSession&&) noexcept;

  /// Tokens that continue the sequence of a slot.
  struct Part {
    std::int64_t slot = 0;
    std::span<const TokenId> ids = {};  // at least one
  };
  /// Appends parts of different slots and returns the logits [parts, vocab] that follow the last
  /// token of each. Throws Error when an id is not in the vocabulary or a slot is full or named
  /// twice; the sequences are as they were then.
  std::vector<float> next_logits(std::span<const Part> parts);
  void clear(std::int64_t slot);  // the slot's next token begins a sequence
  std::int64_t slots() const;
  std::int64_t position(std::int64_t slot) const;  // tokens so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace karat
