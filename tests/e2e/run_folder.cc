#include "tests/e2e/run_folder.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace isoflop {

namespace {

// T6 tells the hours of an optimum at the speed that was measured: of the
// machine's mood, not of the result.
std::string WithoutHours(const std::string& csv) {
  std::string kept;
  std::ptrdiff_t hours = -1;
  for (const absl::string_view line : absl::StrSplit(csv, '\n')) {
    std::vector<std::string> cells = absl::StrSplit(line, ',');
    if (kept.empty()) {
      const auto found = std::find(cells.begin(), cells.end(), "slot_hours");
      if (found == cells.end()) return csv;
      hours = found - cells.begin();
    }
    if (hours < static_cast<std::ptrdiff_t>(cells.size())) cells.erase(cells.begin() + hours);
    absl::StrAppend(&kept, absl::StrJoin(cells, ","), "\n");
  }
  return kept;
}

}  // namespace

RunFolder::RunFolder() {
  path_ = (std::filesystem::temp_directory_path() / "isoflop-run-XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) abort();
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  if (getenv("ISOFLOP_KEEP_E2E") == nullptr) std::filesystem::remove_all(path_, ignored);
}

std::string RunFolder::Write(const std::string& name, const std::string& text) const {
  std::ofstream(File(name)) << text;
  return File(name);
}

std::map<std::string, std::string> RunFolder::Env(const std::string& home) const {
  return {{"ISOFLOP_HOME", File(home)}, {"ISOFLOP_DB", ""}, {"ISOFLOP_SERVER", ""}, {"NO_COLOR", "1"}};
}

std::vector<std::string> RunFolder::RunArguments(const std::string& yaml,
                                                 const std::string& home) const {
  return {ISOFLOP_PROGRAM, "run", File(yaml), "--slots", "2", "-y", "-o", File(home + "-report")};
}

ProgramEnd RunFolder::Run(const std::string& yaml, const std::string& home,
                          const std::vector<std::string>& further) const {
  std::vector<std::string> arguments = RunArguments(yaml, home);
  arguments.insert(arguments.end(), further.begin(), further.end());
  const std::string out = File(home + ".out");
  const std::string err = File(home + ".err");
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  Program program(arguments, Env(home), out, err);
  ProgramEnd end;
  end.exit_code = program.Wait(absl::Minutes(10));
  end.out = ReadText(out);
  end.err = ReadText(err);
  return end;
}

ProgramEnd RunFolder::Isoflop(std::vector<std::string> arguments, const std::string& home) const {
  arguments.insert(arguments.begin(), ISOFLOP_PROGRAM);
  return RunProgram(arguments, Env(home));
}

std::vector<StoredTrial> RunFolder::Trials(const std::string& home) const {
  const auto store = ResultStore::Open(File(home + "/isoflop.db"));
  if (!store.ok()) return {};
  const auto study = (*store)->FindStudy("");
  if (!study.ok()) return {};
  return (*store)->Trials(study->id).value_or(std::vector<StoredTrial>());
}

int RunFolder::Completed(const std::string& home) const {
  const std::vector<StoredTrial> trials = Trials(home);
  return static_cast<int>(std::count_if(trials.begin(), trials.end(), [](const StoredTrial& trial) {
    return trial.standing.state == TrialState::kCompleted;
  }));
}

std::map<std::string, double> RunFolder::Losses(const std::string& home) const {
  std::map<std::string, double> losses;
  for (const StoredTrial& trial : Trials(home)) {
    if (trial.result.has_value() && trial.result->final_loss_nats.has_value()) {
      losses[trial.planned.fingerprint] = *trial.result->final_loss_nats;
    }
  }
  return losses;
}

std::map<int64_t, size_t> RunFolder::LeasesOfCompleted(const std::string& home) const {
  std::map<int64_t, size_t> leases;
  const auto store = ResultStore::Open(File(home + "/isoflop.db"));
  if (!store.ok()) return leases;
  for (const StoredTrial& trial : Trials(home)) {
    if (trial.standing.state != TrialState::kCompleted) continue;
    const auto attempts = (*store)->Leases(trial.id);
    if (attempts.ok()) leases[trial.id.value()] = attempts->size();
  }
  return leases;
}

std::map<std::string, std::string> RunFolder::ResultTables(const std::string& home) const {
  std::map<std::string, std::string> tables;
  for (const auto& entry : std::filesystem::directory_iterator(File(home + "-report/tables"))) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("t6") || name.starts_with("t7") || name.starts_with("t8")) {
      tables[name] = WithoutHours(ReadText(entry.path()));
    }
  }
  return tables;
}

}  // namespace isoflop
