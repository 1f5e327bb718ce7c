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
      {"run", "plans, trains on this machine, fits and reports; again: goes on",
       "  isoflop run configs/quickstart_austen.yaml\n"
       "  isoflop run study.yaml --slots 4 -y -o report\n"
       "  isoflop run study.yaml --dry-run",
       true, AddRunCommand},
      {"fit", "the law of the loss and the compute-optimal exponents, of a study or a CSV",
       "  isoflop fit austen-quickstart\n"
       "  isoflop fit runs.csv --column params=\"Model Size\" --outliers 5\n"
       "  isoflop fit web-depths --count total --where \"params_total > 1e7\"",
       false, AddFitCommand},
      {"predict", "reads the law: the optimum at a budget, a loss at (N, D), the budget of a loss",
       "  isoflop predict web-depths --budget 1e21\n"
       "  isoflop predict runs.csv --params 1.3B --tokens 26B\n"
       "  isoflop predict web-depths --loss 2.3",
       false, AddPredictCommand},
      {"report", "the report of a study or a CSV: page, Markdown, JSON, figures, tables",
       "  isoflop report web-depths\n"
       "  isoflop report runs.csv --outliers 5 -o paper\n"
       "  isoflop report --from report.json --js off",
       false, AddReportCommand},
      {"completion", "teaches bash, zsh or fish our commands, flags, studies and trials",
       "  source <(isoflop completion bash)\n"
       "  isoflop completion fish | source",
       false, AddCompletionCommand},
      {"query", "read-only SQL on the views observation and curve, and on all tables",
       "  isoflop query 'SELECT * FROM observation'\n"
       "  isoflop query 'SELECT trial_id, step, loss_nats FROM curve' -o csv --limit 0\n"
       "  isoflop query --schema",
       false, AddQueryCommand},
      {"import", "makes others' results a study: a CSV, or a study of another store",
       "  isoflop import runs.csv --as published\n"
       "  isoflop import runs.csv --as svg --column params=\"Model Size\" --derive 'tokens=flops/(6*params)'\n"
       "  isoflop import /old/isoflop.db --study web-depths --as web-depths-old",
       true, AddImportCommand},
  };
  return *kCommands;
}

}  // namespace isoflop
