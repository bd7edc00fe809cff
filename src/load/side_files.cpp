#include "load/side_files.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "core/file.h"
#include "karat/tokenizer.h"
#include "load/folder.h"

namespace karat {
namespace fs = std::filesystem;
namespace {

constexpr std::array<std::string_view, 8> kNames = {"generation_config.json",
                                                    "chat_template.jinja",
                                                    "chat_template.json",
                                                    "preprocessor_config.json",
                                                    "processor_config.json",
                                                    "image_processor_config.json",
                                                    "video_preprocessor_config.json",
                                                    "tekken.json"};
constexpr const char* kTemplates = "additional_chat_templates";

constexpr std::array<std::string_view, 6> kTextEndings = {"",     ".txt",  ".md",
                                                          ".rst", ".html", ".json"};
constexpr std::uintmax_t kMostLicence = 1u << 20;  // bytes; what is larger is something else

/// LICENSE, LICENCE.md, Llama-License.txt, NOTICE, COPYING, USE_POLICY.md, …
bool is_licence(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  const std::string ending = fs::path(name).extension().string();
  if (std::ranges::find(kTextEndings, ending) == kTextEndings.end()) return false;
  for (const std::string_view part : {"license", "licence", "use_policy"})
    if (name.find(part) != name.npos) return true;
  return name.starts_with("notice") || name.starts_with("copying");
}

bool is_readable(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  stream.peek();
  return stream.is_open() && !stream.bad();
}

bool is_small(const fs::path& file) {
  std::error_code error;
  return fs::file_size(file, error) <= kMostLicence && !error;
}

bool is_known(const fs::path& file) {
  return std::ranges::find(kNames, file.filename().string()) != kNames.end();
}

/// Names below `folder` that travel, whatever they are: a file, a link to one, a broken link.
std::vector<fs::path> travelling(const fs::path& folder) {
  std::vector<fs::path> names;
  const auto take = [&](const fs::path& name) { names.push_back(name); };
  for (const fs::directory_entry& entry : entries_of(folder))
    if (is_known(entry) || is_licence(entry.path().filename())) take(entry.path().filename());
  for (const fs::directory_entry& entry : entries_of(folder / kTemplates))
    if (entry.path().extension() == ".jinja") take(kTemplates / entry.path().filename());
  return names;
}

bool can_travel(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) && is_readable(file) &&
         (!is_licence(file.filename().string()) || is_small(file));
}

}  // namespace

std::vector<fs::path> side_files(const fs::path& folder) {
  std::vector<fs::path> list;
  for (const fs::path& file : Tokenizer::files(folder)) list.push_back(file.filename());
  for (const fs::path& file : travelling(folder))
    if (can_travel(folder / file)) list.push_back(file);
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

std::vector<BrokenLink> broken_side_files(const fs::path& folder) {
  std::vector<BrokenLink> broken;
  for (const fs::path& file : travelling(folder))
    if (is_dangling(folder / file)) broken.push_back({file, fs::read_symlink(folder / file)});
  std::ranges::sort(broken, {}, &BrokenLink::file);
  return broken;
}

}  // namespace karat
