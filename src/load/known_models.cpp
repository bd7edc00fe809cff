#include <algorithm>

#include "core/block.h"
#include "karat/families.h"
#include "load/family.h"
#include "load/gguf/family.h"
#include "load/gguf/pre_tokenizer.h"

namespace karat {

KnownModels known_models() {
  KnownModels known;
  known.types = {"BF16", "F16", "F32"};
  known.tokenizers = {"tokenizer.json", "tokenizer.model"};
  for (const auto& [name, family] : family_table()) known.families.push_back(name);
  for (const auto& [name, family] : gguf_family_table()) known.architectures.push_back(name);
  known.gguf_types = known.types;
  for (const auto& [name, type] : block_table()) known.gguf_types.emplace_back(type().name);
  for (const std::string_view name : gguf_pre_tokenizers())
    known.gguf_tokenizers.emplace_back(name);
  for (auto* names :
       {&known.families, &known.architectures, &known.gguf_types, &known.gguf_tokenizers})
    std::ranges::sort(*names);
  return known;
}

}  // namespace karat
