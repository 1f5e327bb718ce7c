#include "analysis/form_ranking.h"

namespace isoflop {}  // namespace isoflop
