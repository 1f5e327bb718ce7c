#include "analysis/holdout.h"

namespace isoflop {}  // namespace isoflop
