#include "load/side_files.h"

#include <doctest/doctest.h>

#include "load/testing.h"

using namespace karat;
using namespace karat::testing;
namespace fs = std::filesystem;

TEST_CASE("what belongs to a model beside its weights, and nothing else") {
  const TempFolder folder;
  fs::create_directory(folder / "additional_chat_templates");
  const std::vector<fs::path> wanted = {"Copying.html",
                                        "LICENSE",
                                        "Llama-Licence.txt",
                                        "NOTICE.md",
                                        "USE_POLICY.md",
                                        "added_tokens.json",
                                        "additional_chat_templates/tool_use.jinja",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "generation_config.json",
                                        "merges.txt",
                                        "preprocessor_config.json",
                                        "processor_config.json",
                                        "special_tokens_map.json",
                                        "tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "vocab.json"};
  for (const fs::path& name : wanted) folder.write(name.string(), "x");
  for (const char* name : {"config.json", "model.safetensors", "README.md", "modeling_x.py",
                           "karat_report.json", "optimizer.bin", "additional_chat_templates/x.txt"})
    folder.write(name, "x");
  fs::create_symlink("gone", folder / "image_processor_config.json");
  fs::create_symlink("../gone", folder / "additional_chat_templates/rag.jinja");
  fs::create_symlink("gone", folder / "README.rst");
  fs::create_directory(folder / "license");
  for (const char* name : {"model-license.gguf", "license.pdf", "licensed.py", "copying.c"})
    folder.write(name, "x");
  CHECK(side_files(folder.path()) == wanted);
  CHECK(side_files(folder / "nowhere").empty());
  const auto broken = broken_side_files(folder.path());
  REQUIRE(broken.size() == 2);
  CHECK(broken[0].file == "additional_chat_templates/rag.jinja");
  CHECK(broken[0].target == "../gone");
  CHECK(broken[1].file == "image_processor_config.json");
}

TEST_CASE("what could not be copied after the work is left out before it") {
  const TempFolder folder;
  folder.write("LICENSE", std::string(1u << 20, 'x'));
  folder.write("LICENSE.txt", std::string((1u << 20) + 1, 'x'));
  folder.write("generation_config.json", std::string((1u << 20) + 1, ' '));
  for (const char* name : {"NOTICE", "processor_config.json"})  // a file that opens and reads not
    fs::create_symlink("/proc/self/mem", folder / name);
  CHECK(side_files(folder.path()) == std::vector<fs::path>{"LICENSE", "generation_config.json"});
}
