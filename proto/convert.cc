#include "proto/convert.h"

#include <cmath>
#include <optional>

namespace isoflop {
namespace {

std::optional<double> Finite(bool is_set, double value) {
  return is_set && std::isfinite(value) ? std::optional<double>(value) : std::nullopt;
}

}  // namespace

// The numbers agree; the wire's are fixed for ever, so each is written out.
wire::OutcomeClass ToWire(TrialOutcome outcome) {
  switch (outcome) {
    case TrialOutcome::kNone: return wire::OUTCOME_CLASS_NONE;
    case TrialOutcome::kCompleted: return wire::OUTCOME_CLASS_COMPLETED;
    case TrialOutcome::kDiverged: return wire::OUTCOME_CLASS_DIVERGED;
    case TrialOutcome::kPreempted: return wire::OUTCOME_CLASS_PREEMPTED;
    case TrialOutcome::kLost: return wire::OUTCOME_CLASS_LOST;
    case TrialOutcome::kNodeFault: return wire::OUTCOME_CLASS_NODE_FAULT;
    case TrialOutcome::kBadCheckpoint: return wire::OUTCOME_CLASS_BAD_CHECKPOINT;
    case TrialOutcome::kCrashed: return wire::OUTCOME_CLASS_CRASHED;
    case TrialOutcome::kOom: return wire::OUTCOME_CLASS_OOM;
    case TrialOutcome::kConfig: return wire::OUTCOME_CLASS_CONFIG;
    case TrialOutcome::kTimeout: return wire::OUTCOME_CLASS_TIMEOUT;
    case TrialOutcome::kCancelled: return wire::OUTCOME_CLASS_CANCELLED;
  }
  return wire::OUTCOME_CLASS_NONE;
}

TrialOutcome FromWire(wire::OutcomeClass outcome) {
  switch (outcome) {
    case wire::OUTCOME_CLASS_COMPLETED: return TrialOutcome::kCompleted;
    case wire::OUTCOME_CLASS_DIVERGED: return TrialOutcome::kDiverged;
    case wire::OUTCOME_CLASS_PREEMPTED: return TrialOutcome::kPreempted;
    case wire::OUTCOME_CLASS_LOST: return TrialOutcome::kLost;
    case wire::OUTCOME_CLASS_NODE_FAULT: return TrialOutcome::kNodeFault;
    case wire::OUTCOME_CLASS_BAD_CHECKPOINT: return TrialOutcome::kBadCheckpoint;
    case wire::OUTCOME_CLASS_CRASHED: return TrialOutcome::kCrashed;
    case wire::OUTCOME_CLASS_OOM: return TrialOutcome::kOom;
    case wire::OUTCOME_CLASS_CONFIG: return TrialOutcome::kConfig;
    case wire::OUTCOME_CLASS_TIMEOUT: return TrialOutcome::kTimeout;
    case wire::OUTCOME_CLASS_CANCELLED: return TrialOutcome::kCancelled;
    default: return TrialOutcome::kNone;  // a class of a later release
  }
}

wire::TrialRole ToWire(TrialRole role) {
  switch (role) {
    case TrialRole::kTrunk: return wire::TRIAL_ROLE_TRUNK;
    case TrialRole::kBranch: return wire::TRIAL_ROLE_BRANCH;
    case TrialRole::kSingle: return wire::TRIAL_ROLE_SINGLE;
    case TrialRole::kBaseline: return wire::TRIAL_ROLE_BASELINE;
  }
  return wire::TRIAL_ROLE_SINGLE;
}

TrialRole FromWire(wire::TrialRole role) {
  switch (role) {
    case wire::TRIAL_ROLE_TRUNK: return TrialRole::kTrunk;
    case wire::TRIAL_ROLE_BRANCH: return TrialRole::kBranch;
    case wire::TRIAL_ROLE_BASELINE: return TrialRole::kBaseline;
    default: return TrialRole::kSingle;
  }
}

wire::LossPoint ToWire(const LossPoint& point) {
  wire::LossPoint out;
  out.set_step(point.step);
  out.set_tokens(point.tokens);
  out.set_kind(point.kind == LossKind::kEval ? wire::LOSS_KIND_EVAL : wire::LOSS_KIND_TRAIN);
  if (point.loss_nats) out.set_loss_nats(*point.loss_nats);
  if (point.lr) out.set_lr(*point.lr);
  if (point.grad_norm) out.set_grad_norm(*point.grad_norm);
  if (point.tokens_per_second) out.set_tokens_per_second(*point.tokens_per_second);
  if (point.eval_tokens) out.set_eval_tokens(*point.eval_tokens);
  return out;
}

LossPoint FromWire(const wire::LossPoint& point) {
  LossPoint out;
  out.step = point.step();
  out.tokens = point.tokens();
  out.kind = point.kind() == wire::LOSS_KIND_EVAL ? LossKind::kEval : LossKind::kTrain;
  out.loss_nats = Finite(point.has_loss_nats(), point.loss_nats());
  out.lr = Finite(point.has_lr(), point.lr());
  out.grad_norm = Finite(point.has_grad_norm(), point.grad_norm());
  out.tokens_per_second = Finite(point.has_tokens_per_second(), point.tokens_per_second());
  if (point.has_eval_tokens()) out.eval_tokens = point.eval_tokens();
  return out;
}

google::protobuf::Duration ToWire(absl::Duration duration) {
  google::protobuf::Duration out;
  out.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out.set_nanos(
      static_cast<int32_t>(absl::IDivDuration(duration, absl::Nanoseconds(1), &duration)));
  return out;
}

absl::Duration FromWire(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

google::protobuf::Timestamp ToWire(absl::Time time) {
  google::protobuf::Timestamp out;
  const int64_t seconds = absl::ToUnixSeconds(time);
  out.set_seconds(seconds);
  out.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return out;
}

absl::Time FromWire(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

bool IsValidName(absl::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!is_alphanumeric && (i == 0 || (c != '.' && c != '_' && c != '-'))) return false;
  }
  return true;
}

}  // namespace isoflop
