#include "corpus/sentencepiece_model.h"

#include <sentencepiece_processor.h>

#include <cstdlib>

namespace isoflop {
namespace {

// SentencePiece writes a blank as U+2581.
constexpr std::string_view kBlank = "\xe2\x96\x81";

std::string TextOfPiece(const std::string& piece) {
  std::string text;
  for (std::size_t i = 0; i < piece.size();) {
    if (std::string_view(piece).substr(i).starts_with(kBlank)) {
      text.push_back(' ');
      i += kBlank.size();
    } else {
      text.push_back(piece[i++]);
    }
  }
  return text;
}

}  // namespace

struct SentencePieceModel::Processor {
  sentencepiece::SentencePieceProcessor processor;
};

SentencePieceModel::SentencePieceModel() : processor_(std::make_unique<Processor>()) {}
SentencePieceModel::~SentencePieceModel() = default;

std::unique_ptr<SentencePieceModel> SentencePieceModel::Parse(const std::string& serialized,
                                                              std::string* error) {
  std::unique_ptr<SentencePieceModel> model(new SentencePieceModel());
  sentencepiece::SentencePieceProcessor& processor = model->processor_->processor;
  const auto status = processor.LoadFromSerializedProto(serialized);
  if (!status.ok()) {
    *error = status.error_message();
    return nullptr;
  }
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    Piece piece;
    const std::string text = processor.IdToPiece(id);
    if (processor.IsByte(id)) {  // "<0x0A>"
      piece.kind = Kind::kByte;
      piece.bytes = std::string(1, static_cast<char>(std::strtol(text.substr(3, 2).c_str(),
                                                                 nullptr, 16)));
    } else if (!processor.IsControl(id) && !processor.IsUnknown(id) && !processor.IsUnused(id)) {
      piece.kind = Kind::kText;
      piece.bytes = TextOfPiece(text);
    }
    model->pieces_.push_back(std::move(piece));
  }
  return model;
}

int SentencePieceModel::eos_id() const { return processor_->processor.eos_id(); }
int SentencePieceModel::bos_id() const { return processor_->processor.bos_id(); }

std::vector<int> SentencePieceModel::Encode(std::string_view text) const {
  std::vector<int> ids;
  // It fails on a model that was not loaded only.
  if (!processor_->processor.Encode(text, &ids).ok()) ids.clear();
  return ids;
}

}  // namespace isoflop
