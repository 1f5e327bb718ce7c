#include "study/plan_table.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "study/format.h"
#include "study/shape_text.h"

namespace isoflop {
namespace {

using Row = std::vector<std::string>;

// "5.2 - 1.2K": the D/N column does not jump from plan to plan.
constexpr size_t kRatioWidth = 10;

// Columns two blanks apart and at least `widths` wide, the last one to the right
// if `right_last`; each line begins with a blank and has none at its end.
std::string Align(const std::vector<Row>& rows, bool right_last, std::vector<size_t> widths = {}) {
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      line += i == 0 ? " " : "  ";
      line += right_last && i + 1 == widths.size() ? padding + row[i] : row[i] + padding;
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

std::string Span(const std::set<double>& values, std::string (*format)(double)) {
  if (values.empty()) return "";
  const std::string least = format(*values.begin());
  const std::string most = format(*values.rbegin());
  return least == most ? least : absl::StrCat(least, " - ", most);
}

double ParamsOf(const Plan& plan, const PlannedTrial& trial) {
  return static_cast<double>(ParamsUnder(plan.count, trial.params, trial.spec.model));
}

// What a row of the table sums up.
struct Group {
  std::set<double> budgets;
  std::set<double> params;
  std::set<double> tokens;
  std::set<double> ratios;
  int singles = 0;
  int branches = 0;
  double slot_seconds = 0;

  void Add(const Plan& plan, const PlannedTrial& trial) {
    const double size = ParamsOf(plan, trial);
    const auto length = static_cast<double>(trial.spec.tokens_planned());
    budgets.insert(trial.budget_flops);
    params.insert(size);
    tokens.insert(length);
    ratios.insert(length / size);
    ++(trial.role == TrialRole::kBranch ? branches : singles);
    slot_seconds += trial.seconds_estimate;
  }

  std::string Trials() const {
    std::vector<std::string> parts;
    if (singles > 0) parts.push_back(absl::StrCat(singles, " single"));
    if (branches > 0) parts.push_back(absl::StrCat(branches, branches == 1 ? " branch" : " branches"));
    return absl::StrJoin(parts, ", ");
  }
};

std::string Conventions(const Plan& plan) {
  const char* count = "";
  switch (plan.count) {
    case CountConvention::kNonEmbeddingPlusHead: count = "non-embedding + head"; break;
    case CountConvention::kTotal: count = "total"; break;
    case CountConvention::kNonEmbedding: count = "non-embedding"; break;
  }
  return absl::StrCat("N = ", count, ", C = ", plan.flops == FlopsConvention::k6nd ? "6ND" : "exact");
}

// "baselines  5  1-5-gram ... D": they have no N and cost no FLOPs.
Row BaselineRow(const std::vector<const PlannedTrial*>& baselines, bool with_time) {
  std::set<double> orders;
  std::set<double> tokens;
  double seconds = 0;
  for (const PlannedTrial* trial : baselines) {
    orders.insert(static_cast<double>(trial->spec.model.ngram_order));
    tokens.insert(static_cast<double>(trial->spec.tokens_planned()));
    seconds += trial->seconds_estimate;
  }
  Row row{"baselines", absl::StrCat(orders.size()),
          absl::StrCat(Span(orders, [](double order) { return absl::StrCat(order); }), "-gram"), Span(tokens, FormatTokens), "",
          Plural(static_cast<int64_t>(baselines.size()), "baseline")};
  if (with_time) row.push_back(FormatSeconds(seconds));
  return row;
}

// Rows by budget where cells share budgets, else by size.
std::vector<Row> Rows(const Plan& plan, bool with_time) {
  const double slots = std::max(1, plan.slots_available);
  const auto time = [&](double seconds) { return FormatSeconds(seconds / slots); };
  std::map<double, Group> by_budget;
  std::map<double, Group> by_size;
  Group trunks;
  int trunk_count = 0;
  std::vector<const PlannedTrial*> baselines;
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role == TrialRole::kBaseline) {
      baselines.push_back(&trial);
    } else if (trial.role == TrialRole::kTrunk) {
      ++trunk_count;
      trunks.params.insert(ParamsOf(plan, trial));
      trunks.slot_seconds += trial.seconds_estimate;
    } else {
      by_budget[trial.budget_flops].Add(plan, trial);
      by_size[ParamsOf(plan, trial)].Add(plan, trial);
    }
  }
  const bool budgets_lead = by_budget.size() <= by_size.size();
  std::vector<Row> rows;
  rows.push_back(budgets_lead ? Row{"C", "sizes", "N", "D", "D/N", "trials"} : Row{"N", "cells", "C", "D", "D/N", "trials"});
  for (const auto& [key, group] : budgets_lead ? by_budget : by_size) {
    Row row = budgets_lead ? Row{FormatFlops(key), absl::StrCat(group.params.size()), Span(group.params, FormatCount)}
                           : Row{FormatCount(key), absl::StrCat(group.tokens.size()), Span(group.budgets, FormatFlops)};
    row.push_back(Span(group.tokens, FormatTokens));
    row.push_back(Span(group.ratios, FormatRatio));
    row.push_back(group.Trials());
    if (with_time) row.push_back(time(group.slot_seconds));
    rows.push_back(std::move(row));
  }
  if (trunk_count > 0) {
    Row row{"trunks", absl::StrCat(trunks.params.size()), budgets_lead ? Span(trunks.params, FormatCount) : "", "", "",
            Plural(trunk_count, "trunk")};
    if (with_time) row.push_back(time(trunks.slot_seconds));
    rows.push_back(std::move(row));
  }
  if (!baselines.empty()) rows.push_back(BaselineRow(baselines, with_time));
  if (with_time) rows.front().push_back("~time");
  return rows;
}

std::string LeftOut(const Plan& plan) {
  if (plan.left_out.empty()) return "";
  constexpr size_t kShown = 5;
  std::vector<std::string> cells;
  for (size_t i = 0; i < std::min(kShown, plan.left_out.size()); ++i) {
    const LeftOutCell& cell = plan.left_out[i];
    cells.push_back(absl::StrCat(FormatFlops(cell.budget_flops), " x ", FormatCount(cell.params), " (needs ",
                                 FormatTokens(cell.tokens_needed), " tokens)"));
  }
  if (plan.left_out.size() > kShown) cells.push_back(absl::StrCat(plan.left_out.size() - kShown, " more"));
  return absl::StrCat("left out, ", plan.left_out.front().reason, ": ", absl::StrJoin(cells, ", "), "\n");
}

std::string Totals(const Plan& plan) {
  std::string text = absl::StrCat(Plural(plan.observations, "observation"), " (", Plural(plan.cells, "cell"), ", ",
                                  plan.seeds.size() == 1 ? "seed " : "seeds ", absl::StrJoin(plan.seeds, " "), ")");
  if (plan.trunks > 0) absl::StrAppend(&text, ", ", Plural(plan.trunks, "trunk"));
  if (plan.baselines > 0) absl::StrAppend(&text, ", ", Plural(plan.baselines, "baseline"));
  absl::StrAppend(&text, ", ", plan.known, " known already  ", FormatFlops(plan.flops_to_spend), " FLOPs");
  if (plan.trunks > 0) absl::StrAppend(&text, " (", FormatFlops(plan.flops_without_trunks), " without trunks)");
  const std::string slots = absl::StrCat(plan.slots_available, " ", plan.slot_kind == "any" ? "" : plan.slot_kind + " ",
                                         plan.slots_available == 1 ? "slot" : "slots");
  if (plan.seconds_makespan > 0) absl::StrAppend(&text, "  ", FormatSeconds(plan.seconds_makespan), " on ", slots);
  return text + "\n";
}

std::string ShapeText(const ModelShape& shape) {
  if (shape.family == Family::kCustom) return shape.custom_id;
  if (shape.family == Family::kNgram) return NgramText(shape);
  if (shape.family == Family::kLstm) return absl::StrCat(shape.d_model, "x", shape.n_layer);
  return absl::StrCat(shape.d_model, "x", shape.n_layer, "x", shape.n_head);
}

// A field of RFC 4180.
std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

}  // namespace

