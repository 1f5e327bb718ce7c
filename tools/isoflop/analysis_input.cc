#include "tools/isoflop/analysis_input.h"

#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "analysis/observations.h"
#include "store/import_study.h"
#include "store/query.h"
#include "store/result_store.h"
#include "study/did_you_mean.h"
#include "study/format.h"
#include "study/quantity.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"
#include "tools/isoflop/study_source.h"

namespace isoflop {

absl::Status BadFlag(const std::string& flag, const std::string& what, const std::string& cure) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", what, "\ncure: ", cure));
}

bool IsCsv(const std::string& source) {
  if (absl::EndsWith(source, ".yaml") || absl::EndsWith(source, ".yml")) return false;
  return absl::EndsWithIgnoreCase(source, ".csv") || std::filesystem::is_regular_file(source);
}

void PrintRefusal(const std::string& command, const Refusal& refusal) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s: %s\ncure: %s\n", command.c_str(), ToString(refusal.code).c_str(), refusal.message.c_str(),
               refusal.cure.c_str());
}

namespace {

absl::Status BadChoice(const std::string& flag, const std::string& text, const std::vector<std::string>& choices) {
  std::string list;
  for (const std::string& choice : choices) absl::StrAppend(&list, list.empty() ? "" : ", ", choice);
  return BadFlag(flag, absl::StrCat("'", text, "' is none of its values", DidYouMeanClause(text, choices)),
                 absl::StrCat(flag, " ", choices.front(), " (one of ", list, ")"));
}

absl::StatusOr<FitObjective> ParseObjective(const std::string& text) {
  for (const FitObjective objective :
       {FitObjective::kHuber, FitObjective::kLad, FitObjective::kMse, FitObjective::kMseRaw}) {
    if (ToString(objective) == text) return objective;
  }
  return BadChoice("--objective", text, {"huber", "mse", "lad", "mse_raw"});
}

absl::StatusOr<FitWeights> ParseWeights(const std::string& text) {
  for (const FitWeights weights : {FitWeights::kNone, FitWeights::kByRun, FitWeights::kInverseVariance}) {
    if (ToString(weights) == text) return weights;
  }
  return BadChoice("--weights", text, {"none", "by_run", "inverse_variance"});
}

absl::Status ApplyFlags(const AnalysisFlags& flags, AnalysisOptions* options) {
  AnalysisSpec& spec = options->spec;
  if (!flags.form.empty()) {
    const std::vector<std::string> forms = {"chinchilla", "tied", "gadre", "kaplan", "multiplicative", "data_constrained",
                                            "auto"};
    if (std::find(forms.begin(), forms.end(), flags.form) == forms.end()) return BadChoice("--form", flags.form, forms);
    spec.form = flags.form;
  }
  if (!flags.objective.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(spec.objective, ParseObjective(flags.objective));
  }
  if (!flags.weights.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(spec.weights, ParseWeights(flags.weights));
  }
  if (!flags.delta.empty()) {
    const std::optional<double> delta = ParsePlainNumber(flags.delta);
    if (!delta || !(*delta > 0)) {
      return BadFlag("--delta", absl::StrCat("'", flags.delta, "' is not a positive number"), "--delta 1e-3");
    }
    spec.delta = *delta;
  }
  if (!flags.goal.empty()) {
    const std::optional<double> goal = ParseAmount(flags.goal);
    if (!goal || !(*goal > 0)) {
      return BadFlag("--goal", absl::StrCat("'", flags.goal, "' is not a number of FLOPs"), "--goal 1e21");
    }
    spec.goal_budget = goal;
  }
  if (flags.outliers) spec.outliers = *flags.outliers;
  if (flags.draws) spec.draws = *flags.draws;
  if (flags.seed) spec.bootstrap_seed = *flags.seed;
  if (!flags.method.empty()) {
    const std::vector<std::string> methods = {"auto", "pairs", "cluster", "wild", "parametric"};
    if (std::find(methods.begin(), methods.end(), flags.method) == methods.end()) {
      return BadChoice("--method", flags.method, methods);
    }
    spec.bootstrap_method = flags.method;
  }
  if (!flags.count.empty()) {
    const std::optional<CountConvention> count = ParseCountConvention(flags.count);
    if (!count) return BadChoice("--count", flags.count, {"non_embedding_plus_head", "total", "non_embedding"});
    options->count = *count;
  }
  if (!flags.flops.empty()) {
    const std::optional<FlopsConvention> flops = ParseFlopsConvention(flags.flops);
    if (!flops) return BadChoice("--flops", flags.flops, {"6nd", "exact"});
    options->flops = *flops;
  }
  options->allow_extrapolation = flags.allow_extrapolation;
  return absl::OkStatus();
}

// Ids of the trials that `where` selects. It is the reader's own SQL on a store
// that only he reads, fenced in by RunQuery.
absl::StatusOr<std::set<int64_t>> SelectedTrials(const std::string& db, const std::string& study,
                                                 const std::string& where) {
  std::string quoted;
  for (const char c : study) absl::StrAppend(&quoted, c == '\'' ? "''" : std::string(1, c));
  const std::string sql =
      absl::StrCat("SELECT trial_id FROM observation WHERE study = '", quoted, "' AND (\n", where, "\n)");
  std::set<int64_t> trials;
  const absl::Status status = RunQuery(
      db, sql, absl::Minutes(1), [](const QueryHead&) {},
      [&](std::vector<QueryValue> row) {
        if (const int64_t* id = std::get_if<int64_t>(&row[0].value)) trials.insert(*id);
        return true;
      });
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat("--where: ", status.message()));
  }
  return trials;
}

