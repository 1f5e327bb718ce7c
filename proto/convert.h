// Between the structs of the house and the messages of the wire: a wire type
// changes for other reasons than a thought.
//
// Pure functions; thread-safe. What comes from the wire is checked here: a
// FromWire that can be refused returns InvalidArgument and names the field.
#ifndef ISOFLOP_PROTO_CONVERT_H_
#define ISOFLOP_PROTO_CONVERT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "proto/study_admin.pb.h"
#include "proto/trial.pb.h"
#include "study/observation.h"
#include "study/plan.h"
#include "study/trial_outcome.h"

namespace isoflop {

// The version of the conversation in proto/work_queue.proto; a coordinator
// serves no other.
inline constexpr uint32_t kProtocolVersion = 1;
// Trials a SubmitPart.
inline constexpr int kTrialsPerPart = 100;
// Bytes of a log chunk or a log tail.
inline constexpr int64_t kMaxLogChunkBytes = 32 * 1024;
inline constexpr int64_t kMaxLogTailBytes = 16 * 1024;

wire::OutcomeClass ToWire(TrialOutcome outcome);
TrialOutcome FromWire(wire::OutcomeClass outcome);
wire::TrialRole ToWire(TrialRole role);
TrialRole FromWire(wire::TrialRole role);

wire::LossPoint ToWire(const LossPoint& point);
// A loss, rate, norm or speed that is not finite becomes nullopt.
LossPoint FromWire(const wire::LossPoint& point);

wire::PlannedTrial ToWire(const PlannedTrial& trial);
// Reads the trial's text back, and refuses one whose fingerprint is not that
// of its text, whose numbers are not finite or whose counts are negative.
absl::StatusOr<PlannedTrial> FromWire(const wire::PlannedTrial& trial);

// The parts of SubmitPlan for `plan`: `header` (its name and yaml are taken
// from the plan) and then kTrialsPerPart trials each.
std::vector<wire::SubmitPart> ToSubmitParts(const Plan& plan, wire::SubmitHeader header);

google::protobuf::Duration ToWire(absl::Duration duration);
absl::Duration FromWire(const google::protobuf::Duration& duration);
google::protobuf::Timestamp ToWire(absl::Time time);
absl::Time FromWire(const google::protobuf::Timestamp& time);

// Whether `name` may name a study or a worker: [a-z0-9][a-z0-9._-]{0,63}.
bool IsValidName(absl::string_view name);

}  // namespace isoflop

#endif  // ISOFLOP_PROTO_CONVERT_H_
