// isoflop report: the files of a study's report.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/report_making.h"

namespace isoflop {
namespace {

struct ReportFlags {
  ReportRequest request;
  std::string from;
};

// A report.json rendered again: no store, no fit.
absl::StatusOr<MadeReport> RenderAgain(const ReportFlags& flags) {
  if (!flags.request.flags.source.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--from: '", flags.request.flags.source, "' cannot be given too\ncure: one of STUDY and --from JSON"));
  }
  if (!flags.request.beside.empty()) {
    return absl::InvalidArgumentError("--beside: a report.json is whole and takes no other study\ncure: isoflop report STUDY --beside OTHER");
  }
  std::string storage;
  WriteReportOptions options;
  options.convert = flags.request.convert;
  ISOFLOP_ASSIGN_OR_RETURN(options.html.plotly_gzip, FindPlotly(flags.request.js, &storage));
  const absl::StatusOr<std::string> text = ReadWholeFile(flags.from);
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat(text.status().message(), "\ncure: --from DIR/report.json of an older report"));
  }
  MadeReport made{};
  absl::StatusOr<Report> report = ParseReportJson(*text);
  if (!report.ok()) return absl::Status(report.status().code(), absl::StrCat(flags.from, ": ", report.status().message()));
  made.report = *std::move(report);
  const std::string beside = std::filesystem::path(flags.from).parent_path().string();
  const std::string folder = !flags.request.output.empty() ? flags.request.output : beside.empty() ? "." : beside;
  ISOFLOP_ASSIGN_OR_RETURN(made.written, WriteReport(made.report, folder, options));
  return made;
}

absl::StatusOr<int> RunReport(const ReportFlags& flags, const Context& context) {
  const absl::Time start = absl::Now();
  ISOFLOP_ASSIGN_OR_RETURN(const MadeReport made, flags.from.empty() ? MakeReport(flags.request, context) : RenderAgain(flags));
  const int code = made.report.refusals.empty() ? kExitOk : kExitInPart;
  if (context.flags.json) {
    std::printf("%s", RenderJson(made.report).c_str());
    return code;
  }
  if (made.is_newest && !context.flags.quiet) std::printf("%s\n", made.name.c_str());
  std::printf("%s, %.1f s\n", WrittenLine(made.written).c_str(), absl::ToDoubleSeconds(absl::Now() - start));
  if (!context.flags.quiet && !made.report.verdict.empty()) std::printf("%s\n", made.report.verdict.front().c_str());
  std::fflush(stdout);
  for (const ReportNote& refusal : made.report.refusals) {
    std::fprintf(stderr, "report: %s: %s\n", refusal.code.c_str(), refusal.text.c_str());
    if (!refusal.cure.empty()) std::fprintf(stderr, "cure: %s\n", refusal.cure.c_str());
  }
  return code;
}

}  // namespace

CommandBody AddReportCommand(CLI::App& app) {
  auto flags = std::make_shared<ReportFlags>();
  AddAnalysisFlags(app, &flags->request.flags);
  app.add_option("--from", flags->from, "render this report.json again; no store, no fit")->type_name("JSON");
  app.add_option("--beside", flags->request.beside, "another study, of another family say: laws, losses and multipliers side by side; may be repeated")
      ->type_name("STUDY|CSV")->allow_extra_args(false);
  app.add_option("-o,--output", flags->request.output, "folder; default <name>-report, with --from that of the JSON")->type_name("DIR");
  app.add_option("--js", flags->request.js, "live figures: auto (plotly as built in), off, or a plotly.min.js")->type_name("auto|off|FILE");
  return [flags](Context& context) { return RunReport(*flags, context); };
}

}  // namespace isoflop
