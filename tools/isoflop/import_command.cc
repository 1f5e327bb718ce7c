// isoflop import: others' results, a CSV or another store, as a study of ours.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "analysis/observations.h"
#include "store/import_study.h"
#include "store/result_store.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

struct ImportFlags {
  std::string source;
  std::string name;
  std::string study;
  std::vector<std::string> columns;
  std::vector<std::string> derivations;
};

// What was read, for people and --json.
struct Summary {
  int64_t rows = 0;
  int64_t without_loss = 0;
  bool tokens_derived = false;
  int64_t left_out = 0;
};

absl::Status CheckName(const std::string& name) {
  const bool is_good = !name.empty() && name.size() <= 64 && std::isalnum(static_cast<unsigned char>(name[0])) != 0 &&
                       std::all_of(name.begin(), name.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
                       });
  if (is_good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--as: '", name, "' is no name of a study: a-z, 0-9, '.', '_', '-', at most 64\ncure: --as published-runs"));
}

bool IsDatabase(const std::string& path) {
  char head[16] = {};
  std::ifstream(path, std::ios::binary).read(head, sizeof(head));
  return absl::StartsWith(absl::string_view(head, sizeof(head)), "SQLite format 3");
}

// The YAML of an imported study: where it came from, as remarks.
std::string Description(const ImportFlags& flags) {
  std::string text = absl::StrCat("# imported from ", std::filesystem::path(flags.source).filename().string(), "\n");
  for (const std::string& column : flags.columns) absl::StrAppend(&text, "# --column ", column, "\n");
  for (const std::string& derivation : flags.derivations) absl::StrAppend(&text, "# --derive ", derivation, "\n");
  return text;
}

absl::StatusOr<Summary> ImportCsv(const ImportFlags& flags, const Context& context) {
  if (!flags.study.empty()) {
    return absl::InvalidArgumentError("--study: names a study of another store, and this is a CSV\ncure: leave it out");
  }
  ISOFLOP_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(flags.source));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<Observation> rows,
                           ReadCsvObservations(text, std::filesystem::path(flags.source).filename().string(),
                                               {flags.columns, flags.derivations}));
  Summary summary;
  summary.rows = static_cast<int64_t>(rows.size());
  for (const Observation& row : rows) {
    summary.tokens_derived = summary.tokens_derived || row.tokens_derived;
    summary.without_loss += std::isfinite(row.final_loss_nats) || row.bits_per_byte ? 0 : 1;
  }
  if (!context.flags.dry_run) {
    ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(std::filesystem::path(context.environment.db).parent_path().string()));
    ISOFLOP_RETURN_IF_ERROR(
        ImportStudy(context.environment.db, flags.name, Description(flags), rows, absl::Now()).status());
  }
  return summary;
}

absl::StatusOr<Summary> ImportDatabase(const ImportFlags& flags, const Context& context) {
  if (!flags.columns.empty() || !flags.derivations.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(flags.columns.empty() ? "--derive" : "--column",
                                                   ": is for a CSV, and this is a store\ncure: leave it out"));
  }
  Summary summary;
  if (context.flags.dry_run) {
    ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> from, ResultStore::Open(flags.source));
    ISOFLOP_ASSIGN_OR_RETURN(const StudyRecord study, from->FindStudy(flags.study));
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, from->Trials(study.id));
    for (const StoredTrial& trial : trials) ++(IsFinal(trial.standing.state) ? summary.rows : summary.left_out);
    return summary;
  }
  ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(std::filesystem::path(context.environment.db).parent_path().string()));
  ISOFLOP_ASSIGN_OR_RETURN(const ImportedStudy imported,
                           ImportStudyFrom(context.environment.db, flags.name, flags.source, flags.study));
  summary.rows = imported.trials;
  summary.left_out = imported.left_out;
  return summary;
}

absl::StatusOr<int> RunImport(const ImportFlags& flags, const Context& context) {
  ISOFLOP_RETURN_IF_ERROR(CheckName(flags.name));
  if (!std::filesystem::is_regular_file(flags.source)) {
    return absl::NotFoundError(
        absl::StrCat(flags.source, ": there is no such file\ncure: a CSV, or the isoflop.db of another store"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const Summary summary, IsDatabase(flags.source) ? ImportDatabase(flags, context)
                                                                            : ImportCsv(flags, context));
  if (context.flags.json) {
    std::printf("%s\n", Json{{"schema", "isoflop.import/1"},
                             {"study", flags.name},
                             {"rows", summary.rows},
                             {"without_loss", summary.without_loss},
                             {"left_out", summary.left_out},
                             {"tokens_derived", summary.tokens_derived},
                             {"dry_run", context.flags.dry_run}}
                            .dump()
                            .c_str());
    return kExitOk;
  }
  std::printf("%s%s%s%s%s\n", context.flags.dry_run ? "would import " : "", Plural(summary.rows, "row").c_str(),
              summary.tokens_derived ? ", tokens derived" : "",
              summary.without_loss > 0 ? absl::StrCat(", ", summary.without_loss, " without a loss").c_str() : "",
              summary.left_out > 0 ? absl::StrCat(", ", summary.left_out, " left out that had not ended").c_str() : "");
  if (!context.flags.quiet && !context.flags.dry_run) std::printf("  fit it  isoflop fit %s\n", flags.name.c_str());
  return kExitOk;
}

}  // namespace

CommandBody AddImportCommand(CLI::App& app) {
  auto flags = std::make_shared<ImportFlags>();
  app.add_option("source", flags->source, "a CSV, or the isoflop.db of another store")->type_name("CSV|DB")->required();
  app.add_option("--as", flags->name, "the name of the new study")->type_name("NAME")->required();
  app.add_option("--column", flags->columns, "what a CSV's column holds, as params=\"Model Size\"; may be repeated")
      ->type_name("NAME=HEADER")->allow_extra_args(false);
  app.add_option("--derive", flags->derivations, "a CSV's column by arithmetic, as tokens=flops/(6*params)")
      ->type_name("NAME=EXPR")->allow_extra_args(false);
  app.add_option("--study", flags->study, "which study of another store; left out: its newest")->type_name("STUDY");
  return [flags](Context& context) { return RunImport(*flags, context); };
}

}  // namespace isoflop
