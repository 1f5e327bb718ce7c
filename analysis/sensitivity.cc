#include "analysis/sensitivity.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/law_fit.h"
#include "analysis/leave_out.h"
#include "analysis/prediction.h"
#include "analysis/selection.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr size_t kMostCheckpoints = 4000;  // of all curves together; more are thinned evenly

// What the sheet's columns compare.
struct AtTarget {
  double a = 0;
  std::optional<double> ln_params, loss;  // at C_T; nullopt: the law has no optimum
};

AtTarget AtTargetOf(const LossLaw& law, const ComputeModel& compute, double target_flops) {
  AtTarget at{.a = law.a()};
  if (!HasOptimum(law)) return at;
  const OptimalPoint point = compute.OptimumAt(law, target_flops);
  at.ln_params = std::log(point.params);
  at.loss = point.loss;
  return at;
}

Refusal NoOptimum() {
  return {Code::kNoInteriorOptimum, "the law fitted so has no optimum inside a budget", "rows that vary N and D more"};
}

class Sheet {
 public:
  Sheet(absl::Span<const Observation> observations, const AnalysisResult& base)
      : base_(base), compute_(ComputeModelOf(base)),
        at_base_(AtTargetOf(base.parametric->law, compute_, base.target_flops)),
        light_(observations.begin(), observations.end()) {
    for (Observation& row : light_) row.curve.clear();
    std::vector<double> a, ln_params, loss;
    for (const LossLaw& draw : base.bootstrap.laws) {
      const AtTarget at = AtTargetOf(draw, compute_, base.target_flops);
      if (!at.ln_params) continue;
      a.push_back(at.a);
      ln_params.push_back(*at.ln_params);
      loss.push_back(*at.loss);
    }
    if (a.size() < 20) return;
    se_a_ = StandardDeviation(a);
    se_ln_params_ = StandardDeviation(ln_params);
    se_loss_ = StandardDeviation(loss);
  }

  void Objectives() {
    for (const FitObjective objective :
         {FitObjective::kHuber, FitObjective::kLad, FitObjective::kMse, FitObjective::kMseRaw}) {
      AnalysisOptions options = base_.options;
      options.spec.objective = objective;
      const std::string name = ObjectiveName(LawFitOptionsOf(options));
      if (objective == base_.options.spec.objective) {
        AddBase("objective", name);
      } else {
        AddFit("objective", name, options);
      }
    }
  }

  void Deltas() {
    for (const auto& [delta, name] :
         {std::pair{1e-4, "delta 1e-4"}, std::pair{3e-4, "delta 3e-4"}, std::pair{1e-3, "delta 1e-3"},
          std::pair{3e-3, "delta 3e-3"}, std::pair{1e-2, "delta 1e-2"}, std::pair{3e-2, "delta 3e-2"},
          std::pair{1e-1, "delta 1e-1"}}) {
      AnalysisOptions options = base_.options;
      options.spec.objective = FitObjective::kHuber;
      options.spec.delta = delta;
      const bool is_base = base_.options.spec.objective == FitObjective::kHuber &&
                           std::abs(base_.options.spec.delta / delta - 1) < 1e-9;
      if (is_base) {
        AddBase("delta", name);
      } else {
        AddFit("delta", name, options);
      }
    }
  }

  void Outliers() {
    for (int count = 0; count <= 5; ++count) {
      const std::string name = absl::StrCat(Plural(count, "outlier"), " dropped");
      if (count == base_.options.spec.outliers) {
        AddBase("outliers", name);
        continue;
      }
      AnalysisOptions options = base_.options;
      options.spec.outliers = count;
      AddSelection("outliers", name, options, "");
    }
  }

  void LeaveOut() {
    if (at_base_.ln_params) influence_ = RowInfluence(base_, compute_);
    for (const LeaveOutKind kind :
         {LeaveOutKind::kRun, LeaveOutKind::kSize, LeaveOutKind::kBudget, LeaveOutKind::kSeed}) {
      Later([this, kind] { return WorstLeftOut(kind); });
    }
  }

  void Conventions() {
    for (const CountConvention count :
         {CountConvention::kNonEmbeddingPlusHead, CountConvention::kNonEmbedding, CountConvention::kTotal}) {
      for (const FlopsConvention flops : {FlopsConvention::k6nd, FlopsConvention::kExact}) {
        const std::string name = absl::StrCat("N ", ToString(count), ", C ", ToString(flops));
        AnalysisOptions options = base_.options;
        options.count = count;
        options.flops = flops;
        if (count == base_.options.count && flops == base_.options.flops) {
          AddBase("convention", name);
        } else if (!base_.count_known && count != base_.options.count) {
          Later([name] {
            return Refused("convention", name,
                           {Code::kConventionUnknown, "the rows have one unnamed count of N", "columns for each count"});
          });
        } else {
          AddSelection("convention", name, options, absl::StrCat("no row has N ", ToString(count), " and C ", ToString(flops)));
        }
      }
    }
  }

