// A tokenizer.model, behind an interface that a loaded module implements. The distribution's
// sentencepiece carries its own old copy of protobuf with all symbols visible; in one scope with
// the protobuf of LibTorch both crash at start. So it is loaded on its own, when first needed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace karat {

class SentencePieceModel {
 public:
  virtual ~SentencePieceModel() = default;
  /// Ids of `text`; nothing, and `error` set, when sentencepiece refuses it.
  virtual std::vector<int> encode(std::string_view text, std::string& error) const = 0;
  virtual int size() const = 0;
  virtual std::string piece(int id) const = 0;
  virtual bool is_special(int id) const = 0;           // a control or the unknown piece
  virtual int find(std::string_view piece) const = 0;  // the unknown piece's id when absent
  virtual int bos() const = 0;                         // -1: none
  virtual int eos() const = 0;
};

/// The module's one function: nullptr, and `error` set, when `bytes` are not a model.
using OpenSentencePiece = SentencePieceModel*(std::string_view bytes, std::string& error);
inline constexpr const char* kOpenSentencePiece = "karat_open_sentencepiece";

}  // namespace karat
