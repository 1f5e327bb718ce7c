// The one canonical text of a trial: JSON with sorted keys and no spaces. It is
// the trainer's argument, the `spec` column, the input of the fingerprint and
// the planner's golden files.
#ifndef ISOFLOP_STUDY_TRIAL_TEXT_H_
#define ISOFLOP_STUDY_TRIAL_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "study/trial_spec.h"

namespace isoflop {

// The canonical JSON, one line, no newline at the end. Whole doubles print as
// integers (1, not 1.0), others in the shortest form that reads back exactly.
std::string TrialText(const TrialSpec& spec);

// The inverse. InvalidArgument names the key that is missing, unknown, of the
// wrong type or out of range.
absl::StatusOr<TrialSpec> ParseTrialText(absl::string_view text);

// Lower-case hex SHA-256 of TrialText: two trials with one fingerprint are the
// same experiment.
std::string Fingerprint(const TrialSpec& spec);

// What may go on from one another's checkpoints: for a rate that is constant to
// the end (constant, or wsd with decay_steps 0) the SHA-256 of the text without
// steps, tokens_planned, branch_steps and eval; else the fingerprint.
std::string Lineage(const TrialSpec& spec);

// Lower-case hex SHA-256 of any bytes.
std::string Sha256Hex(absl::string_view bytes);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_TRIAL_TEXT_H_
