#include "analysis/normal.h"

namespace isoflop {}  // namespace isoflop
