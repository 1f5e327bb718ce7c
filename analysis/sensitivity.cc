#include "analysis/sensitivity.h"

namespace isoflop {}  // namespace isoflop