// A folder of our own that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "isoflop-where-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The rows of a CSV under --where go through a store of their own: the same
// columns as of any study.
absl::Status FilterCsv(const std::string& where, AnalysisInput* input) {
  const TemporaryFolder folder;
  if (folder.path().empty()) return absl::UnavailableError("--where: no temporary folder\ncure: TMPDIR=/var/tmp");
  const std::string db = folder.path() + "/rows.db";
  ISOFLOP_RETURN_IF_ERROR(ImportStudy(db, "rows", "", input->observations, absl::Now()).status());
  ISOFLOP_ASSIGN_OR_RETURN(const std::set<int64_t> selected, SelectedTrials(db, "rows", where));
  for (size_t i = 0; i < input->observations.size(); ++i) {
    if (!selected.contains(static_cast<int64_t>(i) + 1)) {
      input->options.filtered_sources.insert(input->observations[i].source);
    }
  }
  return absl::OkStatus();
}

// Bits where no row has nats.
LossUnit UnitOf(const std::vector<Observation>& observations) {
  bool any_nats = false, any_bits = false;
  for (const Observation& row : observations) {
    any_nats = any_nats || row.final_loss_nats == row.final_loss_nats;
    any_bits = any_bits || row.bits_per_byte.has_value();
  }
  return !any_nats && any_bits ? LossUnit::kBitsPerByte : LossUnit::kNats;
}

absl::StatusOr<AnalysisInput> LoadCsv(const AnalysisFlags& flags) {
  AnalysisInput input;
  input.is_csv = true;
  input.name = std::filesystem::path(flags.source).filename().string();
  ISOFLOP_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(flags.source));
  ISOFLOP_ASSIGN_OR_RETURN(input.observations,
                           ReadCsvObservations(text, input.name, {flags.columns, flags.derivations}));
  input.options.spec.loss = UnitOf(input.observations);
  ISOFLOP_RETURN_IF_ERROR(ApplyFlags(flags, &input.options));
  if (!flags.where.empty()) {
    ISOFLOP_RETURN_IF_ERROR(FilterCsv(flags.where, &input));
  }
  return input;
}

