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
      {"submit", "plans, asks and hands a study to a coordinator",
       "  isoflop submit study.yaml\n"
       "  isoflop submit study.yaml --paused -y\n"
       "  isoflop submit study.yaml --dry-run",
       true, AddSubmitCommand},
      {"status", "where a study stands, or the workers",
       "  isoflop status\n"
       "  isoflop status web-depths -w\n"
       "  isoflop status --workers",
       false, AddStatusCommand},
      {"watch", "a line a change, to the end",
       "  isoflop watch\n"
       "  isoflop watch web-depths --history --json",
       false, AddWatchCommand},
      {"logs", "what a trainer printed",
       "  isoflop logs 17\n"
       "  isoflop logs 17 -f\n"
       "  isoflop logs 17 --attempt 1 -n 20",
       false, AddLogsCommand},
      {"explain", "the history of a study, trial or worker, and what it waits for",
       "  isoflop explain\n"
       "  isoflop explain 19\n"
       "  isoflop explain w3",
       false, AddExplainCommand},
      {"pause", "no new leases for a study or a worker",
       "  isoflop pause web-depths\n"
       "  isoflop pause web-depths --now\n"
       "  isoflop pause w3",
       true, AddPauseCommand},
      {"resume", "lifts a pause",
       "  isoflop resume web-depths\n"
       "  isoflop resume w3",
       true, AddResumeCommand},
      {"cancel", "ends trials for good, keeps results",
       "  isoflop cancel web-depths\n"
       "  isoflop cancel 17 18 19",
       true, AddCancelCommand},
      {"retry", "a fresh retry budget for trials that failed",
       "  isoflop retry --failed\n"
       "  isoflop retry 12 --slots 2",
       true, AddRetryCommand},
      {"coordinator", "owns the store, hands out trials",
       "  isoflop coordinator\n"
       "  isoflop coordinator --listen 127.0.0.1:8264",
       false, AddCoordinatorCommand},
      {"worker", "trains what a coordinator hands out",
       "  isoflop worker\n"
       "  isoflop worker --slots gpu:0,1 --data /data/web\n"
       "  isoflop worker --name w3 --idle-exit 5m",
       false, AddWorkerCommand},
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
      {"compare", "how much more compute one study needs than another for the same loss",
       "  isoflop compare web-transformer web-lstm\n"
       "  isoflop compare a.csv b.csv --loss 1.6 --loss 1.5\n"
       "  isoflop compare web-bytes web-bpe --unit bits_per_byte --json",
       false, AddCompareCommand},
      {"extend", "the next trials: those that narrow N*(C_T) most a FLOP",
       "  isoflop extend web-depths --auto --dry-run\n"
       "  isoflop extend --auto --dry-run --flops 5e19\n"
       "  isoflop extend runs.csv --auto --dry-run --goal 1e21 --json",
       true, AddExtendCommand},
      {"report", "the report of a study or a CSV: page, Markdown, JSON, figures, tables",
       "  isoflop report web-depths\n"
       "  isoflop report runs.csv --outliers 5 -o paper\n"
       "  isoflop report austen-transformer --beside austen-lstm\n"
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
      {"export", "trials as CSV, curves as JSON lines, the store as a copy",
       "  isoflop export web-depths --format csv -o trials.csv\n"
       "  isoflop export --format jsonl -o curves.jsonl\n"
       "  isoflop export --format sqlite -o backup.db",
       false, AddExportCommand},
      {"import", "makes others' results a study: a CSV, or a study of another store",
       "  isoflop import runs.csv --as published\n"
       "  isoflop import runs.csv --as svg --column params=\"Model Size\" --derive 'tokens=flops/(6*params)'\n"
       "  isoflop import /old/isoflop.db --study web-depths --as web-depths-old",
       true, AddImportCommand},
      {"perplexity", "cross-entropy, perplexity and bits per byte of a trained model on a text",
       "  isoflop perplexity 17 chapter.txt\n"
       "  isoflop perplexity 17 data/books --json\n"
       "  isoflop perplexity checkpoints/trial-17/lease-95/step-00000800 -",
       false, AddPerplexityCommand},
      {"generate", "text from a trained model, streamed",
       "  isoflop generate 17 --prompt \"It is a truth\" -n 200\n"
       "  isoflop generate 17 --temperature 0.8 --top-p 0.9 --seed 7\n"
       "  isoflop generate 17 -t 0 --stop \"\\n\" --json",
       false, AddGenerateCommand},
      {"attention", "who looks at whom in a layer, as a picture and as numbers",
       "  isoflop attention 17 --text \"It is a truth\" --layer 0 -o attention.svg\n"
       "  isoflop attention 17 --text \"It is a truth\" --layer 1 --head 2 --json",
       false, AddAttentionCommand},
      {"checkpoint", "models to and from transformers' layout",
       "  isoflop checkpoint export 17 -o llama\n"
       "  isoflop checkpoint import llama -o imported",
       false, AddCheckpointCommand},
      {"doctor", "is everything in its place: store, disk, trainer, GPUs, coordinator, token",
       "  isoflop doctor\n"
       "  isoflop doctor --json\n"
       "  isoflop doctor --migrate",
       false, AddDoctorCommand},
  };
  return *kCommands;
}

}  // namespace isoflop
