#include "load/gguf/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstring>
#include <fstream>

#include "core/checked.h"
#include "karat/error.h"
#include "load/folder.h"
#include "load/json.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kMostParts = 65535;

struct Split {
  std::int64_t number = 0, count = 1;
};

Split split_of(const GgufContent& content, const std::string& path) {
  if (!content.values.contains("split.count")) return {};
  // Parts but the first have no architecture, which GgufKeys asks for.
  const auto read = [&](const char* key) -> std::int64_t {
    const auto found = content.values.find(key);
    const auto* number =
        found == content.values.end() ? nullptr : std::get_if<std::uint64_t>(&found->second);
    if (number == nullptr || *number > kMostParts)
      fail(fmt::format("read {}, key {}", path, key), "another value",
           fmt::format("0 to {}", kMostParts));
    return static_cast<std::int64_t>(*number);
  };
  const Split split{read("split.no"), read("split.count")};
  if (split.count > 1 && split.number >= split.count)
    fail("read " + path, fmt::format("part {} of {}", split.number + 1, split.count),
         "a part among them");
  return split.count > 1 ? split : Split{};
}

/// NAME-00001-of-00003.gguf and so on beside `first`.
std::vector<fs::path> parts_of(const fs::path& first, std::int64_t count) {
  const std::string name = first.filename().string();
  const std::string ending = fmt::format("-00001-of-{:05}.gguf", count);
  if (!name.ends_with(ending))
    fail("open " + first.string(), fmt::format("the first of {} parts", count),
         "a name that ends in " + ending, "give the parts the names that they were split to");
  const std::string base = name.substr(0, name.size() - ending.size());
  std::vector<fs::path> parts = {first};
  for (std::int64_t i = 2; i <= count; ++i) {
    parts.push_back(first.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", base, i, count));
    if (!is_there(parts.back()))
      fail("open " + first.string(), "no " + parts.back().filename().string(),
           fmt::format("all {} parts of the model", count), "download the missing part");
  }
  return parts;
}

struct Part {
  std::shared_ptr<const MappedFile> file;
  GgufContent content = {};
  Split split = {};
};

Part open_part(const fs::path& path) {
  Part part{.file = MappedFile::open(path)};
  checked(*part.file, [&] { part.content = parse_gguf(part.file->bytes(), path.string()); });
  part.split = split_of(part.content, path.string());
  return part;
}

Part open_first(const fs::path& path) {
  Part part = open_part(path);
  if (part.split.number != 0)
    fail("open " + path.string(), fmt::format("part {} of a split model", part.split.number + 1),
         "its first part", "give the file whose name has -00001-of- in it");
  return part;
}

void add_tensors(const fs::path& path, GgufContent& all, GgufContent part) {
  for (TensorView& tensor : part.tensors) {
    for (const TensorView& known : all.tensors)
      if (known.name == tensor.name)
        fail("open " + path.string(), "the tensor " + excerpt(tensor.name) + " again",
             "every tensor in one part alone");
    all.tensors.push_back(std::move(tensor));
  }
}

}  // namespace

bool is_gguf(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) == "GGUF";
}

std::vector<fs::path> GgufModel::files_of(const fs::path& file) {
  const Part first = open_first(file);
  return first.split.count > 1 ? parts_of(file, first.split.count) : std::vector{file};
}

GgufModel GgufModel::open(const fs::path& file) {
  Part first = open_first(file);
  GgufModel model;
  model.path_ = file;
  model.content_ = std::move(first.content);
  model.files_ = {first.file};
  if (first.split.count > 1)
    for (const fs::path& path : parts_of(file, first.split.count)) {
      if (path == file) continue;
      Part part = open_part(path);
      const auto expected = static_cast<std::int64_t>(model.files_.size());
      if (part.split.count != first.split.count || part.split.number != expected)
        fail("open " + path.string(),
             fmt::format("part {} of {}", part.split.number + 1, part.split.count),
             fmt::format("part {} of {}", expected + 1, first.split.count));
      add_tensors(path, model.content_, std::move(part.content));
      model.files_.push_back(part.file);
    }
  const GgufKeys keys = model.keys();
  const auto count = keys.find_integer("split.tensors.count");
  if (first.split.count > 1 && count &&
      *count != static_cast<std::int64_t>(model.content_.tensors.size()))
    keys.reject("split.tensors.count", std::to_string(*count),
                fmt::format("{}, the tensors of all parts", model.content_.tensors.size()));
  return model;
}

void GgufModel::check() const {
  for (const auto& file : files_) file->check();
}

GgufFamily GgufModel::family() const {
  const GgufKeys now = keys();
  std::string name = now.architecture();
  std::ranges::replace(name, '-', '_');
  const auto found = gguf_family_table().find(name);
  if (found != gguf_family_table().end()) return found->second(now);
  std::vector<std::string> names;
  for (const auto& [known, family] : gguf_family_table()) names.push_back(known);
  now.reject("general.architecture", excerpt(now.architecture()),
             fmt::format("one of {}", fmt::join(names, ", ")));
}

bool has_own_head(const GgufKeys& keys) {
  const TensorView *head = keys.find_tensor("output.weight"),
                   *embedding = keys.find_tensor("token_embd.weight");
  if (head == nullptr || embedding == nullptr) return head != nullptr;
  return head->type() != embedding->type() || head->shape != embedding->shape ||
         std::memcmp(head->data, embedding->data, head->bytes()) != 0;
}

namespace {

nlohmann::json config_of(const GgufKeys& keys, nlohmann::json config) {
  const TensorView* embedding = keys.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    fail("read " + keys.path() + ", tensor token_embd.weight",
         embedding == nullptr ? "nothing" : shape_text(embedding->shape), "an embedding");
  config["vocab_size"] = embedding->shape[0];
  config["tie_word_embeddings"] = !has_own_head(keys);
  config["torch_dtype"] = embedding->dtype == DType::f32    ? "float32"
                          : embedding->dtype == DType::bf16 ? "bfloat16"
                                                            : "float16";
  const auto token = [&](const char* kind) {
    return keys.find_integer(fmt::format("tokenizer.ggml.{}_token_id", kind));
  };
  config["bos_token_id"] = nullptr;
  if (const auto bos = token("bos")) config["bos_token_id"] = *bos;
  std::vector<std::int64_t> stops;
  for (const char* kind : {"eos", "eot", "eom"})
    if (const auto id = token(kind); id && std::ranges::find(stops, *id) == stops.end())
      stops.push_back(*id);
  config["eos_token_id"] = stops.empty() ? nlohmann::json() : nlohmann::json(stops);
  return config;
}

}  // namespace

std::string gguf_config(const GgufModel& model) {
  std::string text;
  checked(model, [&] { text = config_of(model.keys(), model.family().config).dump(2) + "\n"; });
  return text;
}

}  // namespace karat
