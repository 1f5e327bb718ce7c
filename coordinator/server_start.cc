// A server on the store. Apart from server.cc, so that a simulation on a ledger
// of its own links no SQLite.
#include <utility>

#include "coordinator/ledger.h"
#include "coordinator/server.h"
#include "coordinator/store_ledger.h"
#include "study/status_macros.h"

namespace isoflop {

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  ISOFLOP_RETURN_IF_ERROR(CheckServerOptions(options));
  // The store's lock first: who holds it may remove a socket that is left over.
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<Ledger> ledger,
                           OpenStoreLedger(options.db_path, options.force_filesystem));
  return StartOn(std::move(ledger), std::move(options));
}

}  // namespace isoflop
