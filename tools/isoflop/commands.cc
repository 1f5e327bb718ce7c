// The table of commands, in the order of `isoflop --help`.
#include "tools/isoflop/commands.h"

namespace isoflop {

const std::vector<CommandEntry>& AllCommands() {
  // name, summary, examples, changes something, function
  static const std::vector<CommandEntry>* const kCommands = new std::vector<CommandEntry>{
      {"plan", "expands and prices a study; needs no server",
       "  isoflop plan configs/quickstart_austen.yaml\n"
       "  isoflop plan web.yaml --slots 8xH100 --trials\n"
       "  isoflop plan web.yaml --set grid.budgets=[1e17,1e18] -o yaml",
       false, AddPlanCommand},
      {"data", "prepares token data, says what data are",
       "  isoflop data prepare books/ -o data/books --eval 5%\n"
       "  isoflop data prepare fineweb/*.bin -o data/web\n"
       "  isoflop data inspect data/books",
       true, AddDataCommand},
  };
  return *kCommands;
}

}  // namespace isoflop
