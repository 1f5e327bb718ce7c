// The table of commands, in the order of `isoflop --help`.
#include "tools/isoflop/commands.h"

namespace isoflop {

const std::vector<CommandEntry>& AllCommands() {
  // name, summary, examples, changes something, function
  static const std::vector<CommandEntry>* const kCommands = new std::vector<CommandEntry>{
  };
  return *kCommands;
}

}  // namespace isoflop