  void LossUnits() {
    for (const LossUnit unit : {LossUnit::kNats, LossUnit::kBitsPerByte}) {
      const std::string name = unit == LossUnit::kNats ? "nats a token" : "bits a byte";
      if (unit == base_.options.spec.loss) {
        AddBase("loss", name);
        continue;
      }
      AnalysisOptions options = base_.options;
      options.spec.loss = unit;
      AddSelection("loss", name, options, absl::StrCat("no row has its loss in ", name));
    }
  }

  void Checkpoints() {
    AddBase("points", "final points");
    Later([this] {
      const std::string name = "all checkpoints, their schedules not ended";
      std::vector<KeptRow> rows = CheckpointRows();
      if (rows.size() > base_.rows.size()) return Fitted("points", name, std::move(rows), base_.options);
      return Refused("points", name,
                     {Code::kTooFewPoints, "no loss curves were read", "a study of the store, whose trials report curves"});
    });
  }

  void WithoutUndertrained() {
    const std::string name = "without D/N < 1";
    std::vector<size_t> rest;
    for (size_t i = 0; i < base_.rows.size(); ++i) {
      if (base_.rows[i].tokens >= base_.rows[i].params) rest.push_back(i);
    }
    if (rest.size() == base_.rows.size()) {
      AddBase("rows", name);
    } else {
      Later([this, name, rest] { return FittedOn("rows", name, base_.rows, rest, base_.options, compute_); });
    }
  }

  void Forms() {
    for (const LawForm form : {LawForm::kChinchilla, LawForm::kTied, LawForm::kGadre, LawForm::kKaplan,
                               LawForm::kMultiplicative, LawForm::kDataConstrained}) {
      AnalysisOptions options = base_.options;
      options.spec.form = ToString(form);
      if (form == base_.parametric->law.form) {
        AddBase("form", ToString(form));
      } else if (form == LawForm::kDataConstrained) {
        Later([this, options] { return DataConstrained(options); });
      } else {
        AddFit("form", ToString(form), options);
      }
    }
  }

  // Fits all rows, in `threads` threads; each row has its place, so the order of the work
  // changes nothing.
  std::vector<SensitivityRow> Sorted(int threads) && {
    std::vector<SensitivityRow> rows(jobs_.size());
    std::atomic<size_t> next = 0;  // some rows cost ten times what others do
    ParallelFor(static_cast<int>(jobs_.size()), threads, [&](int first, int last) {
      for (int taken = first; taken < last; ++taken) {
        const size_t i = next++;
        rows[i] = jobs_[i]();
      }
    });
    const auto size = [](const SensitivityRow& row) {
      const Estimate* delta = EstimateIn(row.delta_ln_params);
      return delta != nullptr ? std::abs(delta->value) : -1;
    };
    std::stable_sort(rows.begin(), rows.end(),
                     [&](const SensitivityRow& x, const SensitivityRow& y) { return size(x) > size(y); });
    return rows;
  }

 private:
  void Later(std::function<SensitivityRow()> job) { jobs_.push_back(std::move(job)); }
  void AddBase(const std::string& group, const std::string& name) {
    Later([this, group, name] {
      return Numbers(group, name, base_.rows.size(), at_base_, base_.parametric->certificate, std::nullopt);
    });
  }
  void AddFit(const std::string& group, const std::string& name, const AnalysisOptions& options) {
    Later([this, group, name, options] { return Fitted(group, name, base_.rows, options); });
  }
  void AddSelection(const std::string& group, const std::string& name, const AnalysisOptions& options,
                    const std::string& none) {
    Later([this, group, name, options, none] { return Selected(group, name, options, none); });
  }

  static SensitivityRow Refused(const std::string& group, const std::string& name, const Refusal& refusal,
                                size_t rows_used = 0) {
    return {.group = group, .name = name, .rows_used = static_cast<int>(rows_used),
            .delta_a = refusal, .delta_ln_params = refusal, .delta_loss = refusal};
  }

