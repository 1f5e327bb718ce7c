// isoflop completion: a script that teaches a shell our commands, flags, studies
// and trials.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "store/result_store.h"
#include "tools/isoflop/commands.h"

namespace isoflop {
namespace {

// Commands by what their words are. All others take files.
constexpr const char* kTakeYaml[] = {"run", "plan", "submit"};
constexpr const char* kTakeStudies[] = {"status", "watch",  "explain", "pause",   "resume", "cancel",
                                        "retry",  "export", "fit",     "predict", "report", "compare",
                                        "extend"};
constexpr const char* kTakeTrials[] = {"logs", "explain", "cancel", "retry", "perplexity", "generate", "attention"};

struct CommandWords {
  std::string name;
  std::string summary;
  std::vector<std::string> flags;        // "--json"
  std::vector<std::string> subcommands;  // "prepare"
};

std::vector<std::string> FlagsOf(const CLI::App& app) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

std::vector<CommandWords> WordsOf(const CLI::App& root) {
  std::vector<CommandWords> all;
  for (const CommandEntry& entry : AllCommands()) {
    const CLI::App* app = root.get_subcommand_ptr(entry.name).get();
    CommandWords words{entry.name, entry.summary, FlagsOf(*app), {}};
    for (const CLI::App* sub : app->get_subcommands({})) {
      words.subcommands.push_back(sub->get_name());
      for (const std::string& flag : FlagsOf(*sub)) words.flags.push_back(flag);
    }
    const std::set<std::string> once(words.flags.begin(), words.flags.end());
    words.flags.assign(once.begin(), once.end());
    all.push_back(std::move(words));
  }
  return all;
}

template <std::size_t n>
std::string Pattern(const char* const (&names)[n]) {
  return absl::StrJoin(names, "|");
}

std::string BashScript(const std::vector<CommandWords>& all) {
  std::vector<std::string> names;
  std::string flags;
  std::string subcommands;
  for (const CommandWords& words : all) {
    names.push_back(words.name);
    absl::StrAppend(&flags, "      ", words.name, ") words=\"", absl::StrJoin(words.flags, " "), "\" ;;\n");
    if (words.subcommands.empty()) continue;
    absl::StrAppend(&subcommands, "    ", words.name, ") words=\"", absl::StrJoin(words.subcommands, " "),
                    "\" ;;\n");
  }
  return absl::StrCat(
      "# isoflop completion for bash: source <(isoflop completion bash)\n"
      "_isoflop() {\n"
      "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" command=\"${COMP_WORDS[1]}\" words=\"\"\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"", absl::StrJoin(names, " "), "\" -- \"$cur\"))\n"
      "    return\n"
      "  fi\n"
      "  if [ \"${cur:0:1}\" = \"-\" ]; then\n"
      "    case \"$command\" in\n", flags,
      "    esac\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"$command\" in\n"
      "    completion) words=\"bash zsh fish\" ;;\n", subcommands,
      "  esac\n"
      "  case \"$command\" in\n"
      "    ", Pattern(kTakeStudies), ") words=\"$words $(isoflop completion studies 2>/dev/null)\" ;;\n"
      "  esac\n"
      "  case \"$command\" in\n"
      "    ", Pattern(kTakeTrials), ") words=\"$words $(isoflop completion trials 2>/dev/null)\" ;;\n"
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "  case \"$command\" in\n"
      "    ", Pattern(kTakeYaml), ")\n"
      "      COMPREPLY+=($(compgen -f -X '!*.y*ml' -- \"$cur\") $(compgen -d -- \"$cur\")) ;;\n"
      "    *) COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
      "  esac\n"
      "}\n"
      "complete -F _isoflop isoflop\n");
}

std::string ZshScript(const std::vector<CommandWords>& all) {
  return absl::StrCat("# isoflop completion for zsh: source <(isoflop completion zsh)\n"
                      "autoload -U +X compinit && compinit\n"
                      "autoload -U +X bashcompinit && bashcompinit\n",
                      BashScript(all));
}

std::string FishQuoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string FishScript(const std::vector<CommandWords>& all) {
  std::string script = "# isoflop completion for fish: isoflop completion fish | source\n";
  for (const CommandWords& words : all) {
    absl::StrAppend(&script, "complete -c isoflop -n __fish_use_subcommand -f -a ", words.name, " -d ",
                    FishQuoted(words.summary), "\n");
    const std::string after = absl::StrCat("complete -c isoflop -n '__fish_seen_subcommand_from ", words.name, "'");
    for (const std::string& flag : words.flags) {
      absl::StrAppend(&script, after, " -l ", flag.substr(2), "\n");
    }
    if (!words.subcommands.empty()) {
      absl::StrAppend(&script, after, " -a '", absl::StrJoin(words.subcommands, " "), "'\n");
    }
  }
  const auto dynamic = [&](const auto& names, const char* what) {
    absl::StrAppend(&script, "complete -c isoflop -n '__fish_seen_subcommand_from ", absl::StrJoin(names, " "),
                    "' -a '(isoflop completion ", what, " 2>/dev/null)'\n");
  };
  dynamic(kTakeStudies, "studies");
  dynamic(kTakeTrials, "trials");
  absl::StrAppend(&script, "complete -c isoflop -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n");
  return script;
}

// The names of studies, or the numbers of the newest study's trials: what the
// scripts ask for. Without a store there are none.
absl::StatusOr<int> PrintKnown(const std::string& what, const Environment& environment) {
  const auto store = ResultStore::Open(environment.db);
  if (!store.ok()) return kExitOk;
  if (what == "studies") {
    const auto studies = (*store)->Studies();
    if (!studies.ok()) return studies.status();
    for (const StudyRecord& study : *studies) std::printf("%s\n", study.name.c_str());
    return kExitOk;
  }
  const auto newest = (*store)->FindStudy("");
  if (!newest.ok()) return kExitOk;
  const auto trials = (*store)->Trials(newest->id);
  if (!trials.ok()) return trials.status();
  for (const StoredTrial& trial : *trials) std::printf("%lld\n", static_cast<long long>(trial.id.value()));
  return kExitOk;
}

}  // namespace

CommandBody AddCompletionCommand(CLI::App& app) {
  const auto what = std::make_shared<std::string>();
  app.add_option("SHELL", *what, "bash, zsh or fish (studies, trials: what the scripts ask for)")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish", "studies", "trials"}));
  return [what, &app](Context& context) -> absl::StatusOr<int> {
    if (*what == "studies" || *what == "trials") return PrintKnown(*what, context.environment);
    const std::vector<CommandWords> words = WordsOf(*app.get_parent());
    const std::string script = *what == "bash"  ? BashScript(words)
                               : *what == "zsh" ? ZshScript(words)
                                                : FishScript(words);
    std::fputs(script.c_str(), stdout);
    return kExitOk;
  };
}

}  // namespace isoflop
