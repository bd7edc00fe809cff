// A sentencepiece model (Kudo, Richardson 2018; sentencepiece_model.proto) of pieces and scores.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace karat {

struct SentencePieces {
  struct Piece {
    std::string text;
    float score = 0;
    int type = 1;  // normal, unknown, control, of the user, unused, byte: 1 … 6, as in GGUF
  };
  std::vector<Piece> pieces = {};
  bool spaced = true;  // a text begins with a space that it does not have
  std::optional<std::int64_t> unknown = {}, bos = {}, eos = {};
};

/// The bytes of a tokenizer.model that merges by scores (BPE), with bytes for what no piece has
/// where there are pieces of bytes.
std::string sentencepiece_model(const SentencePieces& pieces);

}  // namespace karat
