// isoflop perplexity, generate, attention, checkpoint: find a trial's newest checkpoint
// and hand over to isoflop-trainer, which has the networks.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "store/result_store.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "worker/agent/datasets.h"

namespace isoflop {
namespace {

struct TextFlags {
  std::string trial, folder, checkpoints, tokenizer;
  // Handed on as they were given, empty or not; isoflop-trainer judges them.
  std::optional<std::string> file, output, prompt, prompt_file, tokens, temperature, top_k, top_p, seed, stop, text, layer, head;
  bool cpu = false, no_cache = false;
};

struct Found {
  std::string checkpoint;  // its folder
  std::string name;        // "trial 17"
  std::string tokenizer;   // the data set's dataset.json; empty: not here
};

// The newest checkpoint of a trial by its number; or a checkpoint's folder as it is.
absl::StatusOr<Found> FindCheckpoint(const TextFlags& flags, const Context& context) {
  std::error_code ignored;
  int64_t number = 0;
  if (!absl::SimpleAtoi(flags.trial, &number)) {
    if (std::filesystem::is_directory(flags.trial, ignored)) return Found{flags.trial, "", flags.tokenizer};
    return absl::NotFoundError(absl::StrCat("'", flags.trial, "': neither a trial's number nor a checkpoint's folder\n"
                                            "cure: isoflop status --trials lists the numbers"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const auto store, ResultStore::Open(context.environment.db));
  ISOFLOP_ASSIGN_OR_RETURN(const StoredTrial trial, store->FindTrial(TrialId(number)));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredCheckpoint> checkpoints, store->Checkpoints(trial.id));
  const std::string root = flags.checkpoints.empty() ? context.environment.checkpoints : flags.checkpoints;
  Found found;
  int64_t newest = -1;
  std::string elsewhere;
  for (const StoredCheckpoint& checkpoint : checkpoints) {
    if (checkpoint.state != "committed" || checkpoint.step <= newest) continue;
    const std::string path = absl::StrCat(root, "/", checkpoint.path);
    if (!std::filesystem::is_directory(path, ignored)) {
      elsewhere = checkpoint.path;
      continue;
    }
    newest = checkpoint.step;
    found.checkpoint = path;
  }
  if (found.checkpoint.empty()) {
    if (!elsewhere.empty()) {
      return absl::NotFoundError(absl::StrCat("trial ", number, ": its checkpoint ", elsewhere, " is not below ", root,
                                              "\ncure: --checkpoints with the folder of the worker that wrote it"));
    }
    return absl::NotFoundError(absl::StrCat("trial ", number, " (", ToString(trial.standing.state), "): no checkpoint of it is kept",
                                            "\ncure: isoflop explain ", number, " tells what became of it"));
  }
  found.name = absl::StrCat("trial ", number);
  found.tokenizer = flags.tokenizer;
  if (found.tokenizer.empty()) {
    Datasets datasets({context.environment.datasets});
    datasets.Scan();
    found.tokenizer = datasets.Find(trial.planned.spec.data.dataset_sha256);
  }
  return found;
}

// Becomes isoflop-trainer; comes back only with an error.
absl::Status Become(const std::vector<std::string>& arguments) {
  const std::string trainer = FindTrainer();
  if (trainer.empty()) {
    return absl::FailedPreconditionError("isoflop-trainer is not here, and only it can run a model\ncure: build with LibTorch (tools/setup.sh), or put it on PATH");
  }
  std::vector<std::string> words = {trainer};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(trainer.c_str(), argv.data());
  return absl::UnavailableError(absl::StrCat(trainer, ": ", std::strerror(errno), "\ncure: isoflop doctor"));
}

// The part of the command line that all tools share.
absl::StatusOr<std::vector<std::string>> Begin(const char* tool, const TextFlags& flags, const Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const Found found, FindCheckpoint(flags, context));
  std::vector<std::string> words = {tool, "--checkpoint", found.checkpoint};
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {flag, value});
  };
  add("--tokenizer", found.tokenizer);
  add("--name", found.name);
  if (flags.cpu) words.emplace_back("--cpu");
  if (context.flags.json) words.emplace_back("--json");
  if (context.flags.quiet) words.emplace_back("--quiet");
  return words;
}

// One word, so that a text that begins with a dash stays a text; but two for an empty
// one, since CLI11 takes "--prompt=" for a flag without its text.
void Add(std::vector<std::string>* words, const char* flag, const std::optional<std::string>& value) {
  if (!value.has_value()) return;
  if (value->empty()) {
    words->insert(words->end(), {flag, ""});
  } else {
    words->push_back(absl::StrCat(flag, "=", *value));
  }
}

absl::StatusOr<int> RunPerplexity(const TextFlags& flags, const Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(std::vector<std::string> words, Begin("perplexity", flags, context));
  Add(&words, "--data", flags.file);
  return Become(words);
}

