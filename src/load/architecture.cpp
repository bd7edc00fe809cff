#include "karat/architecture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/file.h"
#include "karat/error.h"
#include "load/family.h"
#include "load/folder.h"
#include "load/gguf/model.h"
#include "load/json.h"
#include "load/side_files.h"

namespace karat {
namespace {

constexpr std::size_t kMaxConfigBytes = 16u << 20;

/// Tokens that end a text by generation_config.json, which wins where it names any, as in
/// transformers: chat models name there what ends a turn.
void read_stops(const std::filesystem::path& path, Architecture& arch) {
  if (!is_there(path)) return;
  const std::string name = path.string();
  const ConfigReader config(parse_json(read_text(path, kMaxConfigBytes), name), name);
  if (config.holds("eos_token_id")) arch.eos = config.token_ids("eos_token_id", 0, arch.vocab);
}

void add_part(std::vector<NamedShape>& list, const Norm& norm) {
  list.push_back({norm.name + ".weight", norm.shape()});
  if (norm.has_bias()) list.push_back({norm.name + ".bias", norm.shape()});
}

void add_part(std::vector<NamedShape>& list, const Linear& linear) {
  list.push_back({linear.name + ".weight", linear.transposed ? std::vector{linear.in, linear.out}
                                                             : std::vector{linear.out, linear.in}});
  if (linear.bias) list.push_back({linear.name + ".bias", {linear.out}});
}

void add_part(std::vector<NamedShape>& list, const Router& router) {
  list.push_back({router.name + ".weight", {router.out, router.in}});
}

}  // namespace

std::vector<const Linear*> Block::linears() const {
  std::vector<const Linear*> list;
  visit_linears(*this, [&](Role, const Linear& linear) { list.push_back(&linear); });
  return list;
}

bool Architecture::mixture() const {
  return std::ranges::any_of(blocks, [](const Block& b) { return !b.mlp.experts.empty(); });
}

std::vector<std::string> known_families() {
  std::vector<std::string> names;
  for (const auto& [name, family] : family_table()) names.push_back(name);
  return names;
}

Architecture parse_architecture(std::string_view text, const std::string& path) {
  const ConfigReader config(parse_json(text, path), path);
  const std::string type = config.text_or("model_type", "");
  const auto family = family_table().find(type);
  if (family == family_table().end())
    config.reject("model_type", "one of " + fmt::format("{}", fmt::join(known_families(), ", ")));
  Architecture arch = family->second(config);
  arch.family = type;
  for (std::string& unknown : check_keys(config, arch)) arch.warnings.push_back(std::move(unknown));
  return arch;
}

/// The matrices of a GGUF file lie [out, in], whatever the family's own folders have.
static Architecture read_gguf(const std::filesystem::path& file) {
  Architecture arch = parse_architecture(gguf_config(GgufModel::open(file)), file.string());
  for (Block& block : arch.blocks)
    visit_linears(block, [](Role, Linear& linear) { linear.transposed = false; });
  return arch;
}

Architecture read_architecture(const std::filesystem::path& folder) {
  if (is_gguf(folder)) return read_gguf(folder);
  check_model_folder(folder);
  const auto path = folder / "config.json";
  Architecture arch = parse_architecture(read_text(path, kMaxConfigBytes), path.string());
  read_stops(folder / "generation_config.json", arch);
  for (const auto& [file, target] : broken_side_files(folder))
    arch.warnings.push_back(fmt::format(
        "{} is a link to {}, which is not there: the download was cut off; it is not copied",
        (folder / file).string(), target.string()));
  return arch;
}

std::vector<NamedShape> tensor_shapes(const Architecture& arch) {
  std::vector<NamedShape> list = {{arch.embedding, {arch.vocab, arch.hidden}}};
  if (!arch.positions.empty())
    list.push_back({arch.positions, {arch.position_offset + arch.max_positions, arch.hidden}});
  for (const Block& block : arch.blocks)
    visit_parts([&](Role, const auto& part) { add_part(list, part); }, block);
  add_part(list, arch.final_norm);
  if (!arch.tied()) list.push_back({arch.head, {arch.vocab, arch.hidden}});
  if (!arch.head_bias.empty()) list.push_back({arch.head_bias, {arch.vocab}});
  return list;
}

}  // namespace karat