  // `loss_scale`: from the row's unit of loss to the analysis'.
  SensitivityRow Numbers(const std::string& group, const std::string& name, size_t rows_used, const AtTarget& at,
                         const Certificate& certificate, std::optional<double> loss_scale) const {
    SensitivityRow row{.group = group, .name = name, .rows_used = static_cast<int>(rows_used)};
    row.certificate = ToString(certificate.outcome);
    const auto in_se = [](double delta, std::optional<double> se) -> std::optional<double> {
      if (!se || !(*se > 0)) return std::nullopt;
      return delta / *se;
    };
    const double delta_a = at.a - at_base_.a;
    row.delta_a = Estimate{.value = delta_a};
    row.a_in_se = in_se(delta_a, se_a_);
    if (at.ln_params && at_base_.ln_params) {
      const double delta_ln_params = *at.ln_params - *at_base_.ln_params;
      const double delta_loss = *at.loss * loss_scale.value_or(1) - *at_base_.loss;
      row.delta_ln_params = Estimate{.value = delta_ln_params};
      row.delta_loss = Estimate{.value = delta_loss};
      row.ln_params_in_se = in_se(delta_ln_params, se_ln_params_);
      row.loss_in_se = in_se(delta_loss, se_loss_);
    } else {
      row.delta_ln_params = row.delta_loss = NoOptimum();
    }
    return row;
  }

  // Fits `subset` of `rows` under `options`, with a certificate.
  SensitivityRow FittedOn(const std::string& group, const std::string& name, absl::Span<const KeptRow> rows,
                          absl::Span<const size_t> subset, const AnalysisOptions& options, const ComputeModel& compute,
                          std::optional<double> loss_scale = std::nullopt) const {
    const LawFitOptions fit_options = LawFitOptionsOf(options);
    if (const std::optional<Refusal> refusal = RefuseSubset(rows, subset, fit_options)) {
      return Refused(group, name, *refusal, subset.size());
    }
    const LawFit fit = FitLossLaw(FitRowsOfSubset(rows, subset), fit_options);
    if (fit.law.form != fit_options.form) {
      return Refused(group, name,
                     {Code::kUnderdetermined, absl::StrCat("form '", options.spec.form, "' was not fitted"),
                      "another form"}, subset.size());
    }
    return Numbers(group, name, subset.size(), AtTargetOf(fit.law, compute, base_.target_flops), fit.certificate,
                   loss_scale);
  }

  // Fits all of `rows`, whose C is priced by their own shapes.
  SensitivityRow Fitted(const std::string& group, const std::string& name, std::vector<KeptRow> rows,
                        const AnalysisOptions& options, std::optional<double> loss_scale = std::nullopt) const {
    AnalysisResult variant;
    variant.options = options;
    variant.rows = std::move(rows);
    return FittedOn(group, name, variant.rows, AllRows(variant.rows.size()), options, ComputeModelOf(variant), loss_scale);
  }

  // Selects anew under `options`; `none` says why no row may be left.
  SensitivityRow Selected(const std::string& group, const std::string& name, const AnalysisOptions& options,
                          const std::string& none) const {
    Selection selection = SelectRows(light_, options);
    if (selection.refusal) return Refused(group, name, *selection.refusal, selection.rows.size());
    if (selection.rows.empty()) {
      return Refused(group, name, {Code::kUnderdetermined, none.empty() ? "no row is left to fit" : none,
                                   "rows that have it"});
    }
    KeepWeights(&selection.rows);
    std::optional<double> scale;
    if (options.spec.loss != base_.options.spec.loss) scale = BaseUnitPerUnit(selection.rows);
    return Fitted(group, name, std::move(selection.rows), options, scale);
  }

  SensitivityRow WorstLeftOut(LeaveOutKind kind) const {
    const std::string noun = ToString(kind), name = absl::StrCat("worst ", noun);
    const std::vector<LeaveOutCandidate> candidates =
        LeaveOutCandidates(base_.rows, kind, base_.options.spec.budget_tolerance);
    if (!at_base_.ln_params) return Refused("leave out", name, NoOptimum());
    if (candidates.size() < 2) {
      return Refused("leave out", name,
                     {Code::kUnderdetermined, absl::StrCat("all rows are of one ", noun), absl::StrCat("a second ", noun)});
    }
    const std::optional<size_t> worst = WorstToLeaveOut(base_, compute_, candidates, influence_);
    if (!worst) {
      return Refused("leave out", name,
                     {Code::kUnderdetermined, absl::StrCat("without any ", noun, " no law can be fitted"),
                      absl::StrCat("more than ", Plural(static_cast<int64_t>(candidates.size()), noun))});
    }
    const LeaveOutCandidate& candidate = candidates[*worst];
    return FittedOn("leave out", absl::StrCat(name, ": ", candidate.name), base_.rows,
                    Without(base_.rows.size(), candidate.rows), base_.options, compute_);
  }