absl::StatusOr<int> RunGenerate(const TextFlags& flags, const Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(std::vector<std::string> words, Begin("generate", flags, context));
  Add(&words, "--prompt", flags.prompt);
  Add(&words, "--prompt-file", flags.prompt_file);
  Add(&words, "--tokens", flags.tokens);
  Add(&words, "--temperature", flags.temperature);
  Add(&words, "--top-k", flags.top_k);
  Add(&words, "--top-p", flags.top_p);
  Add(&words, "--seed", flags.seed);
  Add(&words, "--stop", flags.stop);
  if (flags.no_cache) words.emplace_back("--no-cache");
  return Become(words);
}

absl::StatusOr<int> RunAttention(const TextFlags& flags, const Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(std::vector<std::string> words, Begin("attention", flags, context));
  Add(&words, "--text", flags.text);
  Add(&words, "--layer", flags.layer);
  Add(&words, "--head", flags.head);
  Add(&words, "--output", flags.output);
  return Become(words);
}

void AddModelOptions(CLI::App& app, const std::shared_ptr<TextFlags>& flags) {
  app.add_option("TRIAL", flags->trial, "a trial's number, or a checkpoint's folder")->required();
  app.add_option("--checkpoints", flags->checkpoints, "the worker's folder of checkpoints; default $ISOFLOP_HOME/checkpoints")->type_name("DIR");
  app.add_option("--tokenizer", flags->tokenizer, "the data set of the training, or its .model; found by itself where `run` prepared it")->type_name("DIR|FILE");
  app.add_flag("--cpu", flags->cpu, "not the GPU");
}

}  // namespace

CommandBody AddPerplexityCommand(CLI::App& app) {
  auto flags = std::make_shared<TextFlags>();
  AddModelOptions(app, flags);
  app.add_option("FILE", flags->file, "text, JSONL (plain, .gz, .xz), a folder of them, a prepared data set, or - for standard input")->required();
  return [flags](Context& context) { return RunPerplexity(*flags, context); };
}

CommandBody AddGenerateCommand(CLI::App& app) {
  auto flags = std::make_shared<TextFlags>();
  AddModelOptions(app, flags);
  app.add_option("--prompt", flags->prompt, "text to go on from; default: the beginning of a document")->type_name("TEXT");
  app.add_option("--prompt-file", flags->prompt_file, "the same from a file")->type_name("FILE");
  app.add_option("-n,--tokens", flags->tokens, "most tokens to draw; default 256")->type_name("N");
  app.add_option("-t,--temperature", flags->temperature, "0: the likeliest token each time; default 1")->type_name("T");
  app.add_option("--top-k", flags->top_k, "the k likeliest tokens alone")->type_name("K");
  app.add_option("--top-p", flags->top_p, "the fewest tokens that have this probability")->type_name("P");
  app.add_option("--seed", flags->seed, "default 1; one seed, one text")->type_name("S");
  app.add_option("--stop", flags->stop, "ends before this text")->type_name("TEXT");
  app.add_flag("--no-cache", flags->no_cache, "compute all tokens again for each: the same text, slowly");
  return [flags](Context& context) { return RunGenerate(*flags, context); };
}

CommandBody AddAttentionCommand(CLI::App& app) {
  auto flags = std::make_shared<TextFlags>();
  AddModelOptions(app, flags);
  app.add_option("--text", flags->text, "what the model reads")->type_name("TEXT")->required();
  app.add_option("-L,--layer", flags->layer, "from 0; default 0")->type_name("L");
  app.add_option("--head", flags->head, "one head; default all")->type_name("H");
  app.add_option("-o,--output", flags->output, "F.svg, and F.json beside it; without it the numbers go to standard output")->type_name("F.svg");
  return [flags](Context& context) { return RunAttention(*flags, context); };
}

CommandBody AddCheckpointCommand(CLI::App& app) {
  app.require_subcommand(1);
  auto flags = std::make_shared<TextFlags>();
  CLI::App* exporting = app.add_subcommand("export", "to the layout of transformers' LlamaForCausalLM");
  exporting->fallthrough();
  AddModelOptions(*exporting, flags);
  exporting->add_option("-o,--output", flags->output, "folder")->type_name("DIR")->required();
  CLI::App* importing = app.add_subcommand("import", "from that layout to a checkpoint that perplexity, generate and attention take");
  importing->fallthrough();
  importing->add_option("DIR", flags->folder, "folder with config.json and model.safetensors")->required();
  importing->add_option("-o,--output", flags->output, "folder in which step-<8 digits> is made")->type_name("DIR")->required();
  importing->add_option("--tokenizer", flags->tokenizer, "bytes or a SentencePiece .model, where the folder does not say it")->type_name("T");
  return [exporting, flags](Context& context) -> absl::StatusOr<int> {
    std::vector<std::string> words;
    if (exporting->parsed()) {
      ISOFLOP_ASSIGN_OR_RETURN(words, Begin("checkpoint-export", *flags, context));
    } else {
      words = {"checkpoint-import", flags->folder};
      if (!flags->tokenizer.empty()) Add(&words, "--tokenizer", flags->tokenizer);
      if (context.flags.json) words.emplace_back("--json");
      if (context.flags.quiet) words.emplace_back("--quiet");
    }
    Add(&words, "--output", flags->output);
    return Become(words);
  };
}

}  // namespace isoflop
