// karat families: Lists the model families, weight types and tokenizers that are read
#include "karat/families.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"

namespace karat {
namespace {

struct FamiliesArguments {
  bool markdown = false, json = false;
};

struct FamiliesRow {
  const char *key, *title;
  std::vector<std::string> names;
};

std::vector<FamiliesRow> family_rows() {
  const KnownModels known = known_models();
  return {{"families", "`model_type` of config.json", known.families},
          {"types", "types of weights in safetensors files", known.types},
          {"tokenizers", "tokenizers of folders", known.tokenizers},
          {"architectures", "`general.architecture` of GGUF files", known.architectures},
          {"gguf_types", "types of weights in GGUF files", known.gguf_types},
          {"gguf_tokenizers", "`tokenizer.ggml.pre` of byte-level BPE", known.gguf_tokenizers}};
}

void print_families(const FamiliesArguments& arguments) {
  nlohmann::ordered_json json;
  if (arguments.markdown) fmt::print("| what | names |\n|---|---|\n");
  for (const FamiliesRow& row : family_rows()) {
    json[row.key] = row.names;
    if (arguments.markdown)
      fmt::print("| {} | `{}` |\n", row.title, fmt::join(row.names, "`, `"));
    else if (!arguments.json)
      fmt::print("{}\n  {}\n", row.key, fmt::join(row.names, " "));
  }
  if (arguments.json) fmt::print("{}\n", json.dump(2));
}

}  // namespace

Action families_verb(CLI::App& app) {
  app.description("Lists the model families, weight types and tokenizers that are read");
  auto arguments = std::make_shared<FamiliesArguments>();
  auto* markdown = app.add_flag("--markdown", arguments->markdown, "A table for documents");
  app.add_flag("--json", arguments->json, "For scripts")->excludes(markdown);
  return {[arguments] { print_families(*arguments); }, Action::Threads::one};
}

}  // namespace karat
