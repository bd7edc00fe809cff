#include "load/side_files.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "karat/tokenizer.h"

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

/// Regular files of `folder`, or those that its links lead to; none when it cannot be read.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (fs::is_regular_file(at->path(), ignored)) files.push_back(at->path());
  }
  return files;
}

}  // namespace

std::vector<fs::path> side_files(const fs::path& folder) {
  std::vector<fs::path> list;
  for (const fs::path& file : Tokenizer::files(folder)) list.push_back(file.filename());
  for (const fs::path& file : files_in(folder)) {
    const std::string name = file.filename().string();
    const bool known = std::ranges::find(kNames, name) != kNames.end();
    if ((known || (is_licence(name) && is_small(file))) && is_readable(file)) list.push_back(name);
  }
  for (const fs::path& file : files_in(folder / kTemplates))
    if (file.extension() == ".jinja" && is_readable(file))
      list.push_back(fs::path(kTemplates) / file.filename());
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

}  // namespace karat
