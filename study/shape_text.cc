#include "study/shape_text.h"

#include "absl/strings/str_cat.h"

namespace isoflop {

std::string NgramText(const ModelShape& shape) { return absl::StrCat(shape.ngram_order, "-gram ", ToString(shape.ngram_smoothing)); }

}  // namespace isoflop
