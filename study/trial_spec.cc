#include "study/trial_spec.h"

namespace isoflop {

std::string ToString(Precision precision) {
  switch (precision) {
    case Precision::kFp32: return "fp32";
    case Precision::kBf16: return "bf16";
  }
  return "?";
}

std::string ToString(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::kWsd: return "wsd";
    case ScheduleKind::kCosine: return "cosine";
    case ScheduleKind::kConstant: return "constant";
  }
  return "?";
}

std::string ToString(DecayShape shape) {
  switch (shape) {
    case DecayShape::kLinear: return "linear";
    case DecayShape::kSqrt: return "sqrt";
  }
  return "?";
}

std::string ToString(Launch launch) {
  switch (launch) {
    case Launch::kPerSlot: return "per_slot";
    case Launch::kOnce: return "once";
  }
  return "?";
}

}  // namespace isoflop
