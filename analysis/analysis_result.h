// All that an analysis found: one struct, of which table, JSON and plot are
// renderings.
//
// Plain values without invariants; a default-made AnalysisResult is valid and
// says "nothing could be fitted". A number that could not be given is a
// Refusal, never 0 or NaN. No clock, path or thread count is in here: the same
// observations and options give the same bytes.
//
// Legend: N parameters and C FLOPs under the conventions in
// `AnalysisResult::options`, D tokens trained, L loss in nats a token (or bits
// a byte); a, b, -gamma exponents of N*, D*, L* - E in C. Logarithms are
// natural unless a name says log10.
#ifndef ISOFLOP_ANALYSIS_ANALYSIS_RESULT_H_
#define ISOFLOP_ANALYSIS_ANALYSIS_RESULT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "analysis/analysis_options.h"
#include "analysis/loss_law.h"
#include "study/observation.h"

namespace isoflop {

// --- numbers ------------------------------------------------------------------

// Why a number is missing or doubtful. The text forms are the names here
// ("kUnderdetermined"); docs/errors.md tells each with its cure.
enum class Code {
  // inputs
  kRepeatedData,
  kScheduleNotEnded,
  kMixedEvaluation,
  kConventionUnknown,
  kTokensDerived,
  kRatioSuspicious,
  // the fit refuses or narrows
  kUnderdetermined,
  kCollinear,
  kWeaklyIdentified,
  // the certificate
  kBoundHit,
  kMaxIterations,
  kSingular,
  kMultipleBasins,
  kDeltaNearLad,
  kNoInteriorOptimum,
  // approach 2
  kMinimumAtEdge,
  kNotConvex,
  kTooFewPoints,
  kBudgetSnapped,
  // uncertainty
  kNoiseUnknown,
  kFewClusters,
  kBootstrapJumps,
  kCoverage,
  kLackOfFit,
  // verdict
  kExtrapolation,
  kApproachesDisagree,
  kSensitive,
};
std::string ToString(Code code);

struct Refusal {
  Code code = Code::kUnderdetermined;
  std::string message;
  std::string cure;
};

struct Warning {
  Code code = Code::kNoiseUnknown;
  std::string message;
};

struct Interval {
  double level = 95;  // percent
  double lo = 0;
  double hi = 0;
};

struct Estimate {
  double value = 0;
  std::optional<double> se;         // standard error, of draws (ddof 1) or by the delta method
  std::vector<Interval> intervals;  // in the order of the levels asked for; empty: none computed
  std::vector<Interval> bca;        // bias-corrected and accelerated, level by level; empty: not computed
  std::string method;               // "pairs", "cluster", "delta method"; empty without intervals

