// The sections beside the fit, for "isoflop.fit/1": frontier tables, uncertainty,
// verdict, hold-out, forms, design.
#include <nlohmann/json.hpp>

#include "analysis/report/json_numbers.h"
#include "analysis/report/json_values.h"

namespace isoflop {

// static, not in an unnamed namespace: ListJson and OrNull find these by their
// argument.
using nlohmann::json;

// A list of structs, each by its ToJson.
template <typename T>
static json ListJson(const std::vector<T>& values) {
  json out = json::array();
  for (const T& value : values) out.push_back(ToJson(value));
  return out;
}

static json ToJson(const OptimalRow& row) {
  return {{"budget_flops", ResultNumber(row.budget_flops)},
          {"log10_over_max", ResultNumber(row.log10_over_max)},
          {"extrapolated", row.extrapolated},
          {"asked", row.asked},
          {"params", ToJson(row.params)},
          {"tokens", ToJson(row.tokens)},
          {"tokens_per_parameter", ToJson(row.tokens_per_parameter)},
          {"loss", ToJson(row.loss)},
          {"epochs", ResultNumber(row.epochs)},
          {"slot_hours", ResultNumber(row.hours)}};
}

static json ToJson(const EfficiencyRow& row) {
  return {{"budget_flops", ResultNumber(row.budget_flops)},
          {"tokens_per_parameter", ResultNumber(row.tokens_per_parameter)},
          {"params", ResultNumber(row.params)},
          {"tokens", ResultNumber(row.tokens)},
          {"loss", ToJson(row.loss)},
          {"excess_loss", ToJson(row.excess_loss)},
          {"equivalent_flops", ToJson(row.equivalent_flops)},
          {"wasted_fraction", ToJson(row.wasted_fraction)},
          {"wasted_flops", ResultNumber(row.wasted_flops)}};
}

static json ToJson(const OvertrainingRow& row) {
  return {{"budget_flops", ResultNumber(row.budget_flops)},
          {"params_factor", ResultNumber(row.params_factor)},
          {"params", ResultNumber(row.params)},
          {"tokens", ToJson(row.tokens)},
          {"tokens_per_parameter", ToJson(row.tokens_per_parameter)},
          {"overhead_fraction", ToJson(row.overhead_fraction)}};
}

static json ToJson(const InferenceRow& row) {
  return {{"inference_tokens", ResultNumber(row.inference_tokens)},
          {"budget_flops", ResultNumber(row.budget_flops)},
          {"params", ToJson(row.params)},
          {"tokens", ToJson(row.tokens)},
          {"tokens_per_parameter", ToJson(row.tokens_per_parameter)},
          {"saving_fraction", ToJson(row.saving_fraction)}};
}

static json ToJson(const RepeatedDataRow& row) {
  return {{"budget_flops", ResultNumber(row.budget_flops)},
          {"unique_tokens", ResultNumber(row.unique_tokens)},
          {"params", ToJson(row.params)},
          {"tokens", ToJson(row.tokens)},
          {"epochs", ToJson(row.epochs)},
          {"loss", ToJson(row.loss)}};
}

static json ToJson(const ConventionRow& row) {
  return {{"count", ToString(row.count)},
          {"flops", ToString(row.flops)},
          {"a_parametric", ToJson(row.a_parametric)},
          {"a_isoflop", ToJson(row.a_isoflop)},
          {"a_envelope", ToJson(row.a_envelope)},
          {"chosen", row.chosen}};
}

static json ToJson(const SeedCell& cell) {
  return {{"params", ResultNumber(cell.params)}, {"tokens", ResultNumber(cell.tokens)}, {"losses", ResultNumbers(cell.losses)}};
}

static json ToJson(const LackOfFit& test) {
  return {{"F", ResultNumber(test.F)}, {"p", ResultNumber(test.p)}, {"df_law", test.df_law}, {"df_seeds", test.df_seeds}};
}

static json ToJson(const SeedNoise& noise) {
  return {{"from_replicates", noise.from_replicates},
          {"sigma", ResultNumber(noise.sigma)},
          {"cells", noise.cells},
          {"degrees_of_freedom", noise.degrees_of_freedom},
          {"replicates", ListJson(noise.replicates)},
          {"ln_sigma_intercept", ResultNumber(noise.ln_sigma_intercept)},
          {"ln_sigma_slope", ResultNumber(noise.ln_sigma_slope)},
          {"lack_of_fit", OrNull(noise.lack_of_fit)}};
}

static json ToJson(const Profile& profile) {
  return {{"name", profile.name},
          {"at_best", ResultNumber(profile.at_best)},
          {"value", ResultNumbers(profile.value)},
          {"statistic", ResultNumbers(profile.statistic)},
          {"threshold", ResultNumber(profile.threshold)},
          {"lo", ResultNumber(profile.lo)},
          {"hi", ResultNumber(profile.hi)}};
}

static json ToJson(const Influence& row) {
  return {{"what", row.what},
          {"rows", row.rows},
          {"delta_a", ResultNumber(row.delta_a)},
          {"delta_ln_params_at_target", ResultNumber(row.delta_ln_params_at_target)},
          {"delta_a_se", ResultNumber(row.delta_a_se)},
          {"delta_ln_params_se", ResultNumber(row.delta_ln_params_se)}};
}

static json ToJson(const CoverageRow& row) {
  return {{"name", row.name}, {"level", ResultNumber(row.level)}, {"covered_percent", ResultNumber(row.covered_percent)}};
}

static json ToJson(const Coverage& coverage) {
  return {{"method", coverage.method}, {"studies", coverage.studies}, {"rows", ListJson(coverage.rows)}};
}

static json ToJson(const ApproachDifference& d) {
  return {{"first", static_cast<int>(d.first)},
          {"second", static_cast<int>(d.second)},
          {"exponent", ToJson(d.exponent)},
          {"ln_params_at_target", ToJson(d.ln_params_at_target)},
          {"loss_at_target", ToJson(d.loss_at_target)},
          {"real", d.real},
          {"missing_share", ResultNumber(d.missing_share)}};
}

static json ToJson(const ApproachCost& cost) {
  return {{"approach", static_cast<int>(cost.approach)},
          {"exponent", ResultNumber(cost.exponent)},
          {"params_at_target", ResultNumber(cost.params_at_target)},
          {"wasted_fraction", ResultNumber(cost.wasted_fraction)}};
}

static json ToJson(const Agreement& agreement) {
  return {{"verdict", ToString(agreement.verdict)},
          {"reason", agreement.reason},
          {"differences", ListJson(agreement.differences)},
          {"costs", ListJson(agreement.costs)},
          {"causes_tried", agreement.causes_tried},
          {"cause", agreement.cause},
          {"narrows_most", agreement.narrows_most}};
}

static json ToJson(const SensitivityRow& row) {
  return {{"group", row.group},
          {"name", row.name},
          {"rows_used", row.rows_used},
          {"delta_a", ToJson(row.delta_a)},
          {"delta_ln_params", ToJson(row.delta_ln_params)},
          {"delta_loss", ToJson(row.delta_loss)},
          {"a_in_se", ResultNumber(row.a_in_se)},
          {"ln_params_in_se", ResultNumber(row.ln_params_in_se)},
          {"loss_in_se", ResultNumber(row.loss_in_se)},
          {"certificate", row.certificate}};
}

static json ToJson(const HeldRow& held) {
  return {{"row", held.row},
          {"train_max_flops", ResultNumber(held.train_max_flops)},
          {"distance_decades", ResultNumber(held.distance_decades)},
          {"predicted_loss", ResultNumber(held.predicted_loss)},
          {"relative_error", ResultNumber(held.relative_error)},
          {"perplexity_ratio", ResultNumber(held.perplexity_ratio)},
          {"z", ResultNumber(held.z)},
          {"nearest_error", ResultNumber(held.nearest_error)},
          {"envelope_error", ResultNumber(held.envelope_error)}};
}

// An open bin's upper end is null.
static json ToJson(const HoldoutBin& bin) {
  return {{"distance_lo", ResultNumber(bin.distance_lo)},
          {"distance_hi", ResultNumber(bin.distance_hi)},
          {"rows", bin.rows},
          {"mean_relative_error", ResultNumber(bin.mean_relative_error)},
          {"nearest_error", ResultNumber(bin.nearest_error)},
          {"envelope_error", ResultNumber(bin.envelope_error)},
          {"skill", ResultNumber(bin.skill)}};
}

static json ToJson(const Holdout& holdout) {
  json width = json::array();
  for (const auto& [flops, factor] : holdout.width_by_flops) width.push_back({{"flops", ResultNumber(flops)}, {"factor", ResultNumber(factor)}});
  return {{"largest", ListJson(holdout.largest)},
          {"windows", ListJson(holdout.windows)},
          {"bins", ListJson(holdout.bins)},
          {"mean_relative_error", ResultNumber(holdout.mean_relative_error)},
          {"skill", ResultNumber(holdout.skill)},
          {"gain_over_20", ResultNumber(holdout.gain_over_20)},
          {"width_by_flops", width},
          {"demonstrated_decades", ResultNumber(holdout.demonstrated_decades)},
          {"refusal", OrNull(holdout.refusal)}};
}

static json ToJson(const FormScore& score) {
  return {{"form", ToString(score.form)},
          {"parameters", score.parameters},
          {"law", OrNull(score.law)},
          {"certificate", score.certificate},
          {"f", ResultNumber(score.f)},
          {"holdout_error", ToJson(score.holdout_error)},
          {"recommended", score.recommended}};
}

static json ToJson(const NestedTest& test) {
  return {{"smaller", ToString(test.smaller)}, {"larger", ToString(test.larger)}, {"statistic", ResultNumber(test.statistic)}, {"p", ResultNumber(test.p)}, {"draws", test.draws}};
}

static json ToJson(const FormRanking& ranking) {
  return {{"forms", ListJson(ranking.forms)}, {"nested", ListJson(ranking.nested)}, {"recommended", ToString(ranking.recommended)}};
}

static json ToJson(const DesignTrial& trial) {
  return {{"params", ResultNumber(trial.params)},
          {"tokens", ResultNumber(trial.tokens)},
          {"flops", ResultNumber(trial.flops)},
          {"from_trunk", trial.from_trunk},
          {"seeds", trial.seeds},
          {"why", trial.why},
          {"factor_after", ResultNumber(trial.factor_after)}};
}

static json ToJson(const ExperimentDesign& design) {
  return {{"target_flops", ResultNumber(design.target_flops)},
          {"goal_factor", ResultNumber(design.goal_factor)},
          {"factor_now", ResultNumber(design.factor_now)},
          {"trials", ListJson(design.trials)},
          {"stop", design.stop},
          {"reason", design.reason},
          {"refusal", OrNull(design.refusal)}};
}

json SectionsJson(const AnalysisResult& result) {
  return {{"optimal", ListJson(result.optimal)},
          {"efficiency", ListJson(result.efficiency)},
          {"overtraining", ListJson(result.overtraining)},
          {"inference", ListJson(result.inference)},
          {"repeated_data", ListJson(result.repeated_data)},
          {"data_exhausted_flops", ResultNumber(result.data_exhausted_flops)},
          {"conventions", ListJson(result.conventions)},
          {"noise", ToJson(result.noise)},
          {"profiles", ListJson(result.profiles)},
          {"influence", ListJson(result.influence)},
          {"coverage", OrNull(result.coverage)},
          {"agreement", OrNull(result.agreement)},
          {"sensitivity", ListJson(result.sensitivity)},
          {"holdout", OrNull(result.holdout)},
          {"forms", OrNull(result.forms)},
          {"design", OrNull(result.design)}};
}

}  // namespace isoflop
