// karat run: Writes text with a model
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/run/runtime.h"
#include "cli/warnings.h"
#include "karat/error.h"
#include "karat/generate.h"

namespace karat {
namespace {

struct RunOptions {
  std::string model, prompt;
  Generation wanted;
  RuntimeChoice runtime;
  bool json = false;
};

double rate(std::int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

std::vector<TokenId> prompt_ids(const Tokenizer& tokenizer, const RunOptions& options) {
  std::vector<TokenId> ids = tokenizer.encode(options.prompt);
  if (ids.empty() && tokenizer.bos()) ids = {*tokenizer.bos()};
  if (ids.empty())
    fail("prompt", "no text", "text, because this tokenizer has no token that begins one",
         "give --prompt");
  return ids;
}

/// Positions that a text may take.
std::int64_t room(const Generation& wanted, std::int64_t context) {
  const auto prompt = static_cast<std::int64_t>(wanted.prompt.size());
  return std::min(context, prompt + std::min(wanted.max_new, context));
}

/// What would be refused later, before anything is shown.
void check(const Generation& wanted, std::int64_t context) {
  const Sampler sampler(wanted.sampling);
  if (static_cast<std::int64_t>(wanted.prompt.size()) > context)
    fail("prompt", fmt::format("{} tokens", wanted.prompt.size()),
         fmt::format("at most {}, the model's context", context));
}

void show(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void report(const LanguageModel& model, const RunOptions& options, const Generated& written) {
  const auto prompt = static_cast<std::int64_t>(options.wanted.prompt.size());
  const double prefill = rate(prompt, written.prompt_seconds);
  const double decode = rate(written.steps, written.decode_seconds);
  const double bandwidth = static_cast<double>(model.bytes_per_token()) * 1e-9 * decode;
  // What cancels here is Ctrl-C.
  const std::string stop(written.ending == Ending::cancelled ? "interrupted"
                                                             : name_of(written.ending));
  if (options.json) {
    nlohmann::ordered_json result{{"model", options.model},
                                  {"prompt", options.prompt},
                                  {"text", written.text},
                                  {"stop", stop}};
    if (!written.stop_text.empty()) result["stop_text"] = written.stop_text;
    result.update({{"seed", options.wanted.sampling.seed},
                   {"prefill_tokens", prompt},
                   {"prefill_tokens_per_second", prefill},
                   {"decode_tokens", written.steps},
                   {"decode_tokens_per_second", decode},
                   {"decode_gigabytes_per_second", bandwidth}});
    if (!model.architecture().warnings.empty()) result["warnings"] = model.architecture().warnings;
    fmt::print("{}\n", result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print(
      stderr,
      "\nprefill {} tokens, {:.1f} tokens/s; decode {} tokens, {:.1f} tokens/s, {:.2f} GB/s of "
      "weights; stopped by {}\n",
      prompt, prefill, written.steps, decode, bandwidth, stop);
}

void run(RunOptions& options) {
  const Runtime::Scope scope(options.runtime.runtime());
  const LanguageModel model = LanguageModel::open(options.model);
  tell(model.architecture().warnings);
  const Tokenizer tokenizer = Tokenizer::open(model.folder());
  Generation& wanted = options.wanted;
  wanted.prompt = prompt_ids(tokenizer, options);
  wanted.on_piece = [&](std::string_view piece) {
    if (!options.json) show(piece);
    return !stop_wanted();
  };
  Engine engine(model, {.room = room(wanted, model.architecture().max_positions),
                        .cache = options.runtime.cache_type()});
  check(wanted, model.architecture().max_positions);
  if (!options.json) show(tokenizer.decode(wanted.prompt));
  const Generated written = generate(engine, tokenizer, wanted);
  if (!options.json) show("\n");
  report(model, options, written);
}

}  // namespace

Action run_verb(CLI::App& app) {
  app.description(
      "Writes text with a model\n\n"
      "MODEL is a Hugging Face folder, one that karat quantize wrote, or a GGUF file. The prompt\n"
      "and what follows are written as they come; at the end, speeds go to stderr: tokens per\n"
      "second of reading the prompt (prefill) and of writing (decode), and the GB/s of weights\n"
      "that writing reads. Writing stops at one of the model's eos tokens, at a --stop text, "
      "after\n"
      "--max-new tokens or at the end of the context; --json says which.\n\n"
      "  karat run models/karat-tiny --prompt \"It was a dark night\" --max-new 100");
  auto options = std::make_shared<RunOptions>();
  Generation& wanted = options->wanted;
  Sampling& sampling = wanted.sampling;
  app.add_option("model", options->model, "Folder or GGUF file of the model")->required();
  app.add_option("--prompt", options->prompt, "Text to go on from; empty: from the beginning");
  app.add_option("--max-new", wanted.max_new, "Most tokens to write")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--stop", wanted.stop_texts, "Text to stop before; may be given several times");
  app.add_option("--temperature", sampling.temperature,
                 "Below 1 keeps to likely tokens, above 1 spreads; 0 takes the most likely one")
      ->capture_default_str();
  app.add_option("--top-p", sampling.top_p, "Draw from the likeliest tokens with this probability")
      ->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "Draw from the k likeliest tokens; 0: all")
      ->capture_default_str();
  app.add_option("--seed", sampling.seed, "The same seed writes the same text")
      ->check(whole_number(std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print text and speeds as JSON instead");
  declare(app, options->runtime, "q8", "f16");
  return [options] { run(*options); };
}

}  // namespace karat
