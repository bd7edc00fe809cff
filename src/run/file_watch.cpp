#include "run/file_watch.h"

#include <sys/stat.h>

#include <string>

#include "karat/error.h"
#include "karat/safetensors.h"

namespace karat {
namespace fs = std::filesystem;

bool FileWatch::read(const fs::path& path, Stamp& stamp) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return false;
  stamp = {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
  return true;
}

FileWatch::FileWatch(const fs::path& folder) {
  for (const fs::path& file : Safetensors::files_of(folder))
    if (Stamp stamp; read(file, stamp)) files_.push_back({file, stamp});
}

void FileWatch::check() const {
  for (const File& file : files_) {
    Stamp now;
    if (!read(file.path, now) || now.number != file.stamp.number || now.device != file.stamp.device)
      continue;
    if (now.bytes < file.stamp.bytes)
      fail("model file " + file.path.string(), std::to_string(now.bytes) + " bytes",
           "the " + std::to_string(file.stamp.bytes) + " that it had when it was opened",
           "something cut it while the model ran; write models beside it and rename them");
    if (!(now == file.stamp))
      fail("model file " + file.path.string(), "a change", "the file as it was opened",
           "something wrote to it while the model ran; write models beside it and rename them");
  }
}

}  // namespace karat
