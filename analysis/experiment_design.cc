#include "analysis/experiment_design.h"

namespace isoflop {}  // namespace isoflop
