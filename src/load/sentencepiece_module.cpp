// Finds libkarat_sentencepiece.so beside the program, in ../lib/karat, or where the build or the
// installation put it, and keeps its symbols apart from everybody else's.
#include "load/sentencepiece_module.h"

#include <dlfcn.h>

#include <filesystem>

#include "karat/error.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
constexpr const char* kModule = "libkarat_sentencepiece.so";

OpenSentencePiece* load_module() {
  std::error_code ignored;
  const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  std::string reason;
  for (const fs::path& folder :
       {here, here.parent_path() / "lib" / "karat", fs::path(KARAT_BUILT_MODULES),
        fs::path(KARAT_INSTALLED_MODULES)}) {
    const fs::path path = folder / kModule;
    if (!fs::exists(path, ignored)) continue;
    // Deep binding makes sentencepiece prefer its own protobuf to the one LibTorch brought along.
    // Sanitizers do not know it; they build without LibTorch.
    const int apart = KARAT_WITH_TORCH ? RTLD_DEEPBIND : 0;
    if (void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | apart))
      return reinterpret_cast<OpenSentencePiece*>(::dlsym(module, kOpenSentencePiece));
    reason = ::dlerror();
  }
  fail("load sentencepiece", reason.empty() ? std::string("no ") + kModule : reason,
       "the module that Karat's build makes", "it lies beside karat, or in lib/karat");
}

}  // namespace

std::unique_ptr<SentencePieceModel> open_sentencepiece(const std::string& bytes,
                                                       const std::string& file) {
  static OpenSentencePiece* const open = load_module();
  std::string error;
  std::unique_ptr<SentencePieceModel> model(open(bytes, error));
  if (!model) fail("read " + file, error, "a sentencepiece model");
  return model;
}

}  // namespace karat
