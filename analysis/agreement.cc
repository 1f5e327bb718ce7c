#include "analysis/agreement.h"

namespace isoflop {}  // namespace isoflop
