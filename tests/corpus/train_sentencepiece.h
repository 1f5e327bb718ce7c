// A small SentencePiece model to test with. Its library's headers and Abseil's
// cannot stand in one file, so this one has neither.
#ifndef ISOFLOP_TESTS_CORPUS_TRAIN_SENTENCEPIECE_H_
#define ISOFLOP_TESTS_CORPUS_TRAIN_SENTENCEPIECE_H_

#include <map>
#include <string>
#include <vector>

namespace isoflop {

// The content of a BPE .model of `vocab_size` pieces over `lines`, that gives
// back any bytes unless `settings` (flags of spm_train) say otherwise.
std::string TrainSentencePieceModel(int vocab_size, const std::vector<std::string>& lines,
                                    const std::map<std::string, std::string>& settings = {});

// What the library itself makes of `text` with that model.
std::vector<int> EncodeByLibrary(const std::string& model, const std::string& text);

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_CORPUS_TRAIN_SENTENCEPIECE_H_