  // The interval at `level` percent, or nullptr.
  const Interval* At(double level) const;
};

// Made without a value it is a refusal, never 0.
using Quantity = std::variant<Refusal, Estimate>;
// The estimate in `quantity`, or nullptr when it is a refusal.
const Estimate* EstimateIn(const Quantity& quantity);

// --- rows -----------------------------------------------------------------------

// An observation under the analysis' conventions.
struct KeptRow {
  Observation observation;
  double params = 0;       // N
  double tokens = 0;       // D
  double flops = 0;        // C
  double loss = 0;         // L
  double weight = 1;       // in the objective
  // After the fit; nullopt without one.
  std::optional<double> predicted_loss;
  std::optional<double> residual;  // ln L - ln predicted
};

// In the order in which the rules are applied.
enum class ExclusionRule {
  kNotCompleted,
  kDiverged,
  kNonFinite,
  kScheduleNotEnded,
  kRepeatedData,
  kWrongEvalSet,
  kDuplicateFingerprint,
  kUserFilter,
  kOutlier,
};
std::string ToString(ExclusionRule rule);  // "not_completed", "outlier" and so on

struct Exclusion {
  std::string source;    // "trial 17", "runs.csv:18"
  std::string trial_id;  // empty for a CSV without ids
  ExclusionRule rule = ExclusionRule::kNotCompleted;
  std::string detail;    // "outlier(5): loss 5.006"
  // What is known of the point, so that plots draw it hollow.
  std::optional<double> params;
  std::optional<double> tokens;
  std::optional<double> flops;
  std::optional<double> loss;
};

// --- approach 3 -------------------------------------------------------------------

enum class FitOutcome { kOptimal, kBoundHit, kMultipleBasins, kMaxIterations, kSingular };
std::string ToString(FitOutcome outcome);  // "optimal", "bound_hit" and so on

// What proves that the fit is the optimum.
struct Certificate {
  FitOutcome outcome = FitOutcome::kOptimal;
  std::string objective;             // "huber(0.001) on log loss"
  double f = 0;                      // the objective, a sum over rows
  double max_gradient = 0;           // max |grad f| in the centred coordinates
  double max_newton_step = 0;        // max |H^-1 grad f|, demanded <= 1e-9
  std::vector<double> hessian_eigenvalues;  // raw (a_, b_, e_, alpha, beta), rising; all > 0
  int starts_tried = 0;              // minima of variable projection and quasi-random ones
  int starts_at_best = 0;            // within 1e-6 relative of the best f
  std::optional<double> next_basin_f;
  std::optional<double> next_basin_a;
  std::vector<std::string> at_bounds;  // "E = 0", "alpha outside (0, 3)"
  int rows_within_delta = 0;           // |residual| <= delta
  double sigma = 0;                    // 1.4826 median |residual|
  double delta_over_sigma = 0;         // 0 where sigma is 0
  int iterations = 0;                  // of the run that reached the best f
};

struct ParametricFit {
  LossLaw law;
  Estimate E, A, B, alpha, beta;
  Estimate a, b, gamma;
  // N*(C) = optimum_coefficient (C/6)^a: G of the closed form.
  Estimate optimum_coefficient;
  // A N0^-alpha and B D0^-beta at the centre (N0, D0) of the rows: what the data
  // determine well, while A and alpha move together.
  double center_params = 0;
  double center_tokens = 0;
  Estimate A_centered, B_centered;
  // Of (ln A, ln B, ln E, alpha, beta), from the bootstrap draws; 5 x 5, row
  // after row; empty without draws.
  std::vector<double> correlation;
  Certificate certificate;
};

// --- power laws, approaches 2 and 1 -------------------------------------------------

// y = exp(ln_coefficient) C^exponent.
struct PowerLaw {
  Estimate exponent;
  Estimate ln_coefficient;
  int points = 0;
  double At(double budget_flops) const;
};

// L = p (x - center)^2 + q (x - center) + r with x = log10 N.
struct Parabola {
  double center = 0;
  double p = 0, q = 0, r = 0;
  double p_se = 0;
  double LossAt(double params) const;
};

struct IsoflopBudget {
  double budget_flops = 0;           // C of the group: planned, or the geometric mean
  std::vector<size_t> rows;          // into AnalysisResult::rows, by rising N
  bool snapped = false;              // rows of different C were taken as one budget
  double snap_range = 0;             // largest C / smallest C - 1
  int sizes = 0;                     // distinct N
  std::optional<Parabola> parabola;  // with 3 or more points
  // The minimum; given for rejected budgets too when the parabola has one, so
  // that plots can draw it hollow.
  std::optional<Estimate> params_optimal;
  std::optional<Estimate> tokens_optimal;
  std::optional<Estimate> loss_optimal;
  // ln N* of a parabola through the approach-3 law's own losses on these cells,
  // minus ln N* of that law: what approach 2 would get wrong without noise.
  // nullopt without a law.
  std::optional<double> bias;
  std::optional<Refusal> rejection;  // set: not in the power laws
};

struct IsoflopFit {
  std::vector<IsoflopBudget> budgets;  // by rising C
  double pooled_sigma = 0;             // of loss around the parabolas, nats
  int accepted = 0;
  // Fitted with two or more accepted budgets: weighted by 1/var of ln N*, and
  // ordinary least squares beside it.
  std::optional<PowerLaw> params_law, tokens_law;
  std::optional<PowerLaw> params_law_ols, tokens_law_ols;
  // With the bias of each minimum taken off; nullopt without a law of approach 3.
  std::optional<PowerLaw> params_law_corrected, tokens_law_corrected;
  // The bias of the power law's ln N* at C_T; nullopt without a law.
  std::optional<double> bias_at_target;
  std::optional<Refusal> refusal;  // set: no power law
};

struct EnvelopePoint {
  size_t row = 0;  // into AnalysisResult::rows
  double flops = 0, params = 0, tokens = 0, loss = 0;
  bool schedule_ended = false;  // the learning rate reached its end at these tokens
};

struct EnvelopeFit {
  std::vector<EnvelopePoint> hull;  // vertices of the lower hull that are kept, by rising C
  int curve_points = 0;             // that the hull was taken of
  int open_vertices = 0;            // where the schedule had not ended, or is not known to have
  double largest_share = 0;         // of the vertices that one N holds; a third warns
  bool ends_at_extreme_sizes = false;  // smallest and largest N hold the ends of the hull
  std::optional<PowerLaw> params_law, tokens_law;
  std::optional<Refusal> refusal;
};

// --- the frontier ---------------------------------------------------------------------

enum class Approach { kEnvelope = 1, kIsoflop = 2, kParametric = 3 };
std::string ToString(Approach approach);  // "approach 3" and so on

struct FrontierPoint {
  double budget_flops = 0;
  double log10_over_max = 0;  // log10(C / largest C kept)
  bool extrapolated = false;  // beyond the demonstrated distance: drawn dashed
  Estimate params, tokens, tokens_per_parameter;
  std::optional<Estimate> loss;  // approach 3 only
};

// One approach's optimum over a dense grid of C, from the smallest budget to C_T.
struct Frontier {
  Approach approach = Approach::kParametric;
  std::vector<FrontierPoint> points;
};

// T6, a row a decade to C_T and one a budget that the user named.
struct OptimalRow {
  double budget_flops = 0;
  double log10_over_max = 0;
  bool extrapolated = false;
  bool asked = false;  // the user named this budget
  Quantity params, tokens, tokens_per_parameter, loss;
  std::optional<double> epochs;  // D* / unique tokens
  std::optional<double> hours;   // slot hours at the speed measured nearest N*
};

// T7: what a fixed D/N costs at budget C.
struct EfficiencyRow {
  double budget_flops = 0;
  double tokens_per_parameter = 0;  // M
  double params = 0, tokens = 0;    // N = sqrt(C / (6M)), D = M N
  Estimate loss;
  Estimate excess_loss;        // L - L*
  Estimate equivalent_flops;   // C_eq: the optimum reaches L with it
  Estimate wasted_fraction;    // 1 - C_eq/C, 0 to 1 ("wasted compute", deadweight)
  double wasted_flops = 0;
};

// What it takes to bring size N to the loss that is optimal at budget C.
struct OvertrainingRow {
  double budget_flops = 0;   // C whose optimal loss is aimed at
  double params_factor = 0;  // N / N*(C)
  double params = 0;
  Quantity tokens;             // D(N); a refusal where no amount of tokens does
  Quantity tokens_per_parameter;
  Quantity overhead_fraction;  // 6 N D(N) / C - 1
};

// Training and inference together cost least at (N, D) (Sardana et al. 2024).
struct InferenceRow {
  double inference_tokens = 0;  // D_inf
  double budget_flops = 0;      // C whose optimal loss is aimed at
  Estimate params, tokens, tokens_per_parameter;
  Estimate saving_fraction;     // of lifetime FLOPs against the training optimum
};

// The optimum at C when the corpus has U tokens (Muennighoff et al. 2023).
struct RepeatedDataRow {
  double budget_flops = 0, unique_tokens = 0;
  Estimate params, tokens, epochs, loss;
};

// The exponent a under one pair of conventions.
struct ConventionRow {
  CountConvention count = CountConvention::kNonEmbeddingPlusHead;
  FlopsConvention flops = FlopsConvention::k6nd;
  Quantity a_parametric, a_isoflop, a_envelope;
  bool chosen = false;  // the analysis' own
};

// --- uncertainty ------------------------------------------------------------------------

struct BootstrapSummary {
  std::string method;        // "pairs", "cluster", "wild", "parametric"; empty: none was made
  int draws = 0;             // asked for
  int failed = 0;            // draws that could not be fitted (too few distinct rows)
  uint64_t seed = 0;
  int clusters = 0;          // rows or runs that were drawn from
  double jump_share = 0;     // draws that another basin won
  std::vector<LossLaw> laws;  // one a successful draw, by draw number
};

struct SeedCell {
  double params = 0, tokens = 0;
  std::vector<double> losses;
};

// F of the scatter of the cells' means around the law against the scatter inside
// the cells.
struct LackOfFit {
  double F = 0, p = 0;
  int df_law = 0, df_seeds = 0;
};

// The noise of ln L that a new seed brings.
struct SeedNoise {
  bool from_replicates = false;  // else from the residuals of the fit
  double sigma = 0;              // of ln L; 0: not known
  int cells = 0;                 // with two or more seeds
  int degrees_of_freedom = 0;
  std::vector<SeedCell> replicates;
  // From three cells on: ln sigma = intercept + slope ln L.
  std::optional<double> ln_sigma_intercept, ln_sigma_slope;
  std::optional<LackOfFit> lack_of_fit;  // with replicates and a law

