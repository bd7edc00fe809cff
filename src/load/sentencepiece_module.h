#pragma once

#include <memory>
#include <string>

#include "sentencepiece/model.h"

namespace karat {

/// Opens the bytes of a tokenizer.model; `file` is named in errors. Throws Error when they are not
/// one, or when libkarat_sentencepiece.so is not found.
std::unique_ptr<SentencePieceModel> open_sentencepiece(const std::string& bytes,
                                                       const std::string& file);

}  // namespace karat
