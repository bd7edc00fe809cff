// karat tokenize: Shows how a model's tokenizer cuts a text: ids and pieces
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/warnings.h"
#include "karat/error.h"
#include "karat/text_file.h"
#include "karat/text_notice.h"
#include "karat/tokenizer.h"

namespace karat {
namespace {

struct TokenizeArguments {
  std::string model, text, file, field = "text";
  bool has_text = false, ids = false, plain = false, json = false;
};

std::string read(const TokenizeArguments& arguments) {
  if (arguments.has_text == !arguments.file.empty())
    fail("tokenize", arguments.has_text ? "--text and --file" : "neither --text nor --file",
         "one of them");
  if (arguments.has_text) return arguments.text;
  const TextFile file = TextFile::open(arguments.file, arguments.field);
  tell(text_notices(arguments.file, arguments.field, file.is_records()));
  return std::string(file.text());
}

/// What the tokenizer made of a text, and whether decoding gives the text back.
struct Tokenized {
  std::vector<TokenId> ids;
  std::vector<std::string> pieces;
  std::string decoded;
  bool same = false;
};

Tokenized tokenize(const Tokenizer& tokenizer, const std::string& text, bool plain) {
  Tokenized result;
  result.ids = tokenizer.encode(text, !plain);
  for (const TokenId id : result.ids) result.pieces.push_back(tokenizer.piece(id).value_or(""));
  result.decoded = tokenizer.decode(tokenizer.encode(text, false), /*skip_special=*/false);
  result.same = result.decoded == text;
  return result;
}

/// `text` on one line: what would break it or hide is escaped.
std::string on_one_line(const std::string& text) {
  using nlohmann::json;
  const std::string quoted = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2);
}

void print_json(const Tokenized& result, const Tokenizer& tokenizer) {
  using nlohmann::ordered_json;
  auto tokens = ordered_json::array();
  for (std::size_t i = 0; i < result.ids.size(); ++i)
    tokens.push_back({{"id", result.ids[i]}, {"piece", result.pieces[i]}});
  const auto bos = tokenizer.bos();
  const ordered_json json = {{"ids", result.ids},
                             {"tokens", tokens},
                             {"bos", bos ? ordered_json(*bos) : ordered_json()},
                             {"vocab", tokenizer.vocab_size()},
                             {"decoded", result.decoded},
                             {"round_trip", result.same}};
  fmt::print("{}\n", json.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void run(const TokenizeArguments& arguments) {
  const Tokenizer tokenizer = Tokenizer::open(arguments.model);
  const std::string text = read(arguments);
  const Tokenized result = tokenize(tokenizer, text, arguments.plain);
  if (arguments.json) return print_json(result, tokenizer);
  if (arguments.ids) return fmt::print("{}\n", fmt::join(result.ids, " "));
  for (std::size_t i = 0; i < result.ids.size(); ++i)
    fmt::print("{:>8}  {}\n", result.ids[i], on_one_line(result.pieces[i]));
  fmt::print("\n{} tokens of {} bytes; decoded, they {}\n", result.ids.size(), text.size(),
             result.same ? "are the same text"
                         : "differ from the text: “" + on_one_line(result.decoded) + "”");
}

}  // namespace

Action tokenize_verb(CLI::App& app) {
  app.description(
      "Shows how a model's tokenizer cuts a text: ids and pieces\n\n"
      "A piece is what the vocabulary calls a token: Ġ (byte-level) or ▁ (sentencepiece) stands "
      "for\n"
      "a space in front, <0xE6> for a byte. Special and other added tokens in the text become "
      "their\n"
      "ids, and BOS or EOS are added where the tokenizer does so; --plain leaves those out. The "
      "folder\n"
      "needs no weights: tokenizer.json, tokenizer.model, or vocab.json and merges.txt, and the "
      "files\n"
      "beside them (tokenizer_config.json, special_tokens_map.json, added_tokens.json) are "
      "enough;\n"
      "so are the keys of a GGUF file.\n\n"
      "  karat tokenize models/karat-tiny --text \"The captain\"\n"
      "  karat tokenize models/karat-tiny --file examples/text/evaluation.txt --ids | wc -w");
  auto arguments = std::make_shared<TokenizeArguments>();
  app.add_option("model", arguments->model,
                 "Folder or GGUF file of the model, or folder of its tokenizer alone")
      ->required();
  CLI::Option* text = app.add_option("--text", arguments->text, "The text");
  app.add_option("--file", arguments->file, "File to read it from: plain UTF-8, or JSON records");
  app.add_option("--field", arguments->field, "The key of a JSON record's text")
      ->capture_default_str();
  app.add_flag("--plain", arguments->plain, "Without the BOS and EOS that the tokenizer adds");
  app.add_flag("--ids", arguments->ids, "Print ids alone, separated by spaces");
  app.add_flag("--json", arguments->json, "Print JSON");
  const auto work = [arguments, text] {
    arguments->has_text = text->count() > 0;
    run(*arguments);
  };
  return {work, Action::Threads::one};
}

}  // namespace karat
