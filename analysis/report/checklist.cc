// The checklist of "(Mis)Fitting: A Survey of Scaling Laws" (Li et al. 2025), filled
// by the tool: hypothesis, training setup, data collection, fitting, validation; and
// what it takes to make this report again.
#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"

namespace isoflop {
namespace {

// An empty answer is an open box.
class Checklist {
 public:
  Checklist() {
    table_ = {.name = "checklist", .title = "Checklist"};
    table_.columns = {{"known", "", false}, {"part", "part", false}, {"what", "item", false}, {"value", "answer", false}};
  }
  void Part(const char* part) { part_ = part; }
  void Add(const std::string& label, const std::string& text) {
    const bool known = !text.empty();
    open_ += known ? 0 : 1;
    table_.rows.push_back({{known ? "☑" : "☐", known ? "1" : "0"}, TextCell(part_), TextCell(label), {known ? text : "not known", text}});
  }
  Table Take() {
    table_.caption = absl::StrCat("After Li et al. 2025. An open box: the tool does not know; ", open_, " of ", table_.rows.size(), " are open.");
    return std::move(table_);
  }

 private:
  Table table_;
  std::string part_;
  int open_ = 0;
};

// What the rows have in common.
struct RowFacts {
  int ended = 0, unknown_end = 0, derived = 0, with_curve = 0;
  double most_epochs = 0, least_params = 0, most_params = 0, least_tokens = 0, most_tokens = 0;
  std::set<double> sizes;
  std::set<std::string> trials, eval_sets;
};

RowFacts FactsOf(const AnalysisResult& result) {
  RowFacts facts;
  for (const KeptRow& row : result.rows) {
    const Observation& o = row.observation;
    facts.ended += o.schedule_ended.value_or(false) ? 1 : 0;
    facts.unknown_end += o.schedule_ended.has_value() ? 0 : 1;
    facts.derived += o.tokens_derived ? 1 : 0;
    facts.with_curve += o.curve.empty() ? 0 : 1;
    if (o.unique_tokens.value_or(0) > 0) facts.most_epochs = std::max(facts.most_epochs, row.tokens / *o.unique_tokens);
    facts.sizes.insert(row.params);
    facts.trials.insert(o.trial_id.empty() ? o.source : o.trial_id);
    if (!o.eval_sha256.empty()) facts.eval_sets.insert(o.eval_sha256);
  }
  const auto range = [&](double KeptRow::* of, double* lo, double* hi) {
    for (const KeptRow& row : result.rows) {
      *lo = *lo > 0 ? std::min(*lo, row.*of) : row.*of;
      *hi = std::max(*hi, row.*of);
    }
  };
  range(&KeptRow::params, &facts.least_params, &facts.most_params);
  range(&KeptRow::tokens, &facts.least_tokens, &facts.most_tokens);
  return facts;
}

void AddHypothesis(const AnalysisResult& result, Checklist* list) {
  list->Part("hypothesis");
  list->Add("form of the law", result.parametric.has_value() ? FormText(result.parametric->law.form) : result.options.spec.form);
  list->Add("variables", absl::StrCat("N (", CountWords(result), "), D tokens trained, C = ", FlopsWords(result.options.flops), ", L"));
  list->Add("other forms tried", !result.forms.has_value() ? "" : absl::StrCat(result.forms->forms.size(), ", ranked by hold-out; recommended: ", ToString(result.forms->recommended)));
  list->Add("N counts", result.count_known ? CountWords(result) : "");
  list->Add("C is", result.options.flops == FlopsConvention::k6nd ? "6ND" : "by architecture, attention over the full square");
  list->Add("loss in", result.options.spec.loss == LossUnit::kNats ? "nats a token" : "bits a byte");
}

void AddTraining(const AnalysisResult& result, const ReportContext& context, const RowFacts& facts, Checklist* list) {
  const size_t n = result.rows.size();
  list->Part("training");
  list->Add("models trained", n == 0 ? "" : absl::StrCat(facts.trials.size(), " runs of ", facts.sizes.size(), " sizes, N ", FormatCount(facts.least_params), " to ", FormatCount(facts.most_params)));
  list->Add("tokens", n == 0 ? "" : absl::StrCat("D ", FormatTokens(facts.least_tokens), " to ", FormatTokens(facts.most_tokens)));
  list->Add("D measured", n == 0 ? "" : facts.derived > 0 ? absl::StrCat("derived as C/(6N) in ", facts.derived, " of ", n, " rows") : absl::StrCat("in all ", n, " rows"));
  list->Add("most epochs", facts.most_epochs > 0 ? FormatSignificant(facts.most_epochs, 3) : "");
  list->Add("learning rate reached its end", n > 0 && facts.unknown_end == static_cast<int>(n) ? "" : absl::StrCat(facts.ended, " of ", n, " rows"));
  std::vector<std::string> recipe;
  for (const auto& [label, text] : context.recipe) recipe.push_back(absl::StrCat(label, " ", text));
  list->Add("learning rate, batch, schedule by size (T2)", absl::StrJoin(recipe, "; "));
  list->Add("seeds", absl::StrJoin(SeedsOf(result), ", "));
  list->Add("data, sha256", context.data.has_value() ? context.data->dataset_sha256 : "");
  list->Add("tokenizer, sha256", context.data.has_value() ? context.data->tokenizer_sha256 : "");
  list->Add("evaluation set, one for all", facts.eval_sets.empty() ? (context.data.has_value() ? context.data->eval_sha256 : "") : absl::StrJoin(facts.eval_sets, ", "));
}

void AddCollection(const AnalysisResult& result, const RowFacts& facts, Checklist* list) {
  const size_t n = result.rows.size();
  list->Part("data");
  list->Add("rows read, kept, left out", absl::StrCat(result.rows_read, ", ", n, ", ", result.exclusions.size()));
  std::vector<std::pair<std::string, int>> rules;
  for (const Exclusion& exclusion : result.exclusions) {
    const std::string rule = ToString(exclusion.rule);
    const auto at = std::find_if(rules.begin(), rules.end(), [&](const auto& entry) { return entry.first == rule; });
    if (at == rules.end()) {
      rules.emplace_back(rule, 1);
    } else {
      ++at->second;
    }
  }
  list->Add("why left out", rules.empty() ? "none was" : absl::StrJoin(rules, ", ", [](std::string* out, const auto& entry) { absl::StrAppend(out, entry.first, " ", entry.second); }));
  list->Add("outliers dropped by rule", absl::StrCat(result.options.spec.outliers));
  list->Add("points of a run", n == 0 ? "" : facts.trials.size() == n ? "the final one" : absl::StrCat(n, " points of ", facts.trials.size(), " runs"));
  list->Add("curves for approach 1", result.envelope.has_value() ? absl::StrCat(facts.with_curve, " of ", n, " rows, ", result.envelope->curve_points,
                                                                                " points; training loss smoothed over ±5 % of the step")
                                                                : "none: approach 1 not made");
}

void AddFitting(const AnalysisResult& result, Checklist* list) {
  const AnalysisSpec& spec = result.options.spec;
  list->Part("fit");
  list->Add("objective", result.parametric.has_value() ? result.parametric->certificate.objective : ToString(spec.objective));
  list->Add("weights", ToString(spec.weights));
  list->Add("optimiser", "damped Newton with the exact Hessian");
  list->Add("starts", !result.parametric.has_value() ? "" : absl::StrCat(result.parametric->certificate.starts_tried, " (minima of variable projection and quasi-random); ",
                                                                          result.parametric->certificate.starts_at_best, " reached the best f"));
  list->Add("certificate", result.parametric.has_value() ? ToString(result.parametric->certificate.outcome) : "");
  list->Add("seed noise of ln L", !(result.noise.sigma > 0)       ? ""
                                  : result.noise.from_replicates ? absl::StrFormat("%.3g from %d replicated cells", result.noise.sigma, result.noise.cells)
                                                                 : absl::StrFormat("%.3g, from the residuals", result.noise.sigma));
  list->Add("bootstrap", result.bootstrap.method.empty() ? ""
                                                         : absl::StrCat(result.bootstrap.method, ", ", result.bootstrap.draws, " draws, ", result.bootstrap.failed,
                                                                        " failed, seed ", result.bootstrap.seed));
  list->Add("coverage of the intervals", !result.coverage.has_value() ? "" : absl::StrCat(result.coverage->method, ", ", result.coverage->studies, " simulated studies (T8e)"));
}

void AddValidation(const AnalysisResult& result, Checklist* list) {
  list->Part("validation");
  const bool held = result.holdout.has_value() && !result.holdout->refusal.has_value();
  list->Add("extrapolation tested", !held ? "" : absl::StrFormat("%d held predictions, mean error %.2g %%, demonstrated to %.3gx", static_cast<int>(result.holdout->windows.size()),
                                                               100 * result.holdout->mean_relative_error, std::pow(10, result.holdout->demonstrated_decades)));
  list->Add("approaches compared", result.agreement.has_value() ? ToString(result.agreement->verdict) : "");
  list->Add("choices varied", result.sensitivity.empty() ? "" : absl::StrCat(result.sensitivity.size(), " (T9)"));
  list->Add("lack of fit tested", !result.noise.lack_of_fit.has_value() ? "" : absl::StrFormat("F %.3g, p %.2g", result.noise.lack_of_fit->F, result.noise.lack_of_fit->p));
}

}  // namespace

Table ChecklistTable(const AnalysisResult& result, const ReportContext& context) {
  Checklist list;
  const RowFacts facts = FactsOf(result);
  AddHypothesis(result, &list);
  AddTraining(result, context, facts, &list);
  AddCollection(result, facts, &list);
  AddFitting(result, &list);
  AddValidation(result, &list);
  list.Part("again");
  list.Add("isoflop that rendered this", context.program_version);
  for (const auto& [label, text] : context.provenance) list.Add(label, text);
  list.Add("observations, sha256", result.observations_sha256);
  list.Add("this report again", absl::StrJoin(context.commands, "; "));
  return list.Take();
}

}  // namespace isoflop
