// The coordinator as a server: the store, the Coordinator, both services and
// their sockets, started and stopped as one. `isoflop run` holds one in its own
// process, `isoflop coordinator` does nothing else.
//
// Blocks in Start (it recovers the store) and in Shutdown (it flushes the
// queue); both well under 5 s. Thread-safe.
#ifndef ISOFLOP_COORDINATOR_SERVER_H_
#define ISOFLOP_COORDINATOR_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/coordinator_options.h"

namespace isoflop {

class Coordinator;
class Ledger;

struct ServerOptions {
  // The SQLite file; made, with its folder (0700), when it is not there.
  std::string db_path;
  // A unix socket in a folder of mode 0700 that is made when it is not there.
  // Empty: no unix socket.
  std::string socket_path;
  // "127.0.0.1:8264", "[::1]:0" (0: any free port). Empty: no TCP. Anything
  // beyond loopback is refused: InvalidArgument.
  std::string listen;
  // Needed with `listen`; made with a new token when it is not there.
  std::string token_file;
  bool force_filesystem = false;  // a store on NFS, at one's own risk
  bool allow_root = false;        // root on a TCP listener
  CoordinatorOptions coordinator;
  // One line a call for the operator ("worker w3 from node7: 8 slots"); called
  // from several threads. Empty: quiet.
  std::function<void(const std::string& line)> log;
};

// What can be refused before the store is touched. InvalidArgument.
absl::Status CheckServerOptions(const ServerOptions& options);

class Server {
 public:
  // Takes the store's lock, recovers and listens. The status says what to do:
  // FailedPrecondition: another coordinator holds the store (names its pid), or
  // the schema is newer. PermissionDenied: a folder or file that others can
  // write. InvalidArgument: the addresses.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options);

  // The same on a ledger of the caller's (simulations); the options about the
  // store are not used.
  static absl::StatusOr<std::unique_ptr<Server>> StartOn(std::unique_ptr<Ledger> ledger,
                                                         ServerOptions options);

  // Shuts down.
  ~Server();

  // The TCP port; 0 without `listen`.
  int port() const;
  const std::string& socket_path() const;
  Coordinator& coordinator();

  // Not serving any more, hanging requests answered with Unavailable, queue
  // flushed, sockets and lock gone. A second call does nothing.
  void Shutdown();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_SERVER_H_
