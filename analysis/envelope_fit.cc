#include "analysis/envelope_fit.h"

namespace isoflop {}  // namespace isoflop
