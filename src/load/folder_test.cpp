// Folders that hold no model as Hugging Face lays it out, each told by what it holds.
#include "load/folder.h"

#include <doctest/doctest.h>

#include "karat/architecture.h"
#include "karat/safetensors.h"
#include "karat/tokenizer.h"
#include "load/testing.h"

using namespace karat;
using namespace karat::testing;
namespace fs = std::filesystem;

namespace {

constexpr const char* kConfig = R"({"model_type":"llama","vocab_size":8,"hidden_size":64,
  "intermediate_size":96,"num_hidden_layers":1,"num_attention_heads":4})";
constexpr const char* kPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 988097824\n";

std::string folder_refusal(const fs::path& path) {
  return error_of([&] { read_architecture(path); });
}
/// What a folder of this one file is refused with, once its config.json is read.
std::string weights_refusal(const char* name) {
  const TempFolder folder;
  folder.write("config.json", kConfig);
  folder.write(name, "x");
  CHECK(folder_refusal(folder.path()) == "no error");
  return error_of([&] { Safetensors::open_folder(folder.path()); });
}

}  // namespace

TEST_CASE("no folder: Karat downloads nothing") {
  contains(folder_refusal("org/name-of-a-model"), "hf download org/name-of-a-model");
  contains(folder_refusal("org/name-of-a-model"), "Karat downloads nothing");
  contains(folder_refusal("./no/such/folder"),
           "got no such folder, expected a folder with config.json");
  contains(folder_refusal("./no/such/folder"), "Karat downloads nothing");
}

TEST_CASE("a file in a folder's place") {
  const TempFolder folder;
  folder.write("model.gguf", "GGUF\3");
  contains(folder_refusal(folder / "model.gguf"), "model.gguf: got a version of 4 bytes");
  folder.write("model.safetensors", "x");
  contains(folder_refusal(folder / "model.safetensors"), "got a file, expected a folder");
  folder.write("config.json", kConfig);
  contains(folder_refusal(folder / "model.safetensors"), "give " + folder.path().string());
}

TEST_CASE("folders without config.json are told by what they hold") {
  const TempFolder folder;
  contains(folder_refusal(folder.path()), "got an empty folder");
  folder.write("notes.txt", "x");
  contains(folder_refusal(folder.path()), "got no config.json");
  fs::create_directory(folder / "below");
  folder.write("below/config.json", kConfig);
  contains(folder_refusal(folder.path()), "give that folder");
  contains(folder_refusal(folder.path()), (folder / "below").string());
  folder.write("params.json", "{}");
  contains(folder_refusal(folder.path()), "got params.json and no config.json");
  folder.write("small-q4.gguf", "GGUF");
  contains(folder_refusal(folder.path()), "got GGUF files and no config.json");
  contains(folder_refusal(folder.path()), "give the file: " + (folder / "small-q4.gguf").string());
  folder.write("adapter_config.json", R"({"base_model_name_or_path":"org/base"})");
  contains(folder_refusal(folder.path()), "it belongs to org/base; merge it first");
  folder.write("adapter_config.json", "garbage");
  contains(folder_refusal(folder.path()), "it belongs to its base model");
}

TEST_CASE("a cache's folders point to the snapshot") {
  const TempFolder cache;
  const fs::path model = cache / "hub/models--org--name", snapshot = model / "snapshots/0123abc";
  fs::create_directories(snapshot);
  fs::create_directories(model / "refs");
  for (const fs::path& folder : {cache.path(), cache / "hub", model})
    contains(folder_refusal(folder), "give " + snapshot.string());
  fs::create_symlink("../../blobs/gone", snapshot / "config.json");
  contains(folder_refusal(snapshot), "a link to ../../blobs/gone, which is not there");
  fs::create_symlink("gone", cache / "link");
  contains(folder_refusal(cache / "link"), "a link to gone");
}

TEST_CASE("a broken link is named: a file that counts is an error, one that travels a warning") {
  const std::string gone = ": got a link to ../../blobs/gone, which is not there";
  for (const char* name : {"generation_config.json", "adapter_config.json"}) {
    const TempFolder folder;
    folder.write("config.json", kConfig);
    fs::create_symlink("../../blobs/gone", folder / name);
    contains(folder_refusal(folder.path()), name + gone);
  }
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json",
                           "special_tokens_map.json", "added_tokens.json", "vocab.json"}) {
    const TempFolder folder;
    if (name != std::string("tokenizer.json")) folder.write("tokenizer.json", "{}");
    fs::create_symlink("../../blobs/gone", folder / name);
    contains(error_of([&] { Tokenizer::open(folder.path()); }), name + gone);
    contains(error_of([&] { Tokenizer::files(folder.path()); }), name + gone);
  }
  const TempFolder folder;
  folder.write("config.json", kConfig);
  for (const char* name : {"LICENSE", "chat_template.jinja"})
    fs::create_symlink("../../blobs/gone", folder / name);
  const auto warnings = read_architecture(folder.path()).warnings;
  REQUIRE(warnings.size() == 2);
  contains(warnings[0], (folder / "LICENSE").string() + " is a link to ../../blobs/gone, which is");
  contains(warnings[1], "chat_template.jinja");
  CHECK(Tokenizer::files(folder.path()).empty());
  folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "a.safetensors"}})");
  fs::create_symlink("../../blobs/gone", folder / "a.safetensors");
  contains(error_of([&] { Safetensors::open_folder(folder.path()); }), "a.safetensors" + gone);
}

TEST_CASE("an adapter beside the weights changes what they compute") {
  const TempFolder folder;
  folder.write("config.json", kConfig);
  CHECK(folder_refusal(folder.path()) == "no error");
  folder.write("adapter_config.json", "{}");
  contains(folder_refusal(folder.path()),
           "got an adapter (adapter_config.json) beside the weights");
  contains(folder_refusal(folder.path()), "merge it first");
}

TEST_CASE("weights of other kinds are told by their files") {
  contains(weights_refusal("model-00001-of-00002.safetensors"),
           "the shard model-00001-of-00002.safetensors and no model.safetensors.index.json");
  contains(weights_refusal("model.fp16.safetensors"), "rename it to model.safetensors");
  contains(weights_refusal("consolidated.safetensors"), "got consolidated.safetensors alone");
  contains(weights_refusal("pytorch_model.bin"), "pytorch_model.bin and no safetensors");
  contains(weights_refusal("consolidated.00.pth"), "no pickles");
  contains(weights_refusal("w.gguf"), "got w.gguf and no safetensors");
  contains(weights_refusal("tf_model.h5"), "got tf_model.h5 and no safetensors");
  contains(weights_refusal("mine.safetensors"), "got mine.safetensors alone");
  contains(weights_refusal("README.md"), "neither model.safetensors nor");
  const TempFolder folder;
  fs::create_symlink("../../blobs/gone", folder / "model.safetensors");
  contains(error_of([&] { Safetensors::open_folder(folder.path()); }), "download again");
}

TEST_CASE("what git-lfs left in a file's place is told, in weights and in JSON") {
  const TempFolder folder;
  folder.write("config.json", kPointer);
  contains(folder_refusal(folder.path()), "config.json: got a git-lfs pointer");
  folder.write("config.json", kConfig);
  folder.write("model.safetensors", kPointer);
  contains(error_of([&] { Safetensors::open_folder(folder.path()); }),
           "model.safetensors: got a git-lfs pointer");
}
