// What Karat reads, as this build knows it.
#pragma once

#include <string>
#include <vector>

namespace karat {

struct KnownModels {
  std::vector<std::string> families;         // model_type of config.json
  std::vector<std::string> architectures;    // general.architecture of GGUF files
  std::vector<std::string> types;            // of weights in safetensors files
  std::vector<std::string> gguf_types;       // of weights in GGUF files
  std::vector<std::string> tokenizers;       // files of a folder
  std::vector<std::string> gguf_tokenizers;  // tokenizer.ggml.pre of byte-level BPE
};

/// Each list in the order of its names.
KnownModels known_models();

}  // namespace karat
