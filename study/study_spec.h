// What the user asked for: the study YAML as values, checked one by one but not
// yet expanded (study/planner.h does that).
//
// Every number is in its base unit: tokens, FLOPs, parameters, fractions (5 %
// is 0.05), seconds as absl::Duration. Defaults are those of docs/study_yaml.md.
#ifndef ISOFLOP_STUDY_STUDY_SPEC_H_
#define ISOFLOP_STUDY_STUDY_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "study/model_shape.h"
#include "study/param_counts.h"
#include "study/source_text.h"
#include "study/trial_spec.h"

namespace isoflop {

// --- data -------------------------------------------------------------------

enum class IfShort { kError, kDrop, kRepeat };
enum class EvalBy { kDocument, kDirectory, kChapter };
std::string ToString(IfShort if_short);  // "error", "drop", "repeat"
std::string ToString(EvalBy by);         // "document", "directory", "chapter"

struct EvalSplit {
  double share = 0.05;  // of documents, whole permilles in [0.001, 0.999]
  int64_t max_tokens = 10'000'000;
  EvalBy by = EvalBy::kDocument;
  uint64_t seed = 1;
};

struct DataSpec {
  std::string path;       // as written, relative to the YAML's folder; or
  std::string synthetic;  // "zipf-markov:256,1.1,0.3,7"; exactly one of both
  std::string tokenizer = "bytes";
  EvalSplit eval;
  IfShort if_short = IfShort::kError;
};

// --- model ------------------------------------------------------------------

struct LadderShape {
  int64_t d_model = 0;
  int64_t n_layer = 0;
  int64_t n_head = 0;
  friend bool operator==(const LadderShape&, const LadderShape&) = default;
};

// Family custom: a size by its counts.
struct CustomSize {
  std::string id;
  ParamCounts counts;
  std::map<std::string, OptionValue> options;
};

struct LadderSpec {
  std::string preset;               // name, if one was named; `shapes` holds its shapes
  std::vector<LadderShape> shapes;  // a preset or a list
  // A rule: width = depth x width_per_layer, up to a multiple of head_size.
  std::vector<int64_t> depths;
  // A rule by N under grid.count: `sizes` log-spaced targets, each the depth
  // nearest in ln N.
  double from_params = 0;
  double to_params = 0;
  int sizes = 0;
  int64_t width_per_layer = 0;
  int64_t head_size = 0;
  std::vector<CustomSize> custom;

  bool is_rule() const { return width_per_layer > 0; }
};

struct FeedForward {
  double multiple = 4;     // of d_model
  int64_t width = 0;       // a fixed number; 0: by the multiple
  int64_t round_up_to = 1; // swiglu: 64
};

struct ModelSpec {
  Family family = Family::kTransformer;
  LadderSpec ladder;
  int64_t sequence_length = 0;
  FeedForward d_ff;
  Norm norm = Norm::kRmsNorm;
  Position position = Position::kRope;
  Activation activation = Activation::kGelu;
  Init init = Init::kGpt2;
  bool tied_head = false;
  bool qk_norm = false;
  bool bias = false;
  double dropout = 0;
  std::optional<int64_t> vocab_size;  // nullopt: the data's
};

// --- baselines --------------------------------------------------------------

// n-gram models that stand beside the law on the report and are never part of a
// fit: every order with every smoothing on every number of tokens.
struct BaselineSpec {
  std::vector<int64_t> orders;        // 1 to kMostNgramOrder
  std::vector<Smoothing> smoothings = {Smoothing::kKneserNey};
  double add_k = 1;                   // for Smoothing::kAddK
  std::vector<double> tokens;         // empty: all unique training tokens
};

// --- grid -------------------------------------------------------------------

enum class GridKind { kIsoflop, kProduct, kList };
std::string ToString(GridKind kind);  // "isoflop", "product", "list"

// One of both: the centre of a budget's sizes.
struct GridCenter {
  double tokens_per_parameter = 20;
  std::string law;  // a study whose fitted law gives N*(C)
};

struct GridPoint {
  std::optional<double> params;        // nearest ladder shape; or
  std::optional<LadderShape> shape;    // exactly this one
  std::optional<std::string> custom_id;  // family custom: the size by its id
  std::optional<double> tokens;        // D; or
  std::optional<double> flops;         // C, so that D = C / (FLOPs a token)
};

struct GridSpec {
  GridKind kind = GridKind::kIsoflop;
  // isoflop
  std::vector<double> budgets;          // FLOPs, rising
  std::optional<int> sizes_per_budget = 7;  // nullopt: all within the spread
  double spread = 4;
  GridCenter center;
  // product
  std::optional<std::vector<double>> params;  // nullopt: all shapes of the ladder
  std::vector<double> tokens;
  std::vector<double> tokens_per_parameter;
  // list
  std::vector<GridPoint> points;

  CountConvention count = CountConvention::kNonEmbeddingPlusHead;
  FlopsConvention flops = FlopsConvention::k6nd;
  double tolerance = 0.01;  // of D, after rounding to whole steps
};

struct Replicates {
  int cells = 0;  // the cheapest again
  int seeds = 0;  // runs of each, its first included
};

// --- training ---------------------------------------------------------------

// A length that the YAML states as a share, in tokens, in steps, or (warm-up
// only, "params") as a token for each parameter under the study's count.
struct Length {
  enum class Kind { kShare, kTokens, kSteps, kParams };
  Kind kind = Kind::kShare;
  double value = 0;  // 0.02, or tokens, or steps
};

struct ScheduleRule {
  ScheduleKind kind = ScheduleKind::kWsd;
  Length warmup{Length::Kind::kShare, 0.02};  // share of the study's longest D
  double cooldown = 0.2;                      // of each D
  DecayShape decay_shape = DecayShape::kLinear;
  double final_fraction = 0;  // of lr_peak
  bool shared_trunks = true;  // wsd only
};

struct LearningRateRule {
  enum class Kind { kNumber, kByWidth, kNanochat, kOlmoLadder, kStepLaw, kMup };
  Kind kind = Kind::kNumber;
  double value = 0;       // number, by width, nanochat, mup
  double at_d_model = 0;  // by width: lr = value (d_model / at_d_model)^exponent
  double exponent = 0;
  int64_t base_width = 0;  // mup

