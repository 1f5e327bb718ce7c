#include "analysis/study_comparison.h"

namespace isoflop {}  // namespace isoflop
