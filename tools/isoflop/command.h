// What every command shares: the global flags, where things lie, how an error
// leaves, and the exit codes.
#ifndef ISOFLOP_TOOLS_ISOFLOP_COMMAND_H_
#define ISOFLOP_TOOLS_ISOFLOP_COMMAND_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/isoflop/environment.h"

namespace CLI {
class App;
}  // namespace CLI

namespace isoflop {

// Exit codes (docs/errors.md).
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotFound = 3;
inline constexpr int kExitInPart = 4;
inline constexpr int kExitNoCoordinator = 5;
inline constexpr int kExitInterrupted = 130;

// The flags that all commands take.
struct GlobalFlags {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool yes = false;      // commands that change something
  bool dry_run = false;  // likewise
  std::string db;
  std::string server;
};

// Handed to each command; lives as long as main().
struct Context {
  GlobalFlags flags;
  Environment environment;  // set before a command runs
};

// A command is a function that runs after parsing and returns an exit code; an
// error goes out through main() (text or --json) with the code that fits.
using CommandBody = std::function<absl::StatusOr<int>(Context&)>;

// One row of the command table: main() makes the subcommand, `add` puts its
// flags and returns its body.
struct CommandEntry {
  const char* name;
  const char* summary;
  const char* examples;  // heads the help text
  bool changes;          // takes --dry-run and -y
  std::function<CommandBody(CLI::App&)> add;
};

// Every command, in the order of `isoflop --help`.
const std::vector<CommandEntry>& AllCommands();

// An error in its parts: `where: what`, pictures in between, `cure: ...`.
struct ErrorParts {
  std::string code;   // "invalid_argument"
  std::string where;  // "study.yaml:14:5", empty when unknown
  std::string message;
  std::string cure;
};
ErrorParts SplitError(const absl::Status& status);

// 2 InvalidArgument, 3 NotFound, 5 Unavailable, 130 Cancelled, else 1.
int ExitCodeFor(const absl::Status& status);

// Prints an error to stderr, as text or as one JSON object.
void PrintError(const absl::Status& status, bool json);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_COMMAND_H_