std::string PlanTable(const Plan& plan) {
  const bool with_time = plan.seconds_makespan > 0;
  return absl::StrCat(plan.study_name, "  ", FormatTokens(static_cast<double>(plan.unique_tokens)),
                      " training tokens  ", Conventions(plan), "\n", Align(Rows(plan, with_time), with_time, {0, 0, 0, 0, kRatioWidth}),
                      LeftOut(plan), Totals(plan));
}

std::string PlanTrialsTable(const Plan& plan) {
  std::vector<Row> rows = {
      {"#", "role", "shape", "N", "D", "C", "seed", "steps", "lr", "from", "slots", "FLOPs", "~time"}};
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const PlannedTrial& trial = plan.trials[i];
    const TrialSpec& spec = trial.spec;
    rows.push_back({absl::StrCat(i + 1), ToString(trial.role), ShapeText(spec.model), FormatCount(ParamsOf(plan, trial)),
                    FormatTokens(static_cast<double>(spec.tokens_planned())),
                    trial.budget_flops > 0 ? FormatFlops(trial.budget_flops) : "", absl::StrCat(spec.seed),
                    FormatCount(static_cast<double>(spec.steps)), FormatSignificant(spec.optimizer.lr_peak, 3),
                    trial.parent ? absl::StrCat(*trial.parent + 1, " at ", *spec.branch_step) : "",
                    absl::StrCat(trial.slots), trial.known ? "known" : FormatFlops(trial.flops_to_spend),
                    trial.seconds_estimate > 0 ? FormatSeconds(trial.seconds_estimate / trial.slots) : ""});
  }
  return Align(rows, true);
}

