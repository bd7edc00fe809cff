// Text that a model writes after a prompt: one prompt, or many that begin and end at any time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karat/engine.h"
#include "karat/sampling.h"
#include "karat/tokenizer.h"

namespace karat {

/// What is to be written.
struct Generation {
  std::vector<TokenId> prompt = {};  // at least one token, at most the model's context
  std::int64_t max_new = 256;        // most tokens to write; 0 where the prompt is scored
  Sampling sampling = {};
  std::optional<std::vector<TokenId>> stop_tokens = {};  // nothing: the model's eos
  std::vector<std::string> stop_texts = {};              // none of them is part of the text
  /// The text goes on where the prompt's ends. Otherwise it is decoded as if nothing were before
  /// it, where many tokenizers drop a first space.
  bool after_prompt = true;
  /// Called with the text that became certain, which may be none: after each piece of the prompt,
  /// after each token, and at the end. false cancels.
  std::function<bool(std::string_view piece)> on_piece = {};
  /// Tokens are scored, with so many of the likeliest ones beside each; nothing: they are not.
  /// By the logits before penalties, bias and temperature.
  std::optional<std::int64_t> alternatives = {};
  bool score_prompt = false;  // the prompt's tokens too, where alternatives are given
  std::function<void(const TokenScore& score)> on_score = {};  // of a written one, before its piece
};

/// Why a text ended: a stop token came, a stop text came, it has max_new tokens, the context is
/// full, or on_piece said so.
enum class Ending { eos, text, length, context, cancelled };
std::string_view name_of(Ending ending);

struct Generated {
  std::vector<TokenId> ids = {};  // written, without a stop token
  /// Of these tokens, up to the stop text; an unfinished character at the end is U+FFFD. All
  /// pieces together.
  std::string text = {};
  Ending ending = Ending::length;
  std::string stop_text = {};                     // the one that came
  std::int64_t steps = 0;                         // of ids that went through the model
  std::vector<TokenScore> scores = {};            // of ids
  std::vector<TokenScore> prompt_scores = {};     // of the prompt without its first token
  double prompt_seconds = 0, decode_seconds = 0;  // of the engine's steps that it took part in
};

/// Writes for any number of prompts, several at a time: a text that is complete makes room for the
/// next prompt. With an independent engine each is what the prompt alone gives. A generator and its
/// engine serve one thread at a time; on_piece and `done` are called by the one that steps.
class Generator {
 public:
  /// At most `most` prompts at a time; 0: as many as the engine has room for. Both references must
  /// outlive it.
  Generator(Engine& engine, const Tokenizer& tokenizer, std::int64_t most = 0);
  ~Generator();  // ends the sequences that it began
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  /// Its turn comes in order, as soon as there is room; `done` is called by the step that completes
  /// it. Throws Error when the prompt is empty or longer than the context, the text may take more
  /// room than the engine has, max_new is below 1
  /// (0 with a scored prompt), or the sampling is impossible.
  void add(Generation wanted, std::function<void(Generated)> done);
  bool busy() const;  // something is not complete yet
  /// One step of the engine: a piece of each new prompt, and a token of each text. false: there was
  /// nothing to do, or what waits has no room before sequences end that others began. When on_piece
  /// or `done` throws, its text is over, the others go on, and the step throws it at its end.
  bool step();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One text.
Generated generate(Engine& engine, const Tokenizer& tokenizer, Generation wanted);

}  // namespace karat
