#include "study/plan.h"

namespace isoflop {

std::string ToString(TrialRole role) {
  switch (role) {
    case TrialRole::kTrunk: return "trunk";
    case TrialRole::kBranch: return "branch";
    case TrialRole::kSingle: return "single";
    case TrialRole::kBaseline: return "baseline";
  }
  return "?";
}

}  // namespace isoflop
