#include "tools/isoflop/predict_extras.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/beyond_optimum.h"
#include "study/format.h"
#include "tools/isoflop/analysis_input.h"
#include "tools/isoflop/fit_text.h"

namespace isoflop {

nlohmann::json EstimateJson(const Estimate& estimate) {
  nlohmann::json intervals = nlohmann::json::array();
  for (const Interval& interval : estimate.intervals) {
    intervals.push_back({{"level", interval.level}, {"lo", interval.lo}, {"hi", interval.hi}});
  }
  return {{"value", estimate.value},
          {"se", estimate.se ? nlohmann::json(*estimate.se) : nlohmann::json()},
          {"intervals", std::move(intervals)},
          {"method", estimate.method}};
}

nlohmann::json EstimateJson(const Quantity& quantity) {
  if (const Estimate* estimate = EstimateIn(quantity)) return EstimateJson(*estimate);
  const Refusal& refusal = std::get<Refusal>(quantity);
  return {{"refusal", {{"code", ToString(refusal.code)}, {"message", refusal.message}, {"cure", refusal.cure}}}};
}

BudgetExtras ExtrasAt(const AnalysisResult& result, const OptimalRow& row, std::optional<double> inference_tokens,
                      std::optional<double> unique_tokens) {
  BudgetExtras extras;
  if (inference_tokens) extras.inference = PredictInference(result, row.budget_flops, *inference_tokens);
  if (!unique_tokens) return extras;
  // A law that never saw data twice says nothing of what a repeat is worth.
  const double tokens = EstimateIn(row.tokens)->value;
  const LawForm form = result.parametric->law.form;
  if (form != LawForm::kDataConstrained && tokens > *unique_tokens) {
    extras.repeated_refusal = Refusal{
        Code::kRepeatedData, absl::StrCat("D* ", FormatTokens(tokens), " passes the ", FormatTokens(*unique_tokens),
                                          " unique tokens, and the form '", ToString(form),
                                          "' does not say what a repeated token is worth"),
        "--form data_constrained, on a study with repeated data"};
    return extras;
  }
  extras.repeated = PredictRepeatedData(result, row.budget_flops, *unique_tokens);
  return extras;
}

nlohmann::json ExtrasJson(const BudgetExtras& extras) {
  nlohmann::json object = nlohmann::json::object();
  if (extras.inference) {
    const InferenceRow& row = *extras.inference;
    object["inference"] = {{"inference_tokens", row.inference_tokens},
                           {"params", EstimateJson(row.params)},
                           {"tokens", EstimateJson(row.tokens)},
                           {"tokens_per_parameter", EstimateJson(row.tokens_per_parameter)},
                           {"saving_fraction", EstimateJson(row.saving_fraction)}};
  }
  if (extras.repeated) {
    const RepeatedDataRow& row = *extras.repeated;
    object["unique_data"] = {{"unique_tokens", row.unique_tokens},
                             {"params", EstimateJson(row.params)},
                             {"tokens", EstimateJson(row.tokens)},
                             {"epochs", EstimateJson(row.epochs)},
                             {"loss", EstimateJson(row.loss)}};
  }
  if (extras.repeated_refusal) object["unique_data"] = EstimateJson(Quantity(*extras.repeated_refusal));
  return object;
}

void PrintExtras(const BudgetExtras& extras) {
  if (extras.inference) {
    const InferenceRow& row = *extras.inference;
    std::string saving = absl::StrFormat("saves %.1f%%", 100 * row.saving_fraction.value);
    if (const Interval* interval = ShownInterval(row.saving_fraction)) {
      absl::StrAppendFormat(&saving, " [%.1f, %.1f]", 100 * interval->lo, 100 * interval->hi);
    }
    std::printf("with %s tokens of inference: %s  %s  D/N %s%s  %s of the lifetime FLOPs\n",
                FormatTokens(row.inference_tokens).c_str(), NamedCount("N", row.params).c_str(), NamedCount("D", row.tokens).c_str(),
                FormatSignificant(row.tokens_per_parameter.value, 3).c_str(),
                PlainInterval(row.tokens_per_parameter, 3).c_str(), saving.c_str());
  }
  if (extras.repeated) {
    const RepeatedDataRow& row = *extras.repeated;
    std::printf("with %s unique tokens: %s  %s  epochs %s%s  loss %s%s\n", FormatTokens(row.unique_tokens).c_str(),
                NamedCount("N*", row.params).c_str(), NamedCount("D*", row.tokens).c_str(),
                FormatSignificant(row.epochs.value, 3).c_str(), PlainInterval(row.epochs, 3).c_str(),
                FormatLoss(row.loss.value).c_str(), PlainInterval(row.loss, 4).c_str());
  }
  if (extras.repeated_refusal) PrintRefusal("predict", *extras.repeated_refusal);
}

}  // namespace isoflop
