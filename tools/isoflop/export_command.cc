// isoflop export: a study's trials as CSV, its curves as JSON lines, the store as
// a copy.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analysis/analyze.h"
#include "analysis/observations.h"
#include "store/export_rows.h"
#include "store/result_store.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/row_table.h"
#include "tools/isoflop/study_source.h"
#include "tools/isoflop/version.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

struct ExportFlags {
  std::string study;
  std::string format;
  std::string output;
};

// What the analysis says of one trial.
struct InAnalysis {
  std::optional<double> predicted_loss_nats;
  std::optional<double> z;
  bool used_in_fit = false;
  std::string exclusion;
};

struct Judged {
  std::map<int64_t, InAnalysis> by_trial;
  std::string count, flops;  // the conventions
};

// Under the study's own options, without intervals. A study that cannot be
// fitted has its exclusions, and no predictions.
absl::StatusOr<Judged> Judge(ResultStore& store, const StudyRecord& study) {
  AnalysisOptions options;
  if (const absl::StatusOr<StudySpec> spec = ParseStudyYaml(study.spec_yaml, study.name); spec.ok()) {
    options = AnalysisOptionsOf(*spec);
  }
  options.spec.draws = 0;
  Judged out;
  out.count = ToString(options.count);
  out.flops = ToString(options.flops);
  ISOFLOP_ASSIGN_OR_RETURN(std::vector<Observation> rows, LoadStudyObservations(store, study.id));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, store.Trials(study.id));
  // Imported rows have ids of their own; rows stand in the order of the trials.
  std::map<std::string, int64_t> trial_of;
  size_t i = 0;
  for (const StoredTrial& trial : trials) {
    if (!IsObservation(trial.planned.role)) {
      out.by_trial[trial.id.value()].exclusion = ToString(trial.planned.role);
    } else if (i < rows.size()) {
      trial_of[rows[i++].source] = trial.id.value();
    }
  }
  if (rows.empty()) return out;
  const absl::StatusOr<AnalysisResult> result = Analyze(std::move(rows), options);
  if (!result.ok()) return out;
  const double sigma = result->parametric ? result->parametric->certificate.sigma : 0;
  for (const KeptRow& row : result->rows) {
    InAnalysis& one = out.by_trial[trial_of[row.observation.source]];
    one.used_in_fit = result->parametric.has_value();
    one.predicted_loss_nats = row.predicted_loss;
    if (row.residual && sigma > 0) one.z = *row.residual / sigma;
  }
  for (const Exclusion& row : result->exclusions) {
    out.by_trial[trial_of[row.source]].exclusion = ToString(row.rule);
  }
  return out;
}

std::string MaybeNumber(const std::optional<double>& value) {
  return value ? ExactNumber(*value) : "";
}

struct Exported {
  std::string text;
  int64_t rows = 0;
};

absl::StatusOr<Exported> TrialsCsv(const std::string& db, StudyId study, const Judged& judged) {
  // predicted_loss_nats and what follows it stand behind train_loss_nats.
  const std::vector<std::string>& columns = TrialExportColumns();
  std::vector<std::string> header;
  size_t id_at = 0, insert_after = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    header.push_back(columns[i]);
    if (columns[i] == "trial_id") id_at = i;
    if (columns[i] == "train_loss_nats") {
      insert_after = i;
      header.insert(header.end(), {"predicted_loss_nats", "z", "used_in_fit", "exclusion"});
    }
  }
  Exported out;
  out.text = CsvLine(header);
  ISOFLOP_RETURN_IF_ERROR(ExportTrials(db, study, [&](const std::vector<QueryValue>& row) {
    std::vector<std::string> fields;
    for (size_t i = 0; i < row.size(); ++i) {
      fields.push_back(CsvField(row[i]));
      if (i != insert_after) continue;
      const auto found = judged.by_trial.find(std::get<int64_t>(row[id_at].value));
      const InAnalysis one = found == judged.by_trial.end() ? InAnalysis() : found->second;
      fields.insert(fields.end(), {MaybeNumber(one.predicted_loss_nats), MaybeNumber(one.z),
                                   one.used_in_fit ? "1" : "0", CsvField(one.exclusion)});
    }
    out.text += CsvLine(fields);
    ++out.rows;
    return absl::OkStatus();
  }));
  return out;
}

absl::StatusOr<Exported> CurvesJsonl(const std::string& db, StudyId study) {
  Exported out;
  const std::vector<std::string>& columns = CurveExportColumns();
  ISOFLOP_RETURN_IF_ERROR(ExportCurves(db, study, [&](const std::vector<QueryValue>& row) {
    nlohmann::ordered_json object;
    for (size_t i = 0; i < row.size(); ++i) object[columns[i]] = ValueAsJson(row[i]);
    absl::StrAppend(&out.text, object.dump(-1, ' ', false, Json::error_handler_t::replace), "\n");
    ++out.rows;
    return absl::OkStatus();
  }));
  return out;
}

