#include "study/planner.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "study/format.h"
#include "study/grid.h"
#include "study/hyper_rules.h"
#include "study/ladders.h"
#include "study/pricing.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

// A cell with D rounded to whole steps.
struct Cell {
  size_t size = 0;  // index in the ladder
  double budget_flops = 0;
  double tokens_wanted = 0;
  int64_t batch_sequences = 0;
  int64_t steps = 0;        // S
  int64_t decay_steps = 0;  // c of wsd
  int64_t warmup_steps = 0;
  bool repeats = false;     // D beyond the unique tokens, as data.if_short: repeat allows
  std::vector<int64_t> seeds;
  std::vector<int64_t> replicate_seeds;

  int64_t branch_step() const { return steps - decay_steps; }
};

// Of a step count that rounding to whole steps gives.
constexpr double kMaxSteps = 1e12;

class Planner {
 public:
  Planner(const StudySpec& spec, const PlanFacts& facts) : spec_(spec), facts_(facts), errors_(&spec.source) {}

  absl::StatusOr<Plan> Run() {
    vocab_size_ = spec_.model.vocab_size.value_or(facts_.vocab_size);
    precision_ = spec_.precision.value_or(spec_.resources.slot == SlotChoice::kGpu ? Precision::kBf16
                                                                                   : Precision::kFp32);
    CheckVocabulary();
    CheckRulesByTokens();
    ISOFLOP_RETURN_IF_ERROR(errors_.ToStatus());
    ISOFLOP_RETURN_IF_ERROR(MakeLadder());
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<GridCell> grid,
                             ExpandGrid(spec_, &ladder_, vocab_size_, facts_.optimal_params));
    CheckShapes();
    RoundCells(grid);
    CheckData();
    ISOFLOP_RETURN_IF_ERROR(errors_.ToStatus());
    ResolveWarmup();
    ChooseSeeds();
    MakeTrials();
    MakeBaselines();
    Price();
    CheckSlotsAndMemory();
    ISOFLOP_RETURN_IF_ERROR(errors_.ToStatus());
    Warn();
    Summarize();
    return std::move(plan_);
  }

 private:
  void CheckVocabulary() {
    if (spec_.model.vocab_size && facts_.vocab_size > *spec_.model.vocab_size) {
      errors_.AddAt("model.vocab_size",
                    absl::StrCat("vocab_size ", *spec_.model.vocab_size, ", but the data have ids up to ",
                                 facts_.vocab_size - 1),
                    absl::StrCat("vocab_size: ", facts_.vocab_size));
    }
  }

  // A trunk is trained before it is known which D it serves.
  void CheckRulesByTokens() {
    if (!spec_.schedule.shared_trunks || spec_.schedule.kind != ScheduleKind::kWsd) return;
    const auto refuse = [&](const std::string& path, const std::string& what) {
      StudySpec without = spec_;
      without.schedule.shared_trunks = false;
      const absl::StatusOr<Plan> plan = PlanStudy(without, facts_);
      const std::string price = plan.ok() ? absl::StrCat(" (", FormatFlops(plan->flops_to_spend), " FLOPs)") : "";
      errors_.AddAt(path, absl::StrCat(what, " depends on D: no shared trunks"),
                    absl::StrCat("schedule.trunks: none", price, ", or a rule without D"));
    };
    const LearningRateRule& rate = spec_.optimizer.lr_peak;
    if (rate.depends_on_tokens()) {
      refuse("optimizer.lr_peak.rule", absl::StrCat("lr_peak by rule '", ToString(rate.kind), "'"));
    }
    if (spec_.batch.depends_on_tokens()) {
      refuse("batch.rule", absl::StrCat("batch by rule '", ToString(spec_.batch.kind), "'"));
    }
  }

  absl::Status MakeLadder() {
    absl::StatusOr<std::vector<ModelShape>> shapes = ExpandLadder(spec_.model, vocab_size_, spec_.grid.count);
    if (!shapes.ok()) {
      errors_.AddAt("model.ladder", std::string(shapes.status().message()), "ladder: cpu-bytes");
      return errors_.ToStatus();
    }
    ladder_ = SizeLadder(*shapes, spec_.model.sequence_length, spec_.grid.count, spec_.grid.flops);
    return absl::OkStatus();
  }

  void CheckShapes() {
    for (ModelShape& shape : ladder_.shapes) {
      shape.mup_base_width = spec_.optimizer.lr_peak.base_width;
      if (shape.family != Family::kTransformer) continue;
      if (shape.n_head < 1 || shape.d_model % shape.n_head != 0) {
        errors_.AddAt(spec_.grid.kind == GridKind::kList ? "grid.points" : "model.ladder",
                      absl::StrCat(Plural(shape.n_head, "head"), " do not divide d_model ", shape.d_model),
                      "heads that divide d_model");
      } else if (shape.position == Position::kRope && shape.d_model / shape.n_head % 2 != 0) {
        errors_.AddAt(spec_.grid.kind == GridKind::kList ? "grid.points" : "model.ladder",
                      absl::StrCat("head size ", shape.d_model / shape.n_head, " is odd; rope turns pairs"),
                      "fewer heads, or position: learned");
      }
    }
  }

  double ParamsNonEmbedding(size_t size) const {
    return static_cast<double>(CountParams(ladder_.shapes[size], spec_.model.sequence_length).non_embedding());
  }
  double BatchTokens(const Cell& cell) const {
    return static_cast<double>(cell.batch_sequences * spec_.model.sequence_length);
  }
  double Tokens(const Cell& cell) const { return static_cast<double>(cell.steps) * BatchTokens(cell); }

  void RoundCells(const std::vector<GridCell>& grid) {
    for (const GridCell& asked : grid) {
      Cell cell;
      cell.size = asked.size;
      cell.budget_flops = asked.budget_flops;
      cell.tokens_wanted = asked.tokens;
      cell.batch_sequences = BatchSequences(spec_.batch, spec_.model.sequence_length,
                                            ParamsNonEmbedding(asked.size), asked.tokens);
      const double exact_steps = asked.tokens / BatchTokens(cell);
      if (exact_steps > kMaxSteps) {
        errors_.AddAt("grid", absl::StrCat("a cell of ", FormatFlops(exact_steps), " steps"), "a larger batch");
        continue;
      }
      cell.steps = std::llround(exact_steps);
      const double off = std::fabs(static_cast<double>(cell.steps) - exact_steps) / exact_steps;
      if (cell.steps < 1 || off > spec_.grid.tolerance) {
        errors_.AddAt("batch",
                      absl::StrCat("D = ", FormatTokens(asked.tokens), " at N = ", FormatCount(ladder_.params[asked.size]),
                                   " is ", FormatSignificant(exact_steps, 3), " steps of ",
                                   static_cast<int64_t>(BatchTokens(cell)), " tokens: ",
                                   FormatSignificant(100 * off, 2), " % off in whole steps, grid.tolerance is ",
                                   ExactNumber(100 * spec_.grid.tolerance), " %"),
                      "a smaller batch, a larger budget or a wider grid.tolerance");
        continue;
      }
      if (spec_.schedule.kind == ScheduleKind::kWsd) {
        cell.decay_steps =
            std::clamp<int64_t>(std::llround(spec_.schedule.cooldown * static_cast<double>(cell.steps)), 1, cell.steps);
      }
      const auto same = [&](const Cell& other) { return other.size == cell.size && other.steps == cell.steps; };
      if (std::any_of(cells_.begin(), cells_.end(), same)) {
        plan_.warnings.push_back(absl::StrCat("two cells are the same trial, ", FormatCount(ladder_.params[cell.size]),
                                              " x ", FormatTokens(Tokens(cell)), ": planned once"));
        continue;
      }
      cells_.push_back(std::move(cell));
    }
  }

  // D must fit the whole windows of the data, or be dropped or allowed to repeat.
  void CheckData() {
    const int64_t length = spec_.model.sequence_length;
    const int64_t windows = facts_.unique_tokens > 0 ? (facts_.unique_tokens - 1) / length : 0;
    const auto usable = static_cast<double>(windows * length);
    std::vector<Cell> kept;
    double most_needed = 0;
    for (Cell& cell : cells_) {
      if (Tokens(cell) <= usable) {
        kept.push_back(std::move(cell));
        continue;
      }
      most_needed = std::max(most_needed, cell.tokens_wanted);
      plan_.left_out.push_back(
          LeftOutCell{cell.budget_flops, ladder_.params[cell.size], cell.tokens_wanted, "short of data"});
      if (spec_.data.if_short == IfShort::kRepeat) {
        cell.repeats = true;
        kept.push_back(std::move(cell));
      }
    }
    const auto short_cells = static_cast<int64_t>(plan_.left_out.size());
    if (spec_.data.if_short == IfShort::kRepeat) {
      if (short_cells > 0) {
        plan_.warnings.push_back(absl::StrCat(Plural(short_cells, "cell"),
                                              short_cells == 1 ? " repeats" : " repeat", " data and will not be fitted"));
      }
      plan_.left_out.clear();
    } else if (short_cells > 0 && (spec_.data.if_short == IfShort::kError || kept.empty())) {
      const std::string needs = short_cells == 1 ? absl::StrCat("1 cell needs ", FormatTokens(most_needed))
                                                 : absl::StrCat(short_cells, " cells need up to ", FormatTokens(most_needed));
      errors_.AddAt("data.if_short",
                    absl::StrCat(needs, " tokens, the data hold ", FormatTokens(static_cast<double>(facts_.unique_tokens))),
                    kept.empty() ? "smaller budgets, more data, or data.if_short: repeat"
                                 : absl::StrCat("data.if_short: drop (keeps ", kept.size(), " of ", cells_.size(),
                                                " cells) or repeat"));
    }
    cells_ = std::move(kept);
    if (cells_.empty() && errors_.empty()) errors_.AddAt("grid", "the grid has no cell", "a wider grid");
  }

  // The same tokens of warm-up for every trial, as the study's longest D asks;
  // where that passes half of a shape's shortest way to its peak's end, half of
  // that way, so that no trial ends before its rate was ever at the peak.
  void ResolveWarmup() {
    const Length& warmup = spec_.schedule.warmup;
    double longest = 0;
    for (const Cell& cell : cells_) longest = std::max(longest, Tokens(cell));
    std::map<size_t, int64_t> shortest;  // by size: the steps before the cooldown
    for (const Cell& cell : cells_) {
      const int64_t way = spec_.schedule.kind == ScheduleKind::kWsd ? cell.branch_step() : cell.steps;
      const auto [found, added] = shortest.emplace(cell.size, way);
      if (!added) found->second = std::min(found->second, way);
    }
    std::map<size_t, int64_t> cut;
    for (Cell& cell : cells_) {
      double steps = 0;
      switch (warmup.kind) {
        case Length::Kind::kShare: steps = warmup.value * longest / BatchTokens(cell); break;
        case Length::Kind::kTokens: steps = warmup.value / BatchTokens(cell); break;
        case Length::Kind::kSteps: steps = warmup.value; break;
        case Length::Kind::kParams: steps = ladder_.params[cell.size] / BatchTokens(cell); break;
      }
      const auto most = static_cast<double>(shortest[cell.size] / 2);
      cell.warmup_steps = std::llround(std::min(steps, most));
      if (std::llround(steps) > cell.warmup_steps) cut[cell.size] = cell.warmup_steps;
      longest_warmup_ = std::max<int64_t>(longest_warmup_, std::llround(std::min(steps, kMaxSteps)));
    }
    if (!cut.empty()) {
      plan_.warnings.push_back(
          absl::StrCat("warm-up cut to half of the shortest way to the cooldown for ",
                       Plural(static_cast<int64_t>(cut.size()), "size"), " (N = ",
                       FormatCount(ladder_.params[cut.rbegin()->first]), ": ", cut.rbegin()->second,
                       " steps); schedule.warmup states less"));
    }
  }

  void ChooseSeeds() {
    for (Cell& cell : cells_) cell.seeds = spec_.seeds;
    if (spec_.replicates.cells == 0) return;
    std::vector<Cell*> cheapest;
    for (Cell& cell : cells_) cheapest.push_back(&cell);
    std::stable_sort(cheapest.begin(), cheapest.end(), [&](const Cell* a, const Cell* b) {
      return Tokens(*a) * ladder_.flops_per_token[a->size] < Tokens(*b) * ladder_.flops_per_token[b->size];
    });
    cheapest.resize(std::min(cheapest.size(), static_cast<size_t>(spec_.replicates.cells)));
    const int64_t last = *std::max_element(spec_.seeds.begin(), spec_.seeds.end());
    const int64_t more = spec_.replicates.seeds - static_cast<int64_t>(spec_.seeds.size());
    for (Cell* cell : cheapest) {
      for (int64_t i = 1; i <= more; ++i) cell->replicate_seeds.push_back(last + i);
    }
  }

  // What trunk, branch and single of a cell have in common.
  TrialSpec BaseTrial(const Cell& cell, int64_t seed) const {
    TrialSpec trial;
    trial.model = ladder_.shapes[cell.size];
    trial.sequence_length = spec_.model.sequence_length;
    trial.batch_sequences = cell.batch_sequences;
    trial.steps = cell.steps;
    trial.schedule.kind = spec_.schedule.kind;
    trial.schedule.warmup_steps = cell.warmup_steps;
    trial.schedule.decay_steps = cell.decay_steps;
    trial.schedule.decay_shape = spec_.schedule.decay_shape;
    trial.schedule.final_fraction = spec_.schedule.final_fraction;
    trial.optimizer = ResolveOptimizer(spec_.optimizer, trial.model, ParamsNonEmbedding(cell.size), Tokens(cell),
                                       BatchTokens(cell));
    trial.data = TrialData{facts_.dataset_sha256, facts_.eval_sha256, facts_.unique_tokens, cell.repeats};
    trial.eval_sequence_length =
        spec_.evaluation.sequence_length > 0 ? spec_.evaluation.sequence_length : spec_.model.sequence_length;
    trial.precision = precision_;
    trial.deterministic = spec_.deterministic;
    trial.seed = seed;
    if (spec_.trainer) {
      trial.trainer = CustomTrainer{spec_.trainer->command, spec_.trainer->launch, spec_.trainer->options,
                                    facts_.trainer_sources_sha256};
    }
    return trial;
  }

  int64_t EvalEverySteps(const TrialSpec& trial) const {
    const Length& every = spec_.evaluation.every;
    if (every.value == 0) return 0;
    double steps = every.value;
    if (every.kind == Length::Kind::kShare) steps = every.value * static_cast<double>(trial.steps);
    if (every.kind == Length::Kind::kTokens) steps = every.value / static_cast<double>(trial.batch_tokens());
    return std::max<int64_t>(1, std::llround(steps));
  }

  size_t AddTrial(TrialSpec trial, TrialRole role, double budget_flops, std::optional<size_t> parent) {
    if (role != TrialRole::kBaseline) trial.eval_every_steps = EvalEverySteps(trial);
    PlannedTrial planned;
    planned.text = TrialText(trial);
    planned.fingerprint = Fingerprint(trial);
    planned.lineage = Lineage(trial);
    planned.role = role;
    planned.parent = parent;
    planned.budget_flops = budget_flops;
    planned.params = CountParams(trial.model, trial.sequence_length);
    planned.known = facts_.known_fingerprints.contains(planned.fingerprint);
    planned.spec = std::move(trial);
    plan_.trials.push_back(std::move(planned));
    return plan_.trials.size() - 1;
  }

  static bool SharesTrunk(const Cell& cell) { return cell.branch_step() >= 1 && cell.decay_steps >= 1; }

  // Trunks by shape and seed, then cells by budget, size and seed.
  void MakeTrials() {
    std::map<std::pair<size_t, int64_t>, size_t> trunks;  // (size, seed) -> its index
    if (spec_.schedule.kind == ScheduleKind::kWsd && spec_.schedule.shared_trunks) {
      for (size_t size = 0; size < ladder_.shapes.size(); ++size) {
        std::vector<const Cell*> group;
        for (const Cell& cell : cells_) {
          if (cell.size == size && SharesTrunk(cell)) group.push_back(&cell);
        }
        if (group.size() < 2) continue;
        for (const int64_t seed : spec_.seeds) trunks[{size, seed}] = AddTrunk(group, seed);
      }
    }
    for (const Cell& cell : cells_) {
      std::vector<std::pair<int64_t, bool>> runs;  // seed, is a replicate
      for (const int64_t seed : cell.seeds) runs.emplace_back(seed, false);
      for (const int64_t seed : cell.replicate_seeds) runs.emplace_back(seed, true);
      for (const auto& [seed, replicate] : runs) {
        TrialSpec trial = BaseTrial(cell, seed);
        const auto trunk = trunks.find({cell.size, seed});
        if (trunk == trunks.end() || replicate || !SharesTrunk(cell)) {
          AddTrial(std::move(trial), TrialRole::kSingle, cell.budget_flops, std::nullopt);
        } else {
          trial.parent_lineage = plan_.trials[trunk->second].lineage;
          trial.branch_step = cell.branch_step();
          AddTrial(std::move(trial), TrialRole::kBranch, cell.budget_flops, trunk->second);
        }
      }
    }
    // A trunk serves its branches: known when nobody waits for it.
    std::vector<bool> awaited(plan_.trials.size(), false);
    for (const PlannedTrial& trial : plan_.trials) {
      if (trial.parent && !trial.known) awaited[*trial.parent] = true;
    }
    for (size_t i = 0; i < plan_.trials.size(); ++i) {
      if (plan_.trials[i].role == TrialRole::kTrunk && !awaited[i]) plan_.trials[i].known = true;
    }
  }

  // An n-gram model counts whole windows of the training order, as many as its
  // tokens ask for, and sees them once: a batch of one window a step.
  void MakeBaselines() {
    const int64_t length = spec_.model.sequence_length;
    const int64_t windows = facts_.unique_tokens > 0 ? (facts_.unique_tokens - 1) / length : 0;
    for (const BaselineSpec& baseline : spec_.baselines) {
      std::vector<double> tokens = baseline.tokens;
      if (tokens.empty()) tokens.push_back(static_cast<double>(windows * length));
      for (const double wanted : tokens) {
        const auto steps = std::max<int64_t>(1, std::llround(std::min(wanted / static_cast<double>(length), kMaxSteps)));
        if (steps > windows) {
          RefuseBaseline(wanted);
          continue;
        }
        for (const Smoothing smoothing : baseline.smoothings) {
          for (const int64_t order : baseline.orders) AddBaseline(baseline, smoothing, order, steps);
        }
      }
    }
  }

  void RefuseBaseline(double wanted) {
    const std::string needs = absl::StrCat("a baseline needs ", FormatTokens(wanted), " tokens, the data hold ",
                                           FormatTokens(static_cast<double>(facts_.unique_tokens)));
    if (spec_.data.if_short == IfShort::kError) {
      errors_.AddAt("baselines", needs, "tokens: all, or data.if_short: drop");
    } else {
      plan_.warnings.push_back(needs + ": left out");
    }
  }

  void AddBaseline(const BaselineSpec& baseline, Smoothing smoothing, int64_t order, int64_t steps) {
    TrialSpec trial;
    trial.model.family = Family::kNgram;
    trial.model.vocab_size = vocab_size_;
    trial.model.ngram_order = order;
    trial.model.ngram_smoothing = smoothing;
    if (smoothing == Smoothing::kAddK) trial.model.ngram_add_k = baseline.add_k;
    trial.sequence_length = spec_.model.sequence_length;
    trial.batch_sequences = 1;
    trial.steps = steps;
    trial.schedule.kind = ScheduleKind::kConstant;
    trial.data = TrialData{facts_.dataset_sha256, facts_.eval_sha256, facts_.unique_tokens, false};
    trial.eval_sequence_length =
        spec_.evaluation.sequence_length > 0 ? spec_.evaluation.sequence_length : spec_.model.sequence_length;
    trial.seed = spec_.seeds.front();
    AddTrial(std::move(trial), TrialRole::kBaseline, 0, std::nullopt);
  }

  size_t AddTrunk(const std::vector<const Cell*>& group, int64_t seed) {
    const Cell& longest = **std::max_element(
        group.begin(), group.end(), [](const Cell* a, const Cell* b) { return a->branch_step() < b->branch_step(); });
    TrialSpec trunk = BaseTrial(longest, seed);
    trunk.steps = longest.branch_step();
    trunk.schedule.decay_steps = 0;
    for (const Cell* cell : group) trunk.branch_steps.push_back(cell->branch_step());
    std::sort(trunk.branch_steps.begin(), trunk.branch_steps.end());
    trunk.branch_steps.erase(std::unique(trunk.branch_steps.begin(), trunk.branch_steps.end()),
                             trunk.branch_steps.end());
    return AddTrial(std::move(trunk), TrialRole::kTrunk, 0, std::nullopt);
  }

  static int64_t OwnSteps(const PlannedTrial& trial) {
    return trial.spec.steps - trial.spec.branch_step.value_or(0);
  }

  void Price() {
    for (PlannedTrial& trial : plan_.trials) {
      const auto params =
          static_cast<double>(ParamsUnder(spec_.grid.count, trial.params, trial.spec.model));
      const FlopsPerToken per_token = CountFlopsPerToken(trial.spec.model, trial.spec.sequence_length);
      const auto tokens = static_cast<double>(trial.spec.tokens_planned());
      trial.flops_6nd = 6 * params * tokens;
      trial.flops_exact = per_token.exact * tokens;
      trial.flops_exact_causal = per_token.exact_causal * tokens;
      const double convention = spec_.grid.flops == FlopsConvention::k6nd ? 6 * params : per_token.exact;
      const double own_tokens =
          static_cast<double>(OwnSteps(trial)) * static_cast<double>(trial.spec.batch_tokens());
      trial.flops_to_spend = trial.known ? 0 : convention * own_tokens;
      trial.seconds_estimate = trial.known ? 0 : SlotSeconds(trial.spec, OwnSteps(trial), facts_);
      trial.memory_bytes_per_slot =
          MemoryBytesPerSlot(trial.spec.model, trial.spec.sequence_length, trial.spec.precision);
      plan_.flops_to_spend += trial.flops_to_spend;
      if (IsObservation(trial.role) && !trial.known) plan_.flops_without_trunks += convention * tokens;
      plan_.slot_seconds += trial.seconds_estimate;
    }
  }

  void CheckSlotsAndMemory() {
    const SlotsPerTrial& rule = spec_.resources.slots_per_trial;
    for (const PlannedTrial& trial : plan_.trials) {
      if (!rule.up_to.empty() && static_cast<double>(trial.params.total()) > rule.up_to.back().first) {
        errors_.AddAt("resources.slots_per_trial",
                      absl::StrCat("no rule for ", FormatCount(static_cast<double>(trial.params.total())), " parameters"),
                      absl::StrCat("{..., ", FormatCount(2 * static_cast<double>(trial.params.total())), ": ",
                                   rule.up_to.back().second, "}"));
        return;
      }
    }
    AssignSlots(spec_, facts_, &plan_.trials);
    const PlannedTrial* largest = nullptr;
    for (const PlannedTrial& trial : plan_.trials) {
      if (trial.spec.batch_sequences % trial.slots != 0) {
        errors_.AddAt("resources.slots_per_trial",
                      absl::StrCat(trial.slots, " slots do not divide a batch of ",
                                   Plural(trial.spec.batch_sequences, "sequence")),
                      "slots that divide the batch, or another batch");
        return;
      }
      if (largest == nullptr || trial.memory_bytes_per_slot > largest->memory_bytes_per_slot) largest = &trial;
    }
    if (facts_.slot_memory_bytes > 0 && largest->memory_bytes_per_slot > facts_.slot_memory_bytes) {
      errors_.AddAt("model.ladder",
                    absl::StrCat(FormatCount(static_cast<double>(largest->params.total())), " parameters need ",
                                 FormatBytes(largest->memory_bytes_per_slot), " a slot at micro-batch 1, a slot has ",
                                 FormatBytes(facts_.slot_memory_bytes)),
                    "smaller sizes, a shorter sequence_length, or slots with more memory");
    }
  }

  void Warn() {
    const auto warn = [&](std::string text) { plan_.warnings.push_back(std::move(text)); };
    if (spec_.grid.kind == GridKind::kIsoflop) {
      std::map<double, int> sizes;
      for (const Cell& cell : cells_) ++sizes[cell.budget_flops];
      for (const auto& [budget, count] : sizes) {
        if (count < 3) {
          warn(absl::StrCat("budget ", FormatFlops(budget), " has ", Plural(count, "size"),
                            ": under 3 approach 2 cannot fit it"));
        } else if (count < 5) {
          warn(absl::StrCat("budget ", FormatFlops(budget), " has ", Plural(count, "size"), ": 5 or more fit well"));
        }
      }
      if (sizes.size() < 2) warn("one budget alone has no exponent: 2 or more");
    }
    const LimitsSpec& limits = spec_.limits;
    if (limits.flops && plan_.flops_to_spend > *limits.flops) {
      plan_.over_limit = true;
      warn(absl::StrCat(FormatFlops(plan_.flops_to_spend), " FLOPs are over limits.flops ", FormatFlops(*limits.flops)));
    }
    if (limits.slot_hours && plan_.slot_seconds > 3600 * *limits.slot_hours) {
      plan_.over_limit = true;
      warn(absl::StrCat(FormatSignificant(plan_.slot_seconds / 3600, 3), " slot hours are over limits.slot_hours ",
                        ExactNumber(*limits.slot_hours)));
    }
    int most_slots = 1;
    for (const PlannedTrial& trial : plan_.trials) most_slots = std::max(most_slots, trial.slots);
    if (most_slots > facts_.slots) {
      warn(absl::StrCat("a trial needs ", most_slots, " slots, ", facts_.slots, " are there"));
    }
  }

  void Summarize() {
    plan_.study_name = spec_.name;
    plan_.count = spec_.grid.count;
    plan_.flops = spec_.grid.flops;
    plan_.unique_tokens = facts_.unique_tokens;
    plan_.seeds = spec_.seeds;
    plan_.slot_kind = ToString(spec_.resources.slot);
    plan_.slots_available = facts_.slots;
    plan_.cells = static_cast<int>(cells_.size());
    for (const PlannedTrial& trial : plan_.trials) {
      ++(trial.role == TrialRole::kTrunk ? plan_.trunks : trial.role == TrialRole::kBaseline ? plan_.baselines : plan_.observations);
      if (trial.known) ++plan_.known;
    }
    plan_.seconds_makespan = Makespan(plan_.trials, facts_.slots);
    plan_.resolved_yaml = ResolvedYaml(Resolved());
  }

  // Rules that are the same for the whole study, as numbers: a later plan of the
  // same study keeps them.
  StudySpec Resolved() const {
    StudySpec resolved = spec_;
    resolved.model.vocab_size = vocab_size_;
    resolved.precision = precision_;
    if (resolved.evaluation.sequence_length == 0) resolved.evaluation.sequence_length = spec_.model.sequence_length;
    if (spec_.model.ladder.is_rule()) {
      resolved.model.ladder = LadderSpec{};
      for (const ModelShape& shape : ladder_.shapes) {
        resolved.model.ladder.shapes.push_back(LadderShape{shape.d_model, shape.n_layer, shape.n_head});
      }
    }
    const bool one_batch = std::all_of(cells_.begin(), cells_.end(), [&](const Cell& cell) {
      return cell.batch_sequences == cells_.front().batch_sequences;
    });
    if (one_batch && spec_.schedule.warmup.kind != Length::Kind::kParams) {
      resolved.schedule.warmup = Length{Length::Kind::kSteps, static_cast<double>(longest_warmup_)};
    }
    return resolved;
  }

  // Constant after construction.
  const StudySpec& spec_;
  const PlanFacts& facts_;

  ErrorList errors_;
  int64_t vocab_size_ = 0;
  Precision precision_ = Precision::kFp32;
  SizedLadder ladder_;
  std::vector<Cell> cells_;  // by budget, then size
  int64_t longest_warmup_ = 0;
  Plan plan_;
};

}  // namespace

absl::StatusOr<Plan> PlanStudy(const StudySpec& spec, const PlanFacts& facts) { return Planner(spec, facts).Run(); }

}  // namespace isoflop