absl::StatusOr<AnalysisInput> LoadStudyInput(const AnalysisFlags& flags, const Context& context) {
  if (!flags.columns.empty() || !flags.derivations.empty()) {
    return BadFlag(flags.columns.empty() ? "--derive" : "--column", "is for a CSV", "isoflop fit RUNS.csv");
  }
  ISOFLOP_ASSIGN_OR_RETURN(const std::string name, StudyNameOf(flags.source));
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> store, ResultStore::Open(context.environment.db));
  ISOFLOP_ASSIGN_OR_RETURN(const StudyRecord study, store->FindStudy(name));
  AnalysisInput input;
  input.name = study.name;
  input.is_newest = flags.source.empty();
  // An imported study has no YAML and is read under the defaults.
  ISOFLOP_ASSIGN_OR_RETURN(input.observations, LoadStudyObservations(*store, study.id, flags.with_curves));
  if (const absl::StatusOr<StudySpec> spec = ParseStudyYaml(study.spec_yaml, study.name); spec.ok()) {
    input.options = AnalysisOptionsOf(*spec);
  } else {
    input.options.spec.loss = UnitOf(input.observations);
  }
  ISOFLOP_RETURN_IF_ERROR(ApplyFlags(flags, &input.options));
  if (!flags.where.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(const std::set<int64_t> selected,
                             SelectedTrials(context.environment.db, study.name, flags.where));
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, store->Trials(study.id));
    size_t i = 0;
    for (const StoredTrial& trial : trials) {  // LoadObservations' order
      if (!IsObservation(trial.planned.role)) continue;
      if (!selected.contains(trial.id.value())) input.options.filtered_sources.insert(input.observations.at(i).source);
      ++i;
    }
  }
  return input;
}

}  // namespace

void AddAnalysisFlags(CLI::App& app, AnalysisFlags* flags, const std::set<std::string>& without) {
  app.add_option("source", flags->source, "a study, its YAML, or a CSV; left out: the newest study")
      ->type_name("STUDY|CSV");
  AddAnalysisOptions(app, flags, without);
}

void AddAnalysisOptions(CLI::App& app, AnalysisFlags* flags, const std::set<std::string>& without) {
  const auto add = [&](const char* name, auto* variable, const char* help, const char* type) {
    if (!without.contains(name)) app.add_option(name, *variable, help)->type_name(type)->allow_extra_args(false);
  };
  add("--column", &flags->columns, "what a CSV's column holds, as params=\"Model Size\"; may be repeated", "NAME=HEADER");
  add("--derive", &flags->derivations, "a CSV's column by arithmetic, as tokens=flops/(6*params)", "NAME=EXPR");
  add("--form", &flags->form,
      "of the law: chinchilla, tied, gadre, kaplan, multiplicative, data_constrained, or auto (ranked by hold-out)", "NAME");
  add("--objective", &flags->objective, "huber, lad or mse on log loss, mse_raw on loss", "NAME");
  add("--delta", &flags->delta, "Huber width, of log loss", "X");
  add("--weights", &flags->weights, "none, by_run, or inverse_variance of the seeds' noise", "NAME");
  add("--outliers", &flags->outliers, "leave the K highest losses out", "K");
  add("--count", &flags->count, "N: non_embedding_plus_head, total or non_embedding", "NAME");
  add("--flops", &flags->flops, "C: 6nd or exact", "NAME");
  add("--where", &flags->where, "keep the rows of the view 'observation' that this SQL selects", "SQL");
  add("--method", &flags->method, "bootstrap: auto, pairs, cluster, wild or parametric", "NAME");
  add("--draws", &flags->draws, "bootstrap draws; 0: no intervals", "B");
  add("--seed", &flags->seed, "of the bootstrap", "S");
  add("--goal", &flags->goal, "target budget C_T; default 10 times the largest", "FLOPS");
  if (!without.contains("--allow-extrapolation")) {
    app.add_flag("--allow-extrapolation", flags->allow_extrapolation, "optima far beyond what was demonstrated too");
  }
}

absl::StatusOr<AnalysisInput> LoadAnalysisInput(const AnalysisFlags& flags, const Context& context) {
  return IsCsv(flags.source) ? LoadCsv(flags) : LoadStudyInput(flags, context);
}

}  // namespace isoflop
