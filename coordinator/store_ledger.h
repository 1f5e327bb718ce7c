// The ledger on the store: one writer thread with group commit below it.
#ifndef ISOFLOP_COORDINATOR_STORE_LEDGER_H_
#define ISOFLOP_COORDINATOR_STORE_LEDGER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/ledger.h"

namespace isoflop {

// Takes the lock of the store at `db_path` (made when it is not there), checks
// and migrates it, and raises its epoch. FailedPrecondition: another
// coordinator holds it (names its pid), or the schema is newer.
// `force_filesystem`: NFS and the like are taken, at one's own risk.
absl::StatusOr<std::unique_ptr<Ledger>> OpenStoreLedger(const std::string& db_path,
                                                        bool force_filesystem);

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_STORE_LEDGER_H_