std::string PlanCsv(const Plan& plan) {
  std::string text =
      "number,fingerprint,role,parent,branch_step,seed,family,id,n_layer,d_model,n_head,d_ff,vocab_size,sequence_length,"
      "params_embedding,params_position,params_head,params_blocks,params,tokens_planned,steps,batch_sequences,lr_peak,"
      "warmup_steps,decay_steps,budget_flops,flops_6nd,flops_exact,flops_exact_causal,flops_to_spend,slots,"
      "memory_bytes_per_slot,seconds_estimate,known\r\n";
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const PlannedTrial& trial = plan.trials[i];
    const TrialSpec& spec = trial.spec;
    const ModelShape& model = spec.model;
    const Row row = {absl::StrCat(i + 1), trial.fingerprint, ToString(trial.role),
                     trial.parent ? absl::StrCat(*trial.parent + 1) : "",
                     spec.branch_step ? absl::StrCat(*spec.branch_step) : "", absl::StrCat(spec.seed),
                     ToString(model.family), CsvField(model.custom_id), absl::StrCat(model.n_layer),
                     absl::StrCat(model.d_model), absl::StrCat(model.n_head), absl::StrCat(model.d_ff),
                     absl::StrCat(model.vocab_size), absl::StrCat(spec.sequence_length),
                     absl::StrCat(trial.params.embedding), absl::StrCat(trial.params.position),
                     absl::StrCat(trial.params.head), absl::StrCat(trial.params.blocks),
                     ExactNumber(ParamsOf(plan, trial)), absl::StrCat(spec.tokens_planned()), absl::StrCat(spec.steps),
                     absl::StrCat(spec.batch_sequences), ExactNumber(spec.optimizer.lr_peak),
                     absl::StrCat(spec.schedule.warmup_steps), absl::StrCat(spec.schedule.decay_steps),
                     ExactNumber(trial.budget_flops), ExactNumber(trial.flops_6nd), ExactNumber(trial.flops_exact),
                     ExactNumber(trial.flops_exact_causal), ExactNumber(trial.flops_to_spend),
                     absl::StrCat(trial.slots), ExactNumber(trial.memory_bytes_per_slot),
                     ExactNumber(trial.seconds_estimate), trial.known ? "true" : "false"};
    absl::StrAppend(&text, absl::StrJoin(row, ","), "\r\n");
  }
  return text;
}

}  // namespace isoflop
