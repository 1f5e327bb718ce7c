#include "corpus/sentencepiece_model.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <unordered_map>

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

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::function<bool(std::string*)>& next) : next_(next) { Next(); }
  bool done() const override { return done_; }
  void Next() override { done_ = !next_(&value_); }
  const std::string& value() const override { return value_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::function<bool(std::string*)>& next_;
  std::string value_;
  bool done_ = false;
};

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

std::string TrainSentencePieceModel(int vocab_size, const std::function<bool(std::string*)>& next,
                                    std::string* error) {
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocab_size)},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"add_dummy_prefix", "false"},
      {"byte_fallback", "true"},
      {"character_coverage", "1.0"},
      {"hard_vocab_limit", "false"},
      {"num_threads", "1"},
      {"minloglevel", "2"},
  };
  Sentences sentences(next);
  std::string serialized;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &sentences, &serialized);
  if (!status.ok()) {
    *error = status.error_message();
    return "";
  }
  return serialized;
}

}  // namespace isoflop
