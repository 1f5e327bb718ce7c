#include "analysis/coverage.h"

namespace isoflop {}  // namespace isoflop
