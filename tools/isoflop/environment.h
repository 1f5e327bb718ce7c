// Where things lie: the folders, addresses and files that flags, environment
// variables and defaults name (flag > variable > default).
//
// Read once at the start; a plain value afterwards.
#ifndef ISOFLOP_TOOLS_ISOFLOP_ENVIRONMENT_H_
#define ISOFLOP_TOOLS_ISOFLOP_ENVIRONMENT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace isoflop {

struct Environment {
  std::string home;         // ISOFLOP_HOME, else $XDG_DATA_HOME/isoflop, else ~/.local/share/isoflop
  std::string db;           // --db, ISOFLOP_DB, else <home>/isoflop.db
  std::string server;       // --server, ISOFLOP_SERVER, else unix:<home>/run/coordinator.sock
  bool server_is_default = true;  // nobody named a server: commands may read the store instead
  std::string token_file;   // ISOFLOP_TOKEN_FILE, else <home>/token
  std::string checkpoints;  // <home>/checkpoints
  std::string datasets;     // <home>/datasets: prepared data by hash
  std::string spool;        // <home>/spool

  // The folder of the socket, 0700.
  std::string run_folder() const { return home + "/run"; }
  std::string default_socket() const { return run_folder() + "/coordinator.sock"; }
};

// `db_flag` and `server_flag` are empty when not given. InvalidArgument when
// neither ISOFLOP_HOME nor HOME is set.
absl::StatusOr<Environment> ReadEnvironment(const std::string& db_flag, const std::string& server_flag);

// Creates `folder` and its parents with mode 0700 where missing.
absl::Status MakePrivateFolder(const std::string& folder);

// The whole file. NotFound or Unavailable name the path.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

// Writes through a temporary name and a rename, so that nobody sees a half.
absl::Status WriteWholeFile(const std::string& path, const std::string& content);

// The folder that holds this very program, for its neighbour isoflop-trainer.
std::string ProgramFolder();

// isoflop-trainer beside this program, in the build tree, or on PATH; empty
// when there is none.
std::string FindTrainer();

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_ENVIRONMENT_H_