  // sigma at loss `loss`: the line where there is one, else sigma.
  double SigmaAt(double loss) const;
};

// The objective along one number, minimised over everything else.
struct Profile {
  std::string name;  // "alpha", "beta", "alpha - beta", "E", "ln N*(C_T)"
  double at_best = 0;
  std::vector<double> value;      // rising
  std::vector<double> statistic;  // robust likelihood ratio, 0 at the best
  double threshold = 3.841;       // chi-square of one degree of freedom, 95 %
  std::optional<double> lo, hi;   // where the statistic crosses it; nullopt: open
};

// What leaving out one run, size or budget does.
struct Influence {
  std::string what;  // "trial 17", "size 20.6K", "budget 6e11"
  int rows = 0;      // left out
  double delta_a = 0, delta_ln_params_at_target = 0;
  std::optional<double> delta_a_se, delta_ln_params_se;  // the same in standard errors
};

// Of 100 studies of this design, how many intervals hold the truth.
struct CoverageRow {
  std::string name;  // "a", "E", "ln N*(C_T)", ...
  double level = 95;
  double covered_percent = 0;
};
struct Coverage {
  std::string method;  // "fast" (warp speed) or "nested"
  int studies = 0;
  std::vector<CoverageRow> rows;
};

// --- verdict and later sections -------------------------------------------------------------

enum class Verdict { kCannotTell, kAgree, kAgreeInPractice, kDisagree };
std::string ToString(Verdict verdict);  // "cannot tell", "agree", "agree in practice", "disagree"

// Over the same draws; the interval at 95 % with Holm's correction over the pairs.
struct ApproachDifference {
  Approach first = Approach::kParametric, second = Approach::kIsoflop;
  Quantity exponent, ln_params_at_target, loss_at_target;  // first - second
  bool real = false;          // an interval leaves out 0
  double missing_share = 0;   // draws in which one of the two found no optimum
};

// What one approach's N*(C_T) costs on the surface of approach 3.
struct ApproachCost {
  Approach approach = Approach::kParametric;
  double exponent = 0;
  double params_at_target = 0;
  double wasted_fraction = 0;  // deadweight
};

struct Agreement {
  Verdict verdict = Verdict::kCannotTell;
  std::string reason;
  std::vector<ApproachDifference> differences;
  std::vector<ApproachCost> costs;
  std::vector<std::string> causes_tried;  // of a disagreement, in order, each with what it did
  std::string cause;                      // name of the last tried, whose removal mends it; empty: none does
  // Where none does: the one that leaves least of the largest difference of N*(C_T),
  // with the factors, as "gaps in N (a factor 1.4 is left of 2.1)". Empty: none narrows it.
  std::string narrows_most;
};

struct SensitivityRow {
  std::string group;  // "objective", "delta", "outliers", "leave out", "convention", "loss", "points", "rows", "form"
  std::string name;   // "delta 1e-2"
  int rows_used = 0;
  Quantity delta_a, delta_ln_params, delta_loss;  // against the analysis; at C_T
  std::optional<double> a_in_se, ln_params_in_se, loss_in_se;
  std::string certificate;  // "optimal", ...; empty: no fit
};

// A row that was predicted by a law which had not seen its budget.
struct HeldRow {
  size_t row = 0;                // into AnalysisResult::rows
  double train_max_flops = 0;    // of the rows that the law was fitted to
  double distance_decades = 0;   // log10(C / train_max_flops)
  double predicted_loss = 0;
  double relative_error = 0;     // predicted / observed - 1
  double perplexity_ratio = 0;   // exp(predicted - observed), losses in nats
  std::optional<double> z;       // against the band of a new run
  double nearest_error = 0;      // relative, of the nearest training row's loss
  std::optional<double> envelope_error;  // of E + K C^-gamma through the training envelope
};

struct HoldoutBin {
  double distance_lo = 0, distance_hi = 0;  // decades beyond the largest training C; hi infinite: open
  int rows = 0;
  double mean_relative_error = 0;  // MARE: mean |relative error|
  double nearest_error = 0;        // MARE of the baselines
  std::optional<double> envelope_error;
  double skill = 0;                // 1 - MARE / the better baseline's
};

struct Holdout {
  std::vector<HeldRow> largest;   // the top budget held out
  std::vector<HeldRow> windows;   // each budget from the third on, by what lay below
  std::vector<HoldoutBin> bins;   // of the windows
  double mean_relative_error = 0; // over the windows
  double skill = 0;
  // L at N*(C_T) of the law against D = 20 N: nats that the allocation gains.
  std::optional<double> gain_over_20;
  // The interval of N*(C_T) as budgets were added: FLOPs spent, hi/lo at 95 %.
  std::vector<std::pair<double, double>> width_by_flops;
  double demonstrated_decades = 0;  // the largest distance with MARE within the limit
  std::optional<Refusal> refusal;   // no hold-out is possible
};

// --- forms ---

struct FormScore {
  LawForm form = LawForm::kChinchilla;
  int parameters = 0;
  std::optional<LossLaw> law;
  std::string certificate;   // "optimal", ...
  std::optional<double> f;   // objective on all rows
  Quantity holdout_error;    // mean |relative error| over the same held rows, with SE
  bool recommended = false;
};

// Residual bootstrap under the smaller form: T = (f_0 - f_1) / f_1.
struct NestedTest {
  LawForm smaller = LawForm::kTied, larger = LawForm::kChinchilla;
  double statistic = 0, p = 1;
  int draws = 0;
};

struct FormRanking {
  std::vector<FormScore> forms;  // by held-out error
  std::vector<NestedTest> nested;
  LawForm recommended = LawForm::kChinchilla;  // the simplest within one SE of the best
};

// --- the next trials ---

struct DesignTrial {
  double params = 0, tokens = 0;
  double flops = 0;          // that it costs now; a cooldown: its own alone
  std::string from_trunk;    // trial id of the trunk it goes on from; empty: from scratch
  int seeds = 1;
  std::string why;           // "cuts the variance of ln N*(C_T) by 12 %"
  double factor_after = 0;   // hi/lo of the 95 % interval of N*(C_T) expected with it
};

struct ExperimentDesign {
  double target_flops = 0;
  double goal_factor = 1.5;   // hi/lo wished for
  double factor_now = 0;      // hi/lo of the 95 % interval of N*(C_T)
  std::vector<DesignTrial> trials;  // in the order in which they are best added
  bool stop = false;          // nothing more is worth it
  std::string reason;         // why it stops, or why these
  std::optional<Refusal> refusal;
};

// --- all of it ---------------------------------------------------------------------------------

struct AnalysisResult {
  AnalysisOptions options;         // as used: `auto` resolved
  std::string observations_sha256; // of the rows as read, 17 digits; see HashObservations
  int rows_read = 0;               // = rows.size() + exclusions.size()
  std::vector<KeptRow> rows;
  std::vector<Exclusion> exclusions;
  double max_flops = 0;     // largest C kept
  double target_flops = 0;  // C_T: the goal, else 10 times max_flops
  bool count_known = true;  // false: a CSV's one count of N, convention unknown

