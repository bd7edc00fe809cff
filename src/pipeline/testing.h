// A fixture of a family as a text and as a whole folder, for tests that quantize folders.
#pragma once

#include <string>

#include "core/file.h"
#include "karat/calibrate.h"
#include "model/testing.h"

namespace karat {

/// The tokens of a fixture.
inline CalibrationSet fixture_text(const std::string& family) {
  CalibrationSet set;
  set.ids = FamilyFixture(family).ids().to(torch::kInt64).clone();
  return set;
}

/// Bytes a … z, which is all that the fixtures' 61 tokens have room for.
inline std::string small_tokenizer() {
  std::string vocab;
  for (int i = 0; i < 26; ++i)
    vocab +=
        std::string(i > 0 ? ",\"" : "\"") + static_cast<char>('a' + i) + "\":" + std::to_string(i);
  return R"({"version":"1.0","added_tokens":[],"normalizer":null,)"
         R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
         R"("post_processor":null,"decoder":{"type":"ByteLevel"},)"
         R"("model":{"type":"BPE","vocab":{)" +
         vocab + R"(},"merges":[]}})";
}

/// Copies the fixture to `folder` and gives it that tokenizer.
inline std::filesystem::path model_folder(const std::filesystem::path& folder,
                                          const std::string& family) {
  std::filesystem::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"})
    std::filesystem::copy_file(kFamilies / family / name, folder / name,
                               std::filesystem::copy_options::overwrite_existing);
  write_file(folder / "tokenizer.json", small_tokenizer());
  return folder;
}

}  // namespace karat
