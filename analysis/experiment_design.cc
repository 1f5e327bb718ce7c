#include "analysis/experiment_design.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/design_batch.h"
#include "analysis/design_candidates.h"
#include "analysis/fit_variance.h"
#include "analysis/prediction.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kWorthPerShare = 0.02 / 0.10;  // of the variance, of the FLOPs spent
constexpr int kSeedsWanted = 3;
constexpr int kSeedCells = 2;
constexpr int kConfirmingTrials = 3;
constexpr double kSurprise = 3;

// V and g are those of E + A N^-alpha + B D^-beta.
bool IsSumOfPowers(const LossLaw& law) {
  return law.form == LawForm::kChinchilla || law.form == LawForm::kTied || law.form == LawForm::kGadre;
}

std::optional<Refusal> RefuseDesign(const AnalysisResult& result) {
  if (!result.parametric) {
    return result.parametric_refusal.value_or(Refusal{Code::kUnderdetermined, "no law was fitted", "isoflop fit"});
  }
  if (!IsSumOfPowers(result.parametric->law)) {
    return Refusal{Code::kNoInteriorOptimum,
                   absl::StrCat("the next trials are told from the chinchilla form, not from ",
                                ToString(result.parametric->law.form)),
                   "--form chinchilla"};
  }
  if (!HasOptimum(result.parametric->law)) {
    return Refusal{Code::kNoInteriorOptimum, "the fitted law has no optimum inside a budget",
                   "isoflop extend STUDY --budgets C, at sizes that vary N and D more"};
  }
  return std::nullopt;
}

// Two cheap cells, of different sizes, get three seeds each.
void AddSeeds(const AnalysisResult& result, DesignBatch* batch, double flops, int most_trials) {
  std::vector<const KeptRow*> cheap;
  for (const KeptRow& row : result.rows) cheap.push_back(&row);
  std::stable_sort(cheap.begin(), cheap.end(), [](const KeptRow* x, const KeptRow* y) { return x->flops < y->flops; });
  std::vector<double> sizes;
  for (const KeptRow* row : cheap) {
    if (sizes.size() >= kSeedCells) return;
    if (std::find(sizes.begin(), sizes.end(), row->params) != sizes.end()) continue;
    const int more = kSeedsWanted - 1;  // no cell has two: sigma would be known
    if (batch->flops() + more * row->flops > flops || batch->trials() + more > most_trials) return;
    batch->Add({row->params, row->tokens, row->flops, ""}, more, "the noise of a seed is not known");
    sizes.push_back(row->params);
  }
}

// The interval is open: no linear picture holds. A larger budget round its optimum.
void AddRecentredBudget(const AnalysisResult& result, const DesignOptions& options, double flops, DesignBatch* batch) {
  const int sizes = std::max(1, std::min(options.sizes_per_budget, options.most_trials - batch->trials()));
  const double budget = std::min(2 * result.max_flops, (flops - batch->flops()) / sizes);
  if (!(budget > 0)) return;
  const ComputeModel compute = ComputeModelOf(result);
  std::set<double> taken;
  for (double size : RecentredSizes(result, budget, sizes)) {
    double flops_per_token = compute.FlopsAt(size, 1);
    if (!options.shapes.empty()) {
      const DesignShape& nearest = *std::min_element(
          options.shapes.begin(), options.shapes.end(), [&](const DesignShape& x, const DesignShape& y) {
            return std::abs(std::log(x.params / size)) < std::abs(std::log(y.params / size));
          });
      size = nearest.params;
      flops_per_token = nearest.flops_per_token;
    }
    if (!taken.insert(size).second) continue;
    batch->Add({size, budget / flops_per_token, budget, ""}, 1, "round the present N* of a budget");
  }
}

}  // namespace

std::optional<double> OptimumFactor(const AnalysisResult& result, double budget_flops) {
  if (RefuseDesign(result)) return std::nullopt;
  AnalysisResult narrow;  // what PredictOptimum reads, at 95 % whatever levels were asked for
  narrow.options = result.options;
  narrow.options.spec.levels = {95};
  narrow.options.allow_extrapolation = true;
  for (const KeptRow& row : result.rows) {  // for c(N) of exact FLOPs; without the curves
    narrow.rows.push_back({.params = row.params, .tokens = row.tokens, .flops = row.flops, .loss = row.loss});
  }
  narrow.max_flops = result.max_flops;
  narrow.parametric = result.parametric;
  narrow.bootstrap = result.bootstrap;
  const OptimalRow row = PredictOptimum(narrow, budget_flops);
  const Estimate* params = EstimateIn(row.params);
  const Interval* interval = params == nullptr ? nullptr : params->At(95);
  if (interval == nullptr) return std::nullopt;
  const double factor = interval->hi / interval->lo;
  return std::isnan(factor) ? std::numeric_limits<double>::infinity() : factor;
}