// "trials.csv" has its meta.json beside it as "trials.meta.json"; a folder has
// both under their own names.
struct Target {
  std::string path, meta_path;
};
Target TargetOf(const std::string& output, const std::string& name_in_folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path path(output);
  if (absl::EndsWith(output, "/") || fs::is_directory(path, ignored)) {
    return {(path / name_in_folder).string(), (path / "meta.json").string()};
  }
  return {output, fs::path(path).replace_extension(".meta.json").string()};
}

absl::StatusOr<int> RunExport(const ExportFlags& flags, const Context& context) {
  const auto begun = std::chrono::steady_clock::now();
  if (flags.format == "tensorboard" || flags.format == "latex") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--format ", flags.format, ": comes in a later release\ncure: --format csv, jsonl or sqlite; ",
        "`isoflop report` writes SVG and Markdown for papers"));
  }
  if (!context.environment.server_is_default && context.flags.db.empty()) {
    return absl::InvalidArgumentError(
        "export: reads the store's own file, not a coordinator\n"
        "cure: isoflop query 'SELECT * FROM observation' --limit 0 -o csv > trials.csv; or --db FILE where the store lies");
  }
  const std::string& db = context.environment.db;
  std::string path = flags.output;
  std::string study_name;
  int64_t rows = 0;
  if (flags.format == "sqlite") {
    if (flags.output == "-") {
      return absl::InvalidArgumentError("-o -: a database needs a file\ncure: -o copy.db");
    }
    path = TargetOf(flags.output, "isoflop.db").path;
    ISOFLOP_RETURN_IF_ERROR(CopyStore(db, path));
  } else {
    ISOFLOP_ASSIGN_OR_RETURN(const std::string name, StudyNameOf(flags.study));
    ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> store, ResultStore::Open(db));
    ISOFLOP_ASSIGN_OR_RETURN(const StudyRecord study, store->FindStudy(name));
    study_name = study.name;
    if (flags.study.empty() && !context.flags.quiet && !context.flags.json) {
      std::fprintf(flags.output == "-" ? stderr : stdout, "%s\n", study.name.c_str());
    }
    Judged judged;
    Exported exported;
    if (flags.format == "csv") {
      ISOFLOP_ASSIGN_OR_RETURN(judged, Judge(*store, study));
      ISOFLOP_ASSIGN_OR_RETURN(exported, TrialsCsv(db, study.id, judged));
    } else {
      ISOFLOP_ASSIGN_OR_RETURN(exported, CurvesJsonl(db, study.id));
    }
    rows = exported.rows;
    if (flags.output == "-") {
      std::fwrite(exported.text.data(), 1, exported.text.size(), stdout);
      return kExitOk;
    }
    const Target target = TargetOf(flags.output, flags.format == "csv" ? "trials.csv" : "loss_points.jsonl");
    path = target.path;
    ISOFLOP_RETURN_IF_ERROR(WriteWholeFile(path, exported.text));
    Json meta = {{"schema", "isoflop.export_meta/1"}, {"study", study.name}, {"rows", rows}, {"version", CodeVersion()}};
    if (flags.format == "csv") {
      meta["count"] = judged.count;
      meta["flops"] = judged.flops;
    } else {
      meta["flops"] = "exact";
    }
    ISOFLOP_RETURN_IF_ERROR(WriteWholeFile(
        target.meta_path, meta.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (context.flags.json) {
    std::printf("%s\n", Json{{"schema", "isoflop.export/1"},
                             {"study", study_name.empty() ? Json() : Json(study_name)},
                             {"format", flags.format},
                             {"path", path},
                             {"rows", flags.format == "sqlite" ? Json() : Json(rows)},
                             {"seconds", seconds}}
                            .dump(-1, ' ', false, Json::error_handler_t::replace)
                            .c_str());
  } else if (!context.flags.quiet) {
    if (flags.format == "sqlite") {
      std::printf("%s: a copy of the store, %.2f s\n", path.c_str(), seconds);
    } else {
      std::printf("%s: %lld rows, %.2f s\n", path.c_str(), static_cast<long long>(rows), seconds);
    }
  }
  return kExitOk;
}

}  // namespace

CommandBody AddExportCommand(CLI::App& app) {
  auto flags = std::make_shared<ExportFlags>();
  app.add_option("study", flags->study, "the study, by name or YAML; left out: the newest")->type_name("STUDY");
  app.add_option("--format", flags->format,
                 "csv: a row a trial; jsonl: a line a loss point; sqlite: a copy of the whole store while all runs on")
      ->type_name("csv|jsonl|sqlite")->required()
      ->check(CLI::IsMember({"csv", "jsonl", "sqlite", "tensorboard", "latex"}));
  app.add_option("-o,--output", flags->output, "file or folder; - is the standard output")->type_name("PATH")->required();
  return [flags](Context& context) { return RunExport(*flags, context); };
}

}  // namespace isoflop
