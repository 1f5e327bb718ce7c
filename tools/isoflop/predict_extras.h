// What `predict` tells of a budget beside its optimum: serving the model, and a
// short corpus. And estimates as JSON.
#ifndef ISOFLOP_TOOLS_ISOFLOP_PREDICT_EXTRAS_H_
#define ISOFLOP_TOOLS_ISOFLOP_PREDICT_EXTRAS_H_

#include <nlohmann/json.hpp>
#include <optional>

#include "analysis/analysis_result.h"

namespace isoflop {

// {"value", "se", "intervals", "method"}.
nlohmann::json EstimateJson(const Estimate& estimate);
// The same, or {"refusal": {"code", "message", "cure"}}.
nlohmann::json EstimateJson(const Quantity& quantity);

// Beside the optimum at a budget: what inference or a short corpus make of it.
struct BudgetExtras {
  std::optional<InferenceRow> inference;
  std::optional<RepeatedDataRow> repeated;
  std::optional<Refusal> repeated_refusal;
};

// Precondition: `row` is no refusal.
BudgetExtras ExtrasAt(const AnalysisResult& result, const OptimalRow& row, std::optional<double> inference_tokens,
                      std::optional<double> unique_tokens);

// {"inference": ..., "unique_data": ...}, each where it was asked for.
nlohmann::json ExtrasJson(const BudgetExtras& extras);
// A line each; a refusal on stderr.
void PrintExtras(const BudgetExtras& extras);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_PREDICT_EXTRAS_H_
