// The module that links the sentencepiece library (Kudo, Richardson 2018).
#include <sentencepiece_processor.h>

#include "sentencepiece/model.h"

namespace karat {
namespace {

class Model final : public SentencePieceModel {
 public:
  bool open(std::string_view bytes, std::string& error) {
    const auto status = processor_.LoadFromSerializedProto({bytes.data(), bytes.size()});
    if (!status.ok()) error = status.ToString();
    return status.ok();
  }
  std::vector<int> encode(std::string_view text, std::string& error) const override {
    std::vector<int> ids;
    const auto status = processor_.Encode({text.data(), text.size()}, &ids);
    if (status.ok()) return ids;
    error = status.ToString();
    return {};
  }
  int size() const override { return processor_.GetPieceSize(); }
  std::string piece(int id) const override { return processor_.IdToPiece(id); }
  bool is_special(int id) const override {
    return processor_.IsControl(id) || processor_.IsUnknown(id);
  }
  int find(std::string_view piece) const override {
    return processor_.PieceToId({piece.data(), piece.size()});
  }
  int bos() const override { return processor_.bos_id(); }
  int eos() const override { return processor_.eos_id(); }

 private:
  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace
}  // namespace karat

extern "C" karat::SentencePieceModel* karat_open_sentencepiece(std::string_view bytes,
                                                               std::string& error) {
  auto model = std::make_unique<karat::Model>();
  return model->open(bytes, error) ? model.release() : nullptr;
}
