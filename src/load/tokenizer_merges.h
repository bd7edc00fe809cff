// vocab.json and merges.txt, as byte-level BPE was published before there was a tokenizer.json.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "load/tokenizer_side.h"

namespace karat {

/// "GPT2Tokenizer" or "Qwen2Tokenizer": the class that `side` names, or else that of `model_type`.
/// Throws Error on another one. `name` is the file that errors speak of.
std::string merges_class(const SideTokens& side, const std::string& model_type,
                         const std::string& name);

/// The special tokens that a class has by itself, by their roles.
std::map<std::string, std::string> default_roles(const std::string& tokenizer_class);

/// The tokenizer.json that the two files of such a class stand for.
nlohmann::json merges_as_json(std::string_view vocab, std::string_view merges,
                              const std::string& name, const std::string& tokenizer_class,
                              bool add_prefix_space);

}  // namespace karat
