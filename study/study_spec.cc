#include "study/study_spec.h"

namespace isoflop {

std::string ToString(IfShort if_short) {
  switch (if_short) {
    case IfShort::kError: return "error";
    case IfShort::kDrop: return "drop";
    case IfShort::kRepeat: return "repeat";
  }
  return "?";
}

std::string ToString(EvalBy by) {
  switch (by) {
    case EvalBy::kDocument: return "document";
    case EvalBy::kDirectory: return "directory";
    case EvalBy::kChapter: return "chapter";
  }
  return "?";
}

std::string ToString(GridKind kind) {
  switch (kind) {
    case GridKind::kIsoflop: return "isoflop";
    case GridKind::kProduct: return "product";
    case GridKind::kList: return "list";
  }
  return "?";
}

std::string ToString(LearningRateRule::Kind kind) {
  switch (kind) {
    case LearningRateRule::Kind::kNumber: return "number";
    case LearningRateRule::Kind::kByWidth: return "by width";
    case LearningRateRule::Kind::kNanochat: return "nanochat";
    case LearningRateRule::Kind::kOlmoLadder: return "olmo-ladder";
    case LearningRateRule::Kind::kStepLaw: return "step-law";
    case LearningRateRule::Kind::kMup: return "mup";
  }
  return "?";
}

std::string ToString(BatchRule::Kind kind) {
  switch (kind) {
    case BatchRule::Kind::kTokens: return "tokens";
    case BatchRule::Kind::kSequences: return "sequences";
    case BatchRule::Kind::kNanochat: return "nanochat";
    case BatchRule::Kind::kOlmoLadder: return "olmo-ladder";
    case BatchRule::Kind::kStepLaw: return "step-law";
  }
  return "?";
}

std::string ToString(SlotChoice slot) {
  switch (slot) {
    case SlotChoice::kGpu: return "gpu";
    case SlotChoice::kCpu: return "cpu";
    case SlotChoice::kAny: return "any";
  }
  return "?";
}

std::string ToString(FitObjective objective) {
  switch (objective) {
    case FitObjective::kHuber: return "huber";
    case FitObjective::kLad: return "lad";
    case FitObjective::kMse: return "mse";
    case FitObjective::kMseRaw: return "mse_raw";
  }
  return "?";
}

std::string ToString(FitWeights weights) {
  switch (weights) {
    case FitWeights::kNone: return "none";
    case FitWeights::kByRun: return "by_run";
    case FitWeights::kInverseVariance: return "inverse_variance";
  }
  return "?";
}

std::string ToString(LossUnit unit) {
  switch (unit) {
    case LossUnit::kNats: return "nats";
    case LossUnit::kBitsPerByte: return "bits_per_byte";
  }
  return "?";
}

}  // namespace isoflop
