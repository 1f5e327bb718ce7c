#include "analysis/beyond_optimum.h"

namespace isoflop {}  // namespace isoflop
