#include "analysis/interval_methods.h"

namespace isoflop {}  // namespace isoflop
