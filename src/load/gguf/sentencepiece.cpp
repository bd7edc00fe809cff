#include "load/gguf/sentencepiece.h"

#include <algorithm>
#include <bit>

namespace karat {
namespace {

constexpr int kBpe = 2, kByte = 6;  // ModelType, Type

/// Fields of a protocol buffer.
class Message {
 public:
  void number(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(value);
  }
  void real(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(bits >> 8 * i & 255);
  }
  void text(int field, const std::string& value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>((value & 127) | 128);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

Message trainer_of(const SentencePieces& pieces) {
  Message trainer;
  trainer.number(3, kBpe);
  trainer.number(4, pieces.pieces.size());
  const bool bytes = std::ranges::any_of(
      pieces.pieces, [](const SentencePieces::Piece& piece) { return piece.type == kByte; });
  trainer.number(35, bytes ? 1 : 0);
  const auto special = [&](const std::optional<std::int64_t>& id, int id_field, int text_field) {
    if (!id) return;
    trainer.number(id_field, static_cast<std::uint64_t>(*id));
    trainer.text(text_field, pieces.pieces[static_cast<std::size_t>(*id)].text);
  };
  special(pieces.unknown, 40, 45);
  special(pieces.bos, 41, 46);
  special(pieces.eos, 42, 47);
  return trainer;
}

}  // namespace

std::string sentencepiece_model(const SentencePieces& pieces) {
  Message model;
  for (const SentencePieces::Piece& piece : pieces.pieces) {
    Message one;
    one.text(1, piece.text);
    one.real(2, piece.score);
    one.number(3, static_cast<std::uint64_t>(piece.type));
    model.text(1, one.bytes());
  }
  model.text(2, trainer_of(pieces).bytes());
  Message normalizer;
  normalizer.text(1, "identity");
  normalizer.number(3, pieces.spaced ? 1 : 0);
  normalizer.number(4, 0);  // spaces are kept
  normalizer.number(5, 1);
  model.text(3, normalizer.bytes());
  return model.bytes();
}

}  // namespace karat
