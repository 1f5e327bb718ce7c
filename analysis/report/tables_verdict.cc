// What stands behind the verdict: agreement of the approaches, hold-out, T9 the
// sensitivity sheet, and the next trials.
#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/agreement.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"

namespace isoflop {
namespace {

std::string FormatSigned(double value) { return absl::StrFormat("%+.3f", value); }
std::string FormatThousandths(double value) { return absl::StrFormat("%.3f", value); }
std::string FormatFactor(double value) { return absl::StrFormat("x%.2f", value); }

// A difference with its interval, whatever its level.
Cell DifferenceCell(const Quantity& quantity) {
  const Estimate* estimate = EstimateIn(quantity);
  const double level = estimate != nullptr && !estimate->intervals.empty() ? estimate->intervals.back().level : 95;
  return QuantityCell(quantity, level, FormatSigned);
}

}  // namespace

std::vector<Table> AgreementTables(const AnalysisResult& result) {
  if (!result.agreement.has_value()) return {};
  const Agreement& agreement = *result.agreement;
  std::vector<Table> tables;
  if (!agreement.differences.empty()) {
    Table table{.name = "agreement", .title = "Do the approaches agree? Differences over the same draws"};
    table.columns = {{"pair", "pair", false}, {"exponent", "of a"}, {"ln_params", "of ln N*"}, {"loss", "of L*"}, {"real", "real", false}, {"missing_percent", "draws without [%]"}};
    for (const ApproachDifference& d : agreement.differences) {
      table.rows.push_back({TextCell(absl::StrCat(ToString(d.first), " − ", static_cast<int>(d.second))), DifferenceCell(d.exponent), DifferenceCell(d.ln_params_at_target),
                            DifferenceCell(d.loss_at_target), {d.real ? "yes" : "no", d.real ? "1" : "0"},
                            {absl::StrFormat("%.1f", 100 * d.missing_share), ExactText(100 * d.missing_share)}});
    }
    table.caption = absl::StrCat("n = ", result.rows.size(), "; verdict: ", ToString(agreement.verdict), ". N* and L* at ", FormatFlops(result.target_flops),
                                 " FLOPs; 95 % intervals corrected over the pairs (Holm 1979), ", result.bootstrap.method.empty() ? "bootstrap" : result.bootstrap.method,
                                 "; approach 2 with its bias taken off. Real: an interval leaves out 0.");
    tables.push_back(std::move(table));
  }
  if (!agreement.costs.empty()) {
    Table table{.name = "agreement_costs", .title = "What following each approach costs"};
    table.columns = {{"approach", "approach", false}, {"exponent", "a"}, {"params_at_target", "N*"}, {"wasted_percent", "wasted compute [%]"}};
    for (const ApproachCost& cost : agreement.costs) {
      table.rows.push_back({TextCell(ToString(cost.approach)), NumberCell(cost.exponent, FormatExponent), NumberCell(cost.params_at_target, FormatCount),
                            {absl::StrFormat("%.2f", 100 * std::max(0.0, cost.wasted_fraction)), ExactText(100 * cost.wasted_fraction)}});
    }
    table.caption = absl::StrCat("n = ", result.rows.size(), "; N* at ", FormatFlops(result.target_flops),
                                 " FLOPs; deadweight on the surface of approach 3. Under 2 % a difference does not matter in practice.");
    tables.push_back(std::move(table));
  }
  if (!agreement.causes_tried.empty()) {
    Table table{.name = "agreement_causes", .title = "Why they may disagree: causes tried, in order"};
    table.columns = {{"order", ""}, {"cause", "what was taken away, and what it did", false}};
    for (size_t i = 0; i < agreement.causes_tried.size(); ++i) table.rows.push_back({{absl::StrCat(i + 1), absl::StrCat(i + 1)}, TextCell(agreement.causes_tried[i])});
    table.caption = agreement.cause.empty() ? absl::StrCat("None of them mends it", NarrowsMost(agreement), ".") : "The last of them is the first that mends it.";
    tables.push_back(std::move(table));
  }
  return tables;
}

namespace {

std::optional<Table> BinsTable(const AnalysisResult& result) {
  const Holdout& holdout = *result.holdout;
  if (holdout.bins.empty()) return std::nullopt;
  Table table{.name = "holdout", .title = "Error by distance beyond the training budgets"};
  table.columns = {{"distance_lo", "decades from"}, {"distance_hi", "to"}, {"rows", "predictions"}, {"law_percent", "law [%]"}, {"nearest_percent", "nearest run [%]"},
                   {"envelope_percent", "envelope [%]"}, {"skill", "skill"}};
  const auto one = +[](double value) { return absl::StrFormat("%.1f", value); };
  bool has_envelope = false;
  for (const HoldoutBin& bin : holdout.bins) {
    const bool empty = bin.rows == 0;
    has_envelope = has_envelope || bin.envelope_error.has_value();
    table.rows.push_back({NumberCell(bin.distance_lo, one), std::isfinite(bin.distance_hi) ? NumberCell(bin.distance_hi, one) : Cell{"", ""}, WholeCell(bin.rows),
                          empty ? MissingCell() : PercentCell(bin.mean_relative_error, 3), empty ? MissingCell() : PercentCell(bin.nearest_error, 3),
                          bin.envelope_error.has_value() && !empty ? PercentCell(*bin.envelope_error, 3) : MissingCell(),
                          empty ? MissingCell() : SignedCell(bin.skill, 2)});
  }
  if (!has_envelope) DropColumn(&table, "envelope_percent");
  table.caption = absl::StrFormat("n = %d predictions of %d observations, expanding window; mean |relative error|. Skill: 1 − error/error of the better baseline, over all %.2f. "
                                  "Demonstrated distance: %.2f decades, the largest with a mean within %g %%.",
                                  static_cast<int>(holdout.windows.size()), static_cast<int>(result.rows.size()), holdout.skill, holdout.demonstrated_decades,
                                  100 * result.options.spec.holdout_error);
  if (holdout.gain_over_20.has_value()) {
    absl::StrAppend(&table.caption, absl::StrFormat(" Against D = 20 N the law's allocation gains %.4f of loss at %s FLOPs.", *holdout.gain_over_20, FormatFlops(result.target_flops)));
  }
  return table;
}

std::optional<Table> LargestTable(const AnalysisResult& result) {
  const Holdout& holdout = *result.holdout;
  if (holdout.largest.empty()) return std::nullopt;
  Table table{.name = "holdout_largest", .title = "The largest budget, predicted without it"};
  table.columns = {{"source", "source", false}, {"params", "N"}, {"flops", "C"}, {"distance_decades", "decades beyond"}, {"loss", "loss"}, {"predicted", "predicted"},
                   {"error_percent", "error [%]"}, {"perplexity_ratio", "perplexity ratio"}, {"z", "z"}, {"nearest_percent", "nearest run [%]"}, {"envelope_percent", "envelope [%]"}};
  double sum = 0;
  bool has_envelope = false;
  const auto percent = [](double fraction) { return Cell{absl::StrFormat("%+.2f", 100 * fraction), ExactText(100 * fraction)}; };
  for (const HeldRow& held : holdout.largest) {
    if (held.row >= result.rows.size()) continue;
    const KeptRow& row = result.rows[held.row];
    sum += std::abs(held.relative_error);
    has_envelope = has_envelope || held.envelope_error.has_value();
    table.rows.push_back({TextCell(row.observation.source), NumberCell(row.params, FormatCount), NumberCell(row.flops, FormatFlops),
                          {absl::StrFormat("%.2f", held.distance_decades), ExactText(held.distance_decades)}, NumberCell(row.loss, FormatLoss),
                          NumberCell(held.predicted_loss, FormatLoss), percent(held.relative_error), NumberCell(held.perplexity_ratio, FormatThousandths),
                          held.z.has_value() ? SignedCell(*held.z, 1) : MissingCell(), percent(held.nearest_error),
                          held.envelope_error.has_value() ? percent(*held.envelope_error) : MissingCell()});
  }
  if (table.rows.empty()) return std::nullopt;
  if (!has_envelope) DropColumn(&table, "envelope_percent");
  table.folded = table.rows.size() > 12;
  table.caption = absl::StrFormat("n = %d held, fitted to all up to %s FLOPs. Mean |error| %.2g %%. z: against the band of a new run.", static_cast<int>(table.rows.size()),
                                  FormatFlops(holdout.largest.front().train_max_flops), 100 * sum / static_cast<double>(table.rows.size()));
  return table;
}

}  // namespace

std::vector<Table> HoldoutTables(const AnalysisResult& result) {
  if (!result.holdout.has_value()) return {};
  std::vector<Table> tables;
  for (std::optional<Table>& table : std::vector<std::optional<Table>>{BinsTable(result), LargestTable(result)}) {
    if (table.has_value()) tables.push_back(std::move(*table));
  }
  return tables;
}

std::optional<Table> SensitivityTable(const AnalysisResult& result) {
  if (result.sensitivity.empty()) return std::nullopt;
  Table table{.name = "t9_sensitivity", .number = "T9", .title = "What each choice moves"};
  table.columns = {{"group", "choice", false}, {"name", "as", false}, {"rows", "rows"}, {"delta_a", "change of a"}, {"a_in_se", "in SE"}, {"delta_ln_params", "of ln N*"},
                   {"ln_params_in_se", "in SE"}, {"factor", "N* times"}, {"delta_loss", "of L*"}, {"loss_in_se", "in SE"}, {"certificate", "fit", false}};
  const auto value = [](const Quantity& quantity, int decimals) {
    if (const Estimate* estimate = EstimateIn(quantity)) return SignedCell(estimate->value, decimals);
    return Cell{ToString(std::get<Refusal>(quantity).code), ""};
  };
  const auto in_se = [](const std::optional<double>& ses) { return ses.has_value() ? SignedCell(*ses, 1) : MissingCell(); };
  int over = 0;
  for (const SensitivityRow& row : result.sensitivity) {
    const Estimate* ln_params = EstimateIn(row.delta_ln_params);
    const bool large = row.ln_params_in_se.has_value() && std::abs(*row.ln_params_in_se) > 2;
    over += large ? 1 : 0;
    // What cannot be computed keeps its row, with the reason where the certificate
    // would stand.
    const Refusal* refusal = std::get_if<Refusal>(&row.delta_ln_params);
    const std::string fit = refusal != nullptr ? refusal->message : row.certificate.empty() ? "no fit" : row.certificate;
    table.rows.push_back({TextCell(row.group), TextCell(row.name), WholeCell(row.rows_used), value(row.delta_a, 4), in_se(row.a_in_se), value(row.delta_ln_params, 3),
                          in_se(row.ln_params_in_se), ln_params != nullptr ? NumberCell(std::exp(ln_params->value), FormatFactor) : MissingCell(), value(row.delta_loss, 4),
                          in_se(row.loss_in_se), TextCell(fit)});
    if (refusal != nullptr) {
      for (Cell& cell : table.rows.back()) cell.dim = true;
    }
  }
  table.caption = absl::StrCat(FitWords(result), "; one choice changed at a time, at ", FormatFlops(result.target_flops), " FLOPs, by falling change of ln N*; SE of the bootstrap. ",
                               over == 0 ? "None moves ln N* by over 2 SE." : absl::StrCat(over, " of ", result.sensitivity.size(), " move ln N* by over 2 SE."));
  return table;
}

std::optional<Table> DesignTable(const AnalysisResult& result) {
  if (!result.design.has_value() || result.design->trials.empty()) return std::nullopt;
  const ExperimentDesign& design = *result.design;
  Table table{.name = "next_trials", .title = "The next trials"};
  table.columns = {{"order", ""}, {"params", "N"}, {"tokens", "D"}, {"flops", "FLOPs"}, {"from_trunk", "goes on from", false}, {"seeds", "seeds"},
                   {"factor_after", "hi/lo of N* with it"}, {"why", "why", false}};
  bool has_trunk = false;
  double sum = 0;
  for (const DesignTrial& trial : design.trials) {
    has_trunk = has_trunk || !trial.from_trunk.empty();
    sum += trial.flops;
    const std::string order = absl::StrCat(table.rows.size() + 1);
    table.rows.push_back({{order, order}, NumberCell(trial.params, FormatCount), NumberCell(trial.tokens, FormatTokens), NumberCell(trial.flops, FormatFlops),
                          trial.from_trunk.empty() ? Cell{"scratch", ""} : TextCell(absl::StrCat("trunk ", trial.from_trunk)), WholeCell(trial.seeds),
                          trial.factor_after > 0 ? NumberCell(trial.factor_after, FormatFactor) : MissingCell(), TextCell(trial.why)});
  }
  if (!has_trunk) DropColumn(&table, "from_trunk");
  table.caption = absl::StrCat("n = ", result.rows.size(), "; 95 % interval of N* at ", FormatFlops(design.target_flops), " FLOPs: now ", FormatFactor(design.factor_now), ", goal ",
                               FormatFactor(design.goal_factor), "; together ", FormatFlops(sum), " FLOPs. In the order in which they are best added, by the cut of the variance a FLOP (Fedorov 1972).");
  return table;
}

std::string DesignSentence(const AnalysisResult& result) {
  if (!result.design.has_value() || result.design->refusal.has_value()) return "";
  const ExperimentDesign& design = *result.design;
  if (design.reason.empty() && !design.stop) return "";
  return absl::StrCat(design.stop ? "Stop here" : "Next trials", design.reason.empty() ? "" : absl::StrCat(": ", design.reason), design.reason.empty() || design.reason.back() != '.' ? "." : "");
}

}  // namespace isoflop
