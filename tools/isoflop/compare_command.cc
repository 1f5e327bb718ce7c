// isoflop compare: how much more compute one study needs than another for the same
// loss.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/analyze.h"
#include "analysis/study_comparison.h"
#include "study/format.h"
#include "study/quantity.h"
#include "study/status_macros.h"
#include "tools/isoflop/analysis_input.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/fit_text.h"

namespace isoflop {
namespace {

struct CompareFlags {
  std::string first, second;
  AnalysisFlags analysis;
  std::vector<std::string> losses;
  std::string unit;
};

// One side: its input, and the analysis that gives rows, exclusions and noise. The
// laws are fitted together, by CompareStudies.
struct Side {
  AnalysisInput input;
  AnalysisResult result;
};

absl::StatusOr<AnalysisInput> LoadSide(const CompareFlags& flags, const std::string& source, const Context& context) {
  AnalysisFlags own = flags.analysis;
  own.source = source;
  if (!IsCsv(source)) {  // beside a CSV, whose columns the flags name
    own.columns.clear();
    own.derivations.clear();
  }
  ISOFLOP_ASSIGN_OR_RETURN(AnalysisInput input, LoadAnalysisInput(own, context));
  AnalysisSpec& spec = input.options.spec;
  spec.form = "chinchilla";
  spec.draws = 0;
  spec.coverage = "off";
  if (flags.unit == "nats") spec.loss = LossUnit::kNats;
  if (flags.unit == "bits_per_byte") spec.loss = LossUnit::kBitsPerByte;
  return input;
}

absl::Status CheckFlags(const CompareFlags& flags) {
  if (flags.first.empty() || flags.second.empty()) {
    return BadFlag("compare", "two studies are needed", "isoflop compare web-transformer web-lstm");
  }
  if (!flags.unit.empty() && flags.unit != "nats" && flags.unit != "bits_per_byte") {
    return BadFlag("--unit", absl::StrCat("'", flags.unit, "' is no unit of the loss"), "--unit nats, or bits_per_byte");
  }
  if ((!flags.analysis.columns.empty() || !flags.analysis.derivations.empty()) && !IsCsv(flags.first) &&
      !IsCsv(flags.second)) {
    return BadFlag(flags.analysis.columns.empty() ? "--derive" : "--column", "is for a CSV", "isoflop compare A.csv B.csv");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> LossesOf(const CompareFlags& flags) {
  std::vector<double> losses;
  for (const std::string& text : flags.losses) {
    const std::optional<double> loss = ParsePlainNumber(text);
    if (!loss || !(*loss > 0)) return BadFlag("--loss", absl::StrCat("'", text, "' is not a positive number"), "--loss 1.6");
    losses.push_back(*loss);
  }
  return losses;
}

std::string Factor(double value) { return std::isfinite(value) ? FormatSignificant(value, 2) : "open"; }

// "at loss 1.60 lstm needs x3.4 [2.9, 4.1] the compute": of the two the one that
// needs more. k = C_1/C_2.
std::string MultiplierLine(const StudyComparison& comparison, double loss, const Estimate& k) {
  const bool first_needs_more = k.value >= 1;
  const auto factor = [&](double value) { return first_needs_more ? value : 1 / value; };
  std::string line = absl::StrCat("at loss ", FormatSignificant(loss, 3), " ",
                                  first_needs_more ? comparison.first : comparison.second, " needs x",
                                  Factor(factor(k.value)));
  if (const Interval* interval = ShownInterval(k)) {
    const double one = factor(interval->lo), other = factor(interval->hi);
    absl::StrAppend(&line, " [", Factor(std::min(one, other)), ", ", Factor(std::max(one, other)), "]");
  }
  return line + " the compute";
}

std::string PValue(double p) { return p < 0.001 ? "p < 0.001" : absl::StrFormat("p %.3f", p); }

void PrintLaw(const StudyComparison& comparison) {
  const auto parameter = [](const Estimate& estimate) {
    return absl::StrCat(FormatSignificant(estimate.value, 4), PlainInterval(estimate, 4));
  };
  const auto both = [&](const std::string& name, const Estimate& first, const Estimate& second) {
    return absl::StrCat(name, " ", parameter(first), " and ", parameter(second));
  };
  std::vector<std::string> shared, own;
  if (comparison.shared_exponents) {
    shared = {absl::StrCat("alpha ", parameter(comparison.alpha)), absl::StrCat("beta ", parameter(comparison.beta))};
  } else {
    own = {both("alpha", comparison.alpha, comparison.alpha_second), both("beta", comparison.beta, comparison.beta_second)};
  }
  if (comparison.shared_E) {
    shared.push_back(absl::StrCat("E ", parameter(comparison.E_first)));
  } else {
    own.push_back(both("E", comparison.E_first, comparison.E_second));
  }
  if (!shared.empty()) std::printf(" shared: %s\n", absl::StrJoin(shared, "  ").c_str());
  if (!own.empty()) std::printf(" each its own: %s\n", absl::StrJoin(own, "  ").c_str());
  std::printf(" objective: %s\n", comparison.certificate.objective.c_str());
  std::printf(" shared exponents %s, shared E %s%s\n", PValue(comparison.shared_exponents_p).c_str(),
              PValue(comparison.shared_E_p).c_str(),
              comparison.shared_exponents_p < 0.05 ? "; the exponents differ: the multiplier depends on the budget" : "");
}

absl::StatusOr<int> RunCompare(const CompareFlags& flags, const Context& context) {
  ISOFLOP_RETURN_IF_ERROR(CheckFlags(flags));
  ComparisonOptions options;
  ISOFLOP_ASSIGN_OR_RETURN(options.losses, LossesOf(flags));
  Side first, second;
  ISOFLOP_ASSIGN_OR_RETURN(first.input, LoadSide(flags, flags.first, context));
  ISOFLOP_ASSIGN_OR_RETURN(second.input, LoadSide(flags, flags.second, context));
  if (first.input.options.spec.loss != second.input.options.spec.loss) {
    return BadFlag("compare", absl::StrCat(first.input.name, " is in ", ToString(first.input.options.spec.loss), ", ",
                                           second.input.name, " in ", ToString(second.input.options.spec.loss)),
                   "--unit bits_per_byte");
  }
  if (flags.analysis.draws) options.draws = *flags.analysis.draws;
  if (flags.analysis.seed) options.seed = *flags.analysis.seed;
  options.levels = first.input.options.spec.levels;
  for (Side* side : {&first, &second}) {
    ISOFLOP_ASSIGN_OR_RETURN(side->result, Analyze(std::move(side->input.observations), side->input.options));
  }
  const StudyComparison comparison =
      CompareStudies(first.result, first.input.name, second.result, second.input.name, options);
  int code = comparison.refusal ? kExitInPart : kExitOk;
  for (const MultiplierRow& row : comparison.multipliers) {
    if (EstimateIn(row.multiplier) == nullptr) code = kExitInPart;
  }
  if (context.flags.json) {
    std::printf("%s\n", ComparisonJson(comparison).c_str());
    return code;
  }
  if (comparison.refusal) {
    PrintRefusal("compare", *comparison.refusal);
    return code;
  }
  for (const MultiplierRow& row : comparison.multipliers) {
    if (const Estimate* k = EstimateIn(row.multiplier)) {
      std::printf("%s\n", MultiplierLine(comparison, row.loss, *k).c_str());
    } else {
      PrintRefusal("compare", std::get<Refusal>(row.multiplier));
    }
  }
  std::printf(" %s (%s), %s (%s)\n", comparison.first.c_str(), Plural(comparison.rows_first, "row").c_str(),
              comparison.second.c_str(), Plural(comparison.rows_second, "row").c_str());
  PrintLaw(comparison);
  for (const Warning& warning : comparison.warnings) {
    std::printf(" warning: %s, %s\n", ToString(warning.code).c_str(), warning.message.c_str());
  }
  return code;
}

}  // namespace

CommandBody AddCompareCommand(CLI::App& app) {
  auto flags = std::make_shared<CompareFlags>();
  app.add_option("first", flags->first, "a study, its YAML, or a CSV")->type_name("STUDY|CSV");
  app.add_option("second", flags->second, "the other")->type_name("STUDY|CSV");
  app.add_option("--loss", flags->losses, "where to compare; may be repeated; default three losses that both reach")
      ->type_name("L")->allow_extra_args(false);
  app.add_option("--unit", flags->unit, "of the losses: nats (one tokenizer) or bits_per_byte")->type_name("NAME");
  // One form, exponents shared; its own bootstrap of both.
  AddAnalysisOptions(app, &flags->analysis, {"--form", "--method", "--goal", "--allow-extrapolation"});
  return [flags](Context& context) { return RunCompare(*flags, context); };
}

}  // namespace isoflop
