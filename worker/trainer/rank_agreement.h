// The check at the start that all ranks train the same thing: one with another
// trial, network or build would spoil the sums without a sign.
#ifndef ISOFLOP_WORKER_TRAINER_RANK_AGREEMENT_H_
#define ISOFLOP_WORKER_TRAINER_RANK_AGREEMENT_H_

#include <string>

#include "absl/status/status.h"
#include "worker/trainer/communicator.h"
#include "worker/trainer/parameters.h"

namespace isoflop {

// Each rank gives its trial's text, its parameters as they stand (layout and
// weights; a checksum of the device) and the version of its code. InvalidArgument
// (exit 78) on every rank, naming which of the three differs, if they are not
// equal on all. Blocks; throws CommunicationError.
absl::Status CheckRanksAgree(Communicator& communicator, const std::string& trial_text, const Parameters& parameters,
                             const std::string& code_version);

// InvalidArgument unless `value` is the same on every rank; `what` names it.
absl::Status CheckSameOnRanks(Communicator& communicator, const std::string& what, const std::string& value);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_RANK_AGREEMENT_H_
