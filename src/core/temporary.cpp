#include "core/temporary.h"

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "karat/error.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

fs::path new_folder(const fs::path& parent) {
  const fs::path where = parent.empty() ? fs::temp_directory_path() : parent;
  std::string name = (where / "karat-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    fail("make a temporary folder", where.string() + " (" + std::strerror(errno) + ")",
         "a folder to write in");
  return name;
}

}  // namespace

TemporaryFolder::TemporaryFolder(const fs::path& parent) : path(new_folder(parent)) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

}  // namespace karat
