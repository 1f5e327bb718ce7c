// isoflop: plan, run, query and report scaling-law studies. Parses, wires, runs.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "study/did_you_mean.h"
#include "tools/isoflop/command.h"
#include "tools/isoflop/version.h"

namespace isoflop {
namespace {

// What people type who come from elsewhere, answered with our word.
std::string OurWordFor(const std::string& word) {
  static constexpr std::pair<const char*, const char*> kWords[] = {
      {"sweep", "run"},      {"start", "run"},     {"train", "run"},   {"job", "status"},
      {"jobs", "status"},    {"ls", "status"},     {"list", "status"}, {"ps", "status"},
      {"kill", "cancel"},    {"stop", "cancel"},   {"rm", "cancel"},   {"sql", "query"},
      {"plot", "report"},    {"tail", "logs"},     {"log", "logs"},    {"agent", "worker"},
      {"server", "coordinator"}, {"sample", "generate"}, {"eval", "perplexity"}, {"history", "explain"}, {"why", "explain"}};
  for (const auto& [theirs, ours] : kWords) {
    if (word == theirs) return ours;
  }
  return "";
}

// A bad command line: what, the nearest good word, exit code 2.
int BadUsage(const std::string& what, const std::string& cure, bool json) {
  PrintError(absl::InvalidArgumentError(absl::StrCat("isoflop: ", what, "\ncure: ", cure)), json);
  return kExitUsage;
}

std::vector<std::string> FlagNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

void AddGlobalFlags(CLI::App& app, GlobalFlags& flags, bool changes) {
  app.add_flag("--json", flags.json, "one JSON object on stdout; errors as JSON on stderr")->group("Everywhere");
  app.add_flag("-q,--quiet", flags.quiet, "only results and errors")->group("Everywhere");
  app.add_flag("-v,--verbose", flags.verbose, "say more")->group("Everywhere");
  app.add_option("--db", flags.db, "the store; default ISOFLOP_DB, else $ISOFLOP_HOME/isoflop.db")
      ->type_name("FILE")->group("Everywhere");
  app.add_option("--server", flags.server, "the coordinator; default ISOFLOP_SERVER, else the socket in $ISOFLOP_HOME")
      ->type_name("ADDR")->group("Everywhere");
  if (changes) {
    app.add_flag("--dry-run", flags.dry_run, "say what would happen and change nothing")->group("Everywhere");
    app.add_flag("-y,--yes", flags.yes, "no question")->group("Everywhere");
  }
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Context context;
  CLI::App app(
      "isoflop plans, runs and analyses scaling-law studies: model sizes N, data D, compute C.\n\n"
      "  isoflop run configs/quickstart_austen.yaml     plan, train here, fit, report\n"
      "  isoflop plan STUDY.yaml                        what it would train and cost\n"
      "  isoflop status                                 where the newest study stands\n"
      "  isoflop query 'SELECT * FROM observation'      SQL over all results",
      "isoflop");
  app.set_version_flag("--version", VersionText());
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);

  AddGlobalFlags(app, context.flags, /*changes=*/false);  // before the command as well as behind it
  std::vector<std::string> names;
  CommandBody chosen;
  for (const CommandEntry& entry : AllCommands()) {
    names.emplace_back(entry.name);
    CLI::App* sub = app.add_subcommand(entry.name, entry.summary);
    sub->description(absl::StrCat(entry.summary, "\n\nExamples:\n", entry.examples));
    AddGlobalFlags(*sub, context.flags, entry.changes);
    CommandBody body = entry.add(*sub);
    sub->callback([&chosen, body = std::move(body)] { chosen = body; });
  }

  bool json = false;
  std::string first_word;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json") json = true;
    if (first_word.empty() && !word.empty() && word[0] != '-') first_word = word;
  }
  if (argc == 1) {
    std::printf("%s", app.help().c_str());
    return kExitUsage;
  }
  if (!first_word.empty() && std::find(names.begin(), names.end(), first_word) == names.end() &&
      argv[1] == first_word) {
    std::string better = OurWordFor(first_word);
    if (better.empty()) better = DidYouMean(first_word, names).value_or("");
    return BadUsage(absl::StrCat("no command '", first_word, "'",
                                 better.empty() ? "" : absl::StrCat(", did you mean '", better, "'?")),
                    better.empty() ? "isoflop --help" : absl::StrCat("isoflop ", better, " --help"), json);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ExtrasError& e) {
    const CLI::App* sub = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
    std::string name = sub->get_name();
    std::vector<std::string> flags = FlagNames(*sub);
    while (!sub->get_subcommands().empty()) {  // "data prepare" takes the flags of both
      sub = sub->get_subcommands().front();
      absl::StrAppend(&name, " ", sub->get_name());
      for (std::string& flag : FlagNames(*sub)) flags.push_back(std::move(flag));
    }
    const std::vector<std::string> extras = app.remaining(true);
    const std::string extra = extras.empty() ? e.what() : extras.front();
    const std::string better =
        extra[0] == '-' ? DidYouMean(extra.substr(0, extra.find('=')), flags).value_or("") : "";
    return BadUsage(absl::StrCat(name, ": ", extra[0] == '-' ? "unknown flag '" : "unexpected '", extra,
                                 "'", better.empty() ? "" : absl::StrCat(", did you mean '", better, "'?")),
                    absl::StrCat("isoflop ", name, " --help"), json);
  } catch (const CLI::ParseError& e) {
    const CLI::App* sub = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
    if (sub != &app && sub->get_subcommands().empty() && !sub->remaining().empty()) {
      // "isoflop data prepair": a command of commands, and none of them.
      std::vector<std::string> ours;
      for (const CLI::App* one : sub->get_subcommands({})) ours.push_back(one->get_name());
      const std::string word = sub->remaining().front();
      const std::string better = DidYouMean(word, ours).value_or("");
      if (!ours.empty()) {
        return BadUsage(absl::StrCat(sub->get_name(), ": no command '", word, "'",
                                     better.empty() ? "" : absl::StrCat(", did you mean '", better, "'?")),
                        absl::StrCat("isoflop ", sub->get_name(), " --help"), json);
      }
    }
    return BadUsage(absl::StrCat(sub == &app ? "" : sub->get_name() + ": ", e.what()),
                    sub == &app ? "isoflop --help" : absl::StrCat("isoflop ", sub->get_name(), " --help"), json);
  }

  absl::StatusOr<Environment> environment = ReadEnvironment(context.flags.db, context.flags.server);
  if (!environment.ok()) {
    PrintError(environment.status(), context.flags.json);
    return ExitCodeFor(environment.status());
  }
  context.environment = *std::move(environment);
  const absl::StatusOr<int> code = chosen(context);
  std::fflush(stdout);
  if (!code.ok()) {
    PrintError(code.status(), context.flags.json);
    return ExitCodeFor(code.status());
  }
  return *code;
}

}  // namespace
}  // namespace isoflop

int main(int argc, char** argv) { return isoflop::Main(argc, argv); }
