// isoflop fit: the law of the loss, from a study or a CSV.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "analysis/analyze.h"
#include "analysis/report/report.h"
#include "study/status_macros.h"
#include "tools/isoflop/analysis_input.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/fit_text.h"

namespace isoflop {
namespace {

absl::StatusOr<int> RunFit(const AnalysisFlags& flags, const Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(AnalysisInput input, LoadAnalysisInput(flags, context));
  AnalysisOptions::Sections& sections = input.options.sections;
  sections.agreement = sections.holdout = sections.sensitivity = true;
  sections.forms = input.options.spec.form == "auto";
  ISOFLOP_ASSIGN_OR_RETURN(const AnalysisResult result, Analyze(std::move(input.observations), input.options));
  const int code = result.parametric ? kExitOk : kExitInPart;
  if (context.flags.json) {
    std::printf("%s\n", AnalysisJson(result).c_str());
    return code;
  }
  if (input.is_newest) std::printf("%s\n", input.name.c_str());
  for (const std::string& line : FitLines(result)) std::printf("%s\n", line.c_str());
  if (result.parametric_refusal) PrintRefusal("fit", *result.parametric_refusal);
  return code;
}

}  // namespace

CommandBody AddFitCommand(CLI::App& app) {
  auto flags = std::make_shared<AnalysisFlags>();
  auto start_grid = std::make_shared<bool>(false);
  AddAnalysisFlags(app, flags.get());
  app.add_flag("--start-grid", *start_grid, "in a later release");
  return [flags, start_grid](Context& context) -> absl::StatusOr<int> {
    if (*start_grid) {
      return BadFlag("--start-grid", "comes in a later release",
                     "leave it out: the certificate names the starts that were tried");
    }
    return RunFit(*flags, context);
  };
}

}  // namespace isoflop