  // Is the rate a function of D, so that branches cannot share a trunk?
  bool depends_on_tokens() const { return kind == Kind::kNanochat || kind == Kind::kStepLaw; }
};
std::string ToString(LearningRateRule::Kind kind);

struct OptimizerRule {
  LearningRateRule lr_peak;
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double clip_norm = 1;
  double lr_scale_blocks = 1;
  double lr_scale_embedding = 1;
  double lr_scale_head = 1;
};

struct BatchRule {
  enum class Kind { kTokens, kSequences, kNanochat, kOlmoLadder, kStepLaw };
  Kind kind = Kind::kTokens;
  double value = 0;  // tokens or sequences

  bool depends_on_tokens() const { return kind == Kind::kNanochat || kind == Kind::kStepLaw; }
};
std::string ToString(BatchRule::Kind kind);

struct EvaluationSpec {
  Length every{Length::Kind::kShare, 0.05};  // share of a trial's own steps
  int64_t sequence_length = 0;               // 0: the model's
};

// --- where it runs ----------------------------------------------------------

enum class SlotChoice { kGpu, kCpu, kAny };
std::string ToString(SlotChoice kind);  // "gpu", "cpu", "any"

struct SlotsPerTrial {
  bool is_auto = true;
  int fixed = 0;  // if not auto and `up_to` is empty
  // {200M: 1, 1B: 8}: up to that many parameters in all, rising.
  std::vector<std::pair<double, int>> up_to;
};

struct ResourcesSpec {
  SlotChoice slot = SlotChoice::kGpu;
  SlotsPerTrial slots_per_trial;
};

// Where the study pauses; nullopt: no limit.
struct LimitsSpec {
  std::optional<double> flops;
  std::optional<double> slot_hours;
  std::optional<absl::Duration> wall;
  absl::Duration trial_wall = absl::Hours(24);
};

// How often a trial is attempted again, by class of failure.
struct RetrySpec {
  int lost = 5;
  int crashed = 2;
  int oom = 2;
  int timeout = 1;
  int diverged = 0;
};

// --- analysis ---------------------------------------------------------------

enum class FitObjective { kHuber, kLad, kMse, kMseRaw };
enum class FitWeights { kNone, kByRun, kInverseVariance };
enum class LossUnit { kNats, kBitsPerByte };
std::string ToString(FitObjective objective);  // "huber", "lad", "mse", "mse_raw"
std::string ToString(FitWeights weights);      // "none", "by_run", "inverse_variance"
std::string ToString(LossUnit unit);           // "nats", "bits_per_byte"

struct AnalysisSpec {
  std::string form = "chinchilla";
  FitObjective objective = FitObjective::kHuber;
  double delta = 1e-3;
  int outliers = 0;
  FitWeights weights = FitWeights::kNone;
  LossUnit loss = LossUnit::kNats;
  // bootstrap
  std::string bootstrap_method = "auto";  // auto | pairs | cluster | wild | parametric
  int draws = 2000;
  uint64_t bootstrap_seed = 1;
  std::vector<double> levels = {80, 95};  // percent
  // approach 2
  std::string isoflop_minimum = "quadratic";  // quadratic | cubic | akima
  double budget_tolerance = 0.1;  // budgets that near are one
  std::string coverage = "fast";  // fast | nested | off
  double holdout_error = 0.01;    // MARE of the demonstrated distance
  std::optional<double> goal_budget;  // C_T; nullopt: 10x the largest C kept
  double goal_factor = 1.5;           // wished hi/lo of the 95 % interval of N*(C_T)
};

// --- own trainer --------------------------------------------------------------

struct CustomTrainerSpec {
  std::vector<std::string> command;  // argv, no shell; run in the YAML's folder
  Launch launch = Launch::kPerSlot;
  std::vector<std::string> sources;  // hashed: changed script, new trial
  std::map<std::string, std::string> env;  // not part of the fingerprint
  std::map<std::string, OptionValue> options;
};

// --- all of it ----------------------------------------------------------------

struct StudySpec {
  std::string name;
  std::string description;
  DataSpec data;
  ModelSpec model;
  std::vector<BaselineSpec> baselines;
  GridSpec grid;
  std::vector<int64_t> seeds = {1};
  Replicates replicates;
  ScheduleRule schedule;
  OptimizerRule optimizer;
  BatchRule batch;
  std::optional<Precision> precision;  // nullopt: auto, bf16 on GPUs, fp32 on CPUs
  bool deterministic = true;
  EvaluationSpec evaluation;
  ResourcesSpec resources;
  LimitsSpec limits;
  RetrySpec retry;
  AnalysisSpec analysis;
  std::optional<CustomTrainerSpec> trainer;

  // The text that this was read from and where each key stands in it, for the
  // errors of the plan. A spec that is made by hand has neither.
  SourceText source;
};

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_STUDY_SPEC_H_