  // Repeats are what that form is about: a study without them says nothing of it.
  SensitivityRow DataConstrained(const AnalysisOptions& options) const {
    const std::string name = ToString(LawForm::kDataConstrained);
    Selection selection = SelectRows(light_, options);
    const bool repeats = std::any_of(selection.rows.begin(), selection.rows.end(), [](const KeptRow& row) {
      return row.observation.unique_tokens && row.tokens > *row.observation.unique_tokens;
    });
    if (!repeats) {
      return Refused("form", name, {Code::kUnderdetermined, "no row saw data twice", "runs of several epochs"});
    }
    return Selected("form", name, options, "");
  }

  // Weights that do not follow from the selection alone are those of the analysis.
  void KeepWeights(std::vector<KeptRow>* rows) const {
    if (base_.options.spec.weights != FitWeights::kInverseVariance) return;
    std::map<std::string, double> weights;
    std::vector<double> all;
    for (const KeptRow& row : base_.rows) {
      weights[row.observation.source] = row.weight;
      all.push_back(row.weight);
    }
    const double middle = Median(all);
    for (KeptRow& row : *rows) {
      const auto at = weights.find(row.observation.source);
      row.weight = at != weights.end() ? at->second : middle;
    }
  }

  // The analysis' unit of loss per unit of the other one: nats a token per bit a
  // byte, or the reverse; the middle one, for evaluation sets differ little.
  double BaseUnitPerUnit(absl::Span<const KeptRow> rows) const {
    std::vector<double> ratios;
    for (const KeptRow& row : rows) {
      const std::optional<double> bits = row.observation.bits_per_byte;
      if (!bits || !(*bits > 0) || !(row.observation.final_loss_nats > 0)) continue;
      const double nats_per_bit = row.observation.final_loss_nats / *bits;
      ratios.push_back(base_.options.spec.loss == LossUnit::kNats ? nats_per_bit : 1 / nats_per_bit);
    }
    return ratios.empty() ? 1 : Median(std::move(ratios));
  }

  // The kept rows, and a row for each earlier point of their curves: evaluation
  // losses where there are any, for the final loss is one, else train losses.
  std::vector<KeptRow> CheckpointRows() const {
    std::vector<KeptRow> rows;
    size_t points = 0;
    for (const KeptRow& row : base_.rows) points += row.observation.curve.size();
    const size_t stride = std::max<size_t>(1, (points + kMostCheckpoints - 1) / kMostCheckpoints);
    for (const KeptRow& row : base_.rows) {
      KeptRow light = row;
      light.observation.curve.clear();
      const std::vector<LossPoint>& curve = row.observation.curve;
      const bool has_eval = std::any_of(curve.begin(), curve.end(), [](const LossPoint& point) {
        return point.kind == LossKind::kEval;
      });
      const double unit = row.loss / row.observation.final_loss_nats;  // 1, or bits a byte
      size_t seen = 0;
      for (const LossPoint& point : curve) {
        if ((point.kind == LossKind::kEval) != has_eval) continue;
        const double tokens = static_cast<double>(point.tokens);
        const bool usable = point.loss_nats && std::isfinite(*point.loss_nats) && *point.loss_nats > 0 && tokens > 0 &&
                            tokens < row.tokens * (1 - 1e-6);
        if (!usable || seen++ % stride != 0) continue;
        KeptRow checkpoint = light;
        checkpoint.tokens = tokens;
        checkpoint.flops = row.flops * tokens / row.tokens;
        checkpoint.loss = *point.loss_nats * unit;
        rows.push_back(std::move(checkpoint));
      }
      rows.push_back(std::move(light));
    }
    return rows;
  }

  const AnalysisResult& base_;
  const ComputeModel compute_;
  const AtTarget at_base_;
  std::optional<double> se_a_, se_ln_params_, se_loss_;
  std::vector<Observation> light_;  // the observations without their curves, which no refit needs
  std::vector<double> influence_;   // of the rows, on ln N*(C_T)
  std::vector<std::function<SensitivityRow()>> jobs_;  // a row each
};

}  // namespace

std::vector<SensitivityRow> SensitivitySheet(absl::Span<const Observation> observations,
                                             const AnalysisResult& base, int threads) {
  if (!base.parametric) return {};
  Sheet sheet(observations, base);
  sheet.Objectives();
  sheet.Deltas();
  sheet.Outliers();
  sheet.LeaveOut();
  sheet.Conventions();
  sheet.LossUnits();
  sheet.Checkpoints();
  sheet.WithoutUndertrained();
  sheet.Forms();
  return std::move(sheet).Sorted(threads);
}

bool IsSensitive(const SensitivityRow& row) { return row.ln_params_in_se && std::abs(*row.ln_params_in_se) > 2; }

}  // namespace isoflop
