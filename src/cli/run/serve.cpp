// karat serve: Answers requests for texts over HTTP
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "cli/common.h"
#include "cli/run/runtime.h"
#include "cli/warnings.h"
#include "core/file.h"
#include "karat/chat.h"
#include "karat/error.h"
#include "karat/serve.h"

namespace karat {
namespace {

volatile std::sig_atomic_t terminated = 0;

struct ServeChoice {
  std::string model, key_file, template_file;
  RuntimeChoice runtime;
  ServeOptions options;
};

/// The first line of a file.
std::string key_of(const std::string& path) {
  std::ifstream file(path);
  std::string key;
  std::getline(file, key);
  while (!key.empty() && (key.back() == '\r' || key.back() == ' ')) key.pop_back();
  if (key.empty()) fail("api-key-file", path + ", which has no first line", "a file with the key");
  return key;
}

/// What makes prompts of conversations: a template from a file, or the model's own, if it has one.
decltype(ServeOptions::chat) chat_of(const std::string& file, const std::filesystem::path& model) {
  const std::optional<ChatTemplate> found = file.empty()
                                                ? ChatTemplate::of_model(model)
                                                : ChatTemplate::for_model(model, read_text(file));
  if (!found) return {};
  return [chat = *found](const std::string& messages, const std::string& tools) {
    return chat.render({.messages = messages, .tools = tools});
  };
}

void serve_model(ServeChoice& choice) {
  const Runtime::Scope scope(choice.runtime.runtime());
  ServeOptions& options = choice.options;
  options.cache = choice.runtime.cache_type();
  if (!choice.key_file.empty()) options.api_key = key_of(choice.key_file);
  const LanguageModel model = LanguageModel::open(choice.model);
  tell(model.architecture().warnings);
  const Tokenizer tokenizer = Tokenizer::open(model.folder());
  options.chat = chat_of(choice.template_file, model.folder());
  const auto path = std::filesystem::weakly_canonical(choice.model);
  if (options.name.empty()) options.name = path.filename().string();
  std::signal(SIGTERM, [](int) { terminated = 1; });
  options.stop_wanted = [] { return terminated != 0 || stop_wanted(); };
  options.on_ready = [&](int port) {
    fmt::print("{} at http://{}:{}\n", options.name, options.host, port);
    std::fflush(stdout);
  };
  serve(model, tokenizer, options);
}

}  // namespace

Action serve_verb(CLI::App& app) {
  app.description(
      "Answers requests for texts over HTTP\n\n"
      "MODEL is a Hugging Face folder, one that karat quantize wrote, or a GGUF file. Paths are\n"
      "OpenAI's: /v1/completions, /v1/chat/completions and /v1/models, and besides /tokenize,\n"
      "/health and /metrics. Conversations need a chat template, the model's or --template FILE.\n"
      "The address is printed once requests are taken. SIGTERM or Ctrl-C finishes what runs.\n\n"
      "  karat serve models/karat-tiny --port 8080");
  auto choice = std::make_shared<ServeChoice>();
  ServeOptions& options = choice->options;
  const auto count = [](std::int64_t least) { return CLI::Range(least, std::int64_t{4096}); };
  app.add_option("model", choice->model, "Folder or GGUF file of the model")->required();
  app.add_option("--port", options.port, "Port to listen at; 0: a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--host", options.host, "Address to listen at; 0.0.0.0: all of this machine")
      ->capture_default_str();
  app.add_option("--name", options.name, "The model's name in answers; else that of MODEL");
  app.add_option("--api-key-file", choice->key_file,
                 "File whose first line requests must bear as Authorization: Bearer");
  app.add_option("--template", choice->template_file,
                 "File with a chat template (Jinja), in the place of the model's own");
  app.add_option("--parallel", options.parallel, "Texts that are written at a time")
      ->check(count(1))
      ->capture_default_str();
  app.add_option("--max-queue", options.queue, "Requests that may wait; the next gets 429")
      ->check(count(0))
      ->capture_default_str();
  app.add_option("--context", options.context,
                 "Most tokens of prompt and answer; 0: the model's context, at most 4096")
      ->check(whole_number(std::uint64_t{1} << 31))
      ->capture_default_str();
  app.add_option("--max-seconds", options.seconds, "Time after which a request's texts end")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  declare(app, choice->runtime, "q8", "f16");
  return [choice] { serve_model(*choice); };
}

}  // namespace karat
