#include "worker/trainer/language_model.h"

#include "study/status_macros.h"
#include "worker/trainer/lstm.h"
#include "worker/trainer/transformer.h"

namespace isoflop {

std::unique_ptr<LanguageModel> MakeLanguageModel(const ModelShape& shape, int64_t longest_sequence,
                                                 const Parameters& parameters, Precision precision) {
  if (shape.family == Family::kLstm) return std::make_unique<Lstm>(shape, parameters, precision);
  ISOFLOP_CHECK(shape.family == Family::kTransformer, "family " + ToString(shape.family));
  return std::make_unique<Transformer>(shape, longest_sequence, parameters, precision);
}

}  // namespace isoflop
