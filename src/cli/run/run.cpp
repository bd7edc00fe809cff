// karat run: Writes text with a model
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/run/runtime.h"
#include "karat/error.h"
#include "karat/language_model.h"

namespace karat {
namespace {

struct RunOptions {
  std::string model, prompt;
  std::int64_t max_new = 256;
  Sampling sampling;
  RuntimeOptions runtime;
  bool json = false;
};

struct Speed {
  std::int64_t tokens = 0;
  double seconds = 0;
  double rate() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};

/// Times calls and counts the tokens they take.
template <typename Work>
auto timed(Speed& speed, std::size_t tokens, const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  auto result = work();
  speed.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  speed.tokens += static_cast<std::int64_t>(tokens);
  return result;
}

std::vector<TokenId> prompt_ids(const Tokenizer& tokenizer, const RunOptions& options,
                                std::int64_t context) {
  std::vector<TokenId> ids = tokenizer.encode(options.prompt);
  if (ids.empty() && tokenizer.bos()) ids = {*tokenizer.bos()};
  if (ids.empty())
    fail("prompt", "no text", "text, because this tokenizer has no token that begins one",
         "give --prompt");
  if (static_cast<std::int64_t>(ids.size()) > context)
    fail("prompt", fmt::format("{} tokens", ids.size()),
         fmt::format("at most {}, the model's context", context));
  return ids;
}

/// What a run wrote, and how fast.
struct Written {
  std::string text;
  Speed prefill, decode;
  std::string stop = "length";  // "eos", "context", "length", "interrupted"
};

bool ends(const Architecture& arch, TokenId id) {
  return std::find(arch.eos.begin(), arch.eos.end(), id) != arch.eos.end();
}

Written write(const LanguageModel& model, const RunOptions& options,
              const std::function<void(const std::string&)>& show) {
  const Architecture& arch = model.architecture();
  const Tokenizer tokenizer = Tokenizer::open(model.folder());
  const auto prompt = prompt_ids(tokenizer, options, arch.max_positions);
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.size());
  Session session(model,
                  prompt_tokens + std::min(options.max_new, arch.max_positions - prompt_tokens),
                  options.runtime.cache_type());
  Sampler sampler(options.sampling);
  TokenStream stream(tokenizer);
  for (const TokenId id : prompt) show(stream.push(id));

  Written written;
  std::vector<float> logits =
      timed(written.prefill, prompt.size(), [&] { return session.next_logits(prompt); });
  for (std::int64_t n = 0; n < options.max_new; ++n) {
    const TokenId id = sampler.next(logits);
    if (ends(arch, id)) return written.stop = "eos", written;
    const std::string piece = stream.push(id);
    written.text += piece;
    show(piece);
    if (stop_wanted()) return written.stop = "interrupted", written;
    if (n + 1 == options.max_new) break;
    if (session.position() == arch.max_positions) return written.stop = "context", written;
    logits = timed(written.decode, 1, [&] { return session.next_logits({{id}}); });
  }
  return written;
}

void report(const LanguageModel& model, const RunOptions& options, const Written& written) {
  const double bandwidth = static_cast<double>(model.bytes_per_token()) * 1e-9;
  if (options.json) {
    const nlohmann::ordered_json result{
        {"model", options.model},
        {"prompt", options.prompt},
        {"text", written.text},
        {"stop", written.stop},
        {"seed", options.sampling.seed},
        {"prefill_tokens", written.prefill.tokens},
        {"prefill_tokens_per_second", written.prefill.rate()},
        {"decode_tokens", written.decode.tokens},
        {"decode_tokens_per_second", written.decode.rate()},
        {"decode_gigabytes_per_second", bandwidth * written.decode.rate()}};
    fmt::print("{}\n", result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print(
      stderr,
      "\nprefill {} tokens, {:.1f} tokens/s; decode {} tokens, {:.1f} tokens/s, {:.2f} GB/s of "
      "weights; stopped by {}\n",
      written.prefill.tokens, written.prefill.rate(), written.decode.tokens, written.decode.rate(),
      bandwidth * written.decode.rate(), written.stop);
}

void run(const RunOptions& options) {
  if (options.max_new < 1) fail("max-new", std::to_string(options.max_new), "at least 1");
  apply(options.runtime);
  const LanguageModel model = LanguageModel::open(options.model);
  const Written written = write(model, options, [&](const std::string& piece) {
    if (options.json) return;
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  });
  if (!options.json) std::fputc('\n', stdout);
  report(model, options, written);
}

}  // namespace

Action run_verb(CLI::App& app) {
  app.description(
      "Writes text with a model\n\n"
      "MODEL is a Hugging Face folder or one that karat quantize wrote. The prompt and what "
      "follows\n"
      "are written as they come; at the end, speeds go to stderr: tokens per second of reading "
      "the\n"
      "prompt (prefill) and of writing (decode), and the GB/s of weights that writing reads.\n\n"
      "  karat run models/karat-tiny --prompt \"It was a dark night\" --max-new 100");
  auto options = std::make_shared<RunOptions>();
  Sampling& sampling = options->sampling;
  app.add_option("model", options->model, "Folder of the model")->required();
  app.add_option("--prompt", options->prompt, "Text to go on from; empty: from the beginning");
  app.add_option("--max-new", options->max_new, "Most tokens to write")->capture_default_str();
  app.add_option("--temperature", sampling.temperature,
                 "Below 1 keeps to likely tokens, above 1 spreads; 0 takes the most likely one")
      ->capture_default_str();
  app.add_option("--top-p", sampling.top_p, "Draw from the likeliest tokens with this probability")
      ->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "Draw from the k likeliest tokens; 0: all")
      ->capture_default_str();
  app.add_option("--seed", sampling.seed, "The same seed writes the same text")
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print text and speeds as JSON instead");
  declare(app, options->runtime, "q8", "f16");
  return [options] { run(*options); };
}

}  // namespace karat