  // Approach 3: a fit or the reason why there is none.
  std::optional<ParametricFit> parametric;
  std::optional<Refusal> parametric_refusal;
  // Approaches 2 and 1; nullopt: not computed (no budgets, no curves).
  std::optional<IsoflopFit> isoflop;
  std::optional<EnvelopeFit> envelope;

  std::vector<Frontier> frontiers;  // one an approach that could be fitted
  std::vector<OptimalRow> optimal;        // T6, of approach 3
  std::vector<EfficiencyRow> efficiency;  // T7, at C_T and the user's budgets
  std::vector<OvertrainingRow> overtraining;    // at C_T
  std::vector<InferenceRow> inference;          // at C_T
  std::vector<RepeatedDataRow> repeated_data;   // data_constrained form only
  std::optional<double> data_exhausted_flops;   // C where D* passes the unique tokens
  std::vector<ConventionRow> conventions;       // T5
  BootstrapSummary bootstrap;
  SeedNoise noise;

  // Not computed: nullopt or empty.
  std::vector<Profile> profiles;
  std::vector<Influence> influence;  // the largest first
  std::optional<Coverage> coverage;
  std::optional<Agreement> agreement;
  std::vector<SensitivityRow> sensitivity;  // by falling |delta ln N*|
  std::optional<Holdout> holdout;
  std::optional<FormRanking> forms;
  std::optional<ExperimentDesign> design;

  std::vector<Warning> warnings;  // in the order of Code

  bool HasWarning(Code code) const;
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ANALYSIS_RESULT_H_
