// Reading of mapped files, whose pages may vanish (core/page_guard.h).
#pragma once

namespace karat {

/// Calls read(), which reads `files` (a MappedFile or a Safetensors), and files.check() after it,
/// whether it returns or throws: what threw may have met zeros, and the file is then what is wrong.
template <typename Files, typename Read>
void checked(const Files& files, const Read& read) {
  try {
    read();
  } catch (...) {
    files.check();
    throw;
  }
  files.check();
}

}  // namespace karat