ExperimentDesign DesignNextTrials(const AnalysisResult& result, const DesignOptions& options) {
  ExperimentDesign design;
  design.target_flops = result.target_flops;
  design.goal_factor = result.options.spec.goal_factor;
  design.refusal = RefuseDesign(result);
  if (design.refusal) return design;
  const std::optional<double> factor = OptimumFactor(result, result.target_flops);
  if (!factor) {
    design.refusal =
        Refusal{Code::kUnderdetermined,
                absl::StrCat("only ", result.bootstrap.laws.size(), " bootstrap laws: N*(C_T) has no interval"),
                "analysis.bootstrap.draws: 2000"};
    return design;
  }
  design.factor_now = *factor;

  const std::string now = absl::StrFormat("the 95%% interval of N*(C_T) is a factor %s",
                                          std::isfinite(*factor) ? FormatSignificant(*factor, 3) : "that is open");
  const std::string goal = FormatSignificant(design.goal_factor, 3);
  const bool reached = *factor < design.goal_factor;
  if (reached && !options.earlier_factors.empty() && options.earlier_factors.back() < design.goal_factor) {
    design.stop = true;
    design.reason = absl::StrCat(now, ", under the goal of ", goal, " on two refits in a row");
    return design;
  }

  const int most_trials = reached ? std::min(kConfirmingTrials, options.most_trials) : options.most_trials;
  DesignBatch batch(result, options.laws, &design);
  const double flops = options.flops > 0 ? options.flops : 0.5 * batch.flops_spent();
  if (!batch.HasLaws()) {
    design.refusal =
        Refusal{Code::kSingular, "the rows leave a direction of the law open", "more sizes and more tokens a size"};
    return design;
  }
  if (!result.noise.from_replicates) AddSeeds(result, &batch, flops, most_trials);
  const bool open = !std::isfinite(*factor);
  if (open) AddRecentredBudget(result, options, flops, &batch);

  batch.Consider(DesignCandidates(result, options, flops));
  bool worth = true;
  while (!open && batch.trials() < most_trials) {
    if (!reached && batch.ExpectedFactor() < design.goal_factor) break;
    const std::optional<size_t> best = batch.Best(flops - batch.flops(), flops / options.most_trials, kWorthPerShare);
    if (!best) {
      worth = false;
      break;
    }
    batch.Take(*best);
  }
  if (design.trials.empty()) {
    design.stop = !worth;
    design.reason = absl::StrCat(now, "; no trial within ", FormatFlops(flops),
                                 " FLOPs cuts its variance by 2% per 10% of the FLOPs spent");
    return design;
  }
  batch.FillFactors();
  design.reason = absl::StrCat(now, ", the goal is ", goal, ": ", Plural(batch.trials(), "trial"), " for ",
                               FormatFlops(batch.flops()), " FLOPs");
  if (reached) absl::StrAppend(&design.reason, " and a second refit confirm it");
  return design;
}

std::vector<double> RecentredSizes(const AnalysisResult& result, double budget_flops, int sizes) {
  if (RefuseDesign(result) || sizes < 1) return {};
  const double optimum = ComputeModelOf(result).OptimumAt(result.parametric->law, budget_flops).params;
  const double half_width =
      OptimumFactor(result, budget_flops).value_or(std::numeric_limits<double>::infinity()) > 2 ? 8 : 4;
  std::vector<double> params;
  for (int i = 0; i < sizes; ++i) {
    params.push_back(sizes == 1 ? optimum : optimum * std::pow(half_width, 2.0 * i / (sizes - 1) - 1));
  }
  return params;
}

double PendingPrediction::Z(double loss) const { return (std::log(loss) - ln_loss) / se; }

bool PendingPrediction::IsSurprise(double loss) const { return std::abs(Z(loss)) > kSurprise; }

std::optional<PendingPrediction> PredictPending(const AnalysisResult& result, double params, double tokens) {
  if (!result.parametric || !IsSumOfPowers(result.parametric->law)) return std::nullopt;
  const LossLaw& law = result.parametric->law;
  const LawCenter center = CenterOf(result.rows);
  const double loss = law.LossAt(params, tokens);
  const double sigma = result.noise.SigmaAt(loss);
  const std::optional<LawMatrix> V = InverseInformation(law, center, result.rows);
  const std::optional<double> s2 = EffectiveVariance(law, result.rows, DeltaOf(result.options));
  if (!V || !s2 || !(sigma > 0)) return std::nullopt;
  const LawVector J = LnLossGradient(law, center, params, tokens);
  return PendingPrediction{std::log(loss), std::sqrt(*s2 * J.dot(*V * J) + sigma * sigma)};
}

}  // namespace isoflop
