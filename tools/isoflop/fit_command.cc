// isoflop fit: the law of the loss, from a study or a CSV.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/strings/str_format.h"
#include "analysis/analyze.h"
#include "analysis/law_fit.h"
#include "analysis/report/report.h"
#include "analysis/start_grid.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "tools/isoflop/analysis_input.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/fit_text.h"

namespace isoflop {
namespace {

// " start grid: best f 1.018274e-3 at a 0.513900; 355 of 4500 starts reach it, 12
// stopped early": the starts of Besiroglu et al. 2024 as a cross-check.
std::string StartGridLine(const AnalysisResult& result) {
  std::vector<double> params, tokens, loss;
  for (const KeptRow& row : result.rows) {
    params.push_back(row.params);
    tokens.push_back(row.tokens);
    loss.push_back(row.loss);
  }
  FitRows rows = MakeFitRows(params, tokens, loss);
  for (size_t i = 0; i < result.rows.size(); ++i) rows.weight[i] = result.rows[i].weight;
  LawFitOptions options;
  options.objective = result.options.spec.objective;
  options.delta = result.options.spec.delta;
  const GridFit grid = FitFromStartGrid(rows, options);
  const double certified = result.parametric->certificate.f;
  const bool is_same = std::abs(grid.f - certified) <= 1e-6 * std::abs(certified);
  return absl::StrFormat(" start grid: best f %.7g at a %s, %s; %d of %d starts reach it, %d stopped early", grid.f,
                         FormatSignificant(grid.law.a(), 6),
                         is_same            ? "the certified optimum"
                         : grid.f > certified ? "above the certified optimum"
                                              : "BELOW the certified optimum",
                         grid.reached_best, grid.starts, grid.stopped_early);
}

absl::StatusOr<int> RunFit(AnalysisFlags flags, bool start_grid, const Context& context) {
  flags.with_curves = true;
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
  if (start_grid && result.parametric) std::printf("%s\n", StartGridLine(result).c_str());
  if (result.parametric_refusal) PrintRefusal("fit", *result.parametric_refusal);
  return code;
}

}  // namespace

CommandBody AddFitCommand(CLI::App& app) {
  auto flags = std::make_shared<AnalysisFlags>();
  auto start_grid = std::make_shared<bool>(false);
  AddAnalysisFlags(app, flags.get());
  app.add_flag("--start-grid", *start_grid, "4,500 L-BFGS starts as a cross-check (Besiroglu et al. 2024)");
  return [flags, start_grid](Context& context) -> absl::StatusOr<int> {
    if (*start_grid && (flags->form.empty() ? false : flags->form != "chinchilla")) {
      return BadFlag("--start-grid", "has starts for the form 'chinchilla' only", "--form chinchilla --start-grid");
    }
    return RunFit(*flags, *start_grid, context);
  };
}

}  // namespace isoflop
