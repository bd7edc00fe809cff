// A model behind HTTP, as OpenAI's completions are asked for: docs/serve.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "karat/engine.h"
#include "karat/language_model.h"
#include "karat/tokenizer.h"

namespace karat {

struct ServeOptions {
  std::string host = "127.0.0.1";
  int port = 8080;            // 0: a free one
  std::string name = {};      // of the model, in answers
  std::string api_key = {};   // that requests must bear; empty: none
  std::int64_t parallel = 8;  // texts that are written at a time
  std::int64_t queue = 64;    // requests that may wait for their turn; the next gets 429
  std::int64_t context = 0;   // tokens of prompt and answer; 0: the model's, at most 4096
  std::int64_t texts = 128;   // most texts of a request
  std::size_t body = std::size_t{8} << 20;  // most bytes of a request
  double seconds = 600;                     // that a request may take; its texts end where they are
  CacheType cache = CacheType::f16;
  /// The prompt of a conversation, of the JSON of messages and tools (none: ""); nothing: requests
  /// for answers in conversations get 501. May throw Error; called by many threads at a time.
  std::function<std::string(const std::string& messages, const std::string& tools)> chat = {};
  std::function<void(int port)> on_ready = {};
  /// Asked ten times a second. Once true, what runs is finished and new requests get 503.
  std::function<bool()> stop_wanted = {};
};

/// Serves until stop_wanted says so and what runs has been answered. Each answer of temperature 0
/// is what the request alone gives. Throws Error when an option is impossible, the address cannot
/// be listened at, or there is no memory for the contexts of all parallel texts.
void serve(const LanguageModel& model, const Tokenizer& tokenizer, const ServeOptions& options);

}  // namespace karat
