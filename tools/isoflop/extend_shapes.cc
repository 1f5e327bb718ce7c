#include "tools/isoflop/extend_shapes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "store/result_store.h"
#include "study/ladders.h"
#include "study/param_counts.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"

namespace isoflop {
namespace {

// Shapes by N, as they are equal under the analysis' convention.
class ShapeBook {
 public:
  explicit ShapeBook(const AnalysisOptions& options) : options_(options) {}

  // The shape of N `params`, made when it is new; `flops_exact` a token.
  DesignShape* Add(int64_t params, double flops_exact) {
    if (params <= 0) return nullptr;
    const auto [place, is_new] = shapes_.try_emplace(params);
    if (is_new) {
      place->second.params = static_cast<double>(params);
      place->second.flops_per_token =
          options_.flops == FlopsConvention::kExact && flops_exact > 0 ? flops_exact : 6 * static_cast<double>(params);
    }
    return &place->second;
  }

  std::vector<DesignShape> Take() {
    std::vector<DesignShape> shapes;
    for (auto& [params, shape] : shapes_) shapes.push_back(std::move(shape));
    return shapes;
  }

 private:
  const AnalysisOptions& options_;
  std::map<int64_t, DesignShape> shapes_;
};

// Tokens at the committed checkpoints of `trunk` from which a cooldown can start:
// not within the warm-up.
absl::StatusOr<std::vector<double>> BranchTokens(ResultStore& store, const StoredTrial& trunk) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredCheckpoint> checkpoints, store.Checkpoints(trunk.id));
  const TrialSpec& spec = trunk.planned.spec;
  std::set<int64_t> steps;
  for (const StoredCheckpoint& checkpoint : checkpoints) {
    if (checkpoint.state == "committed" && checkpoint.step > spec.schedule.warmup_steps) steps.insert(checkpoint.step);
  }
  std::vector<double> tokens;
  for (const int64_t step : steps) tokens.push_back(static_cast<double>(step * spec.batch_tokens()));
  return tokens;
}

}  // namespace

absl::StatusOr<ExtendChoices> StudyChoices(const std::string& db, const std::string& name,
                                           const AnalysisOptions& options) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> store, ResultStore::Open(db));
  ISOFLOP_ASSIGN_OR_RETURN(const StudyRecord study, store->FindStudy(name));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, store->Trials(study.id));
  ISOFLOP_ASSIGN_OR_RETURN(const NextIds next, store->FindNextIds());
  ExtendChoices choices;
  choices.next_trial = next.trial.value();
  const absl::StatusOr<StudySpec> spec = ParseStudyYaml(study.spec_yaml, study.name);
  if (!spec.ok()) return choices;  // imported: the sizes of the rows

  ShapeBook book(options);
  double longest = 0, unique = 0;
  int64_t vocab_size = 0, sequence_length = spec->model.sequence_length;
  bool may_repeat = false;
  for (const StoredTrial& trial : trials) {
    const PlannedTrial& planned = trial.planned;
    if (planned.text.empty() || planned.role == TrialRole::kBaseline) continue;
    const auto tokens = static_cast<double>(planned.spec.tokens_planned());
    const int64_t params = ParamsUnder(options.count, planned.params, planned.spec.model);
    DesignShape* shape = book.Add(params, tokens > 0 ? planned.flops_exact / tokens : 0);
    if (planned.role != TrialRole::kTrunk) longest = std::max(longest, tokens);
    unique = std::max(unique, static_cast<double>(planned.spec.data.unique_tokens));
    may_repeat = may_repeat || planned.spec.data.allow_repeat;
    vocab_size = std::max(vocab_size, planned.spec.model.vocab_size);
    if (shape == nullptr || planned.role != TrialRole::kTrunk || trial.standing.state != TrialState::kCompleted) continue;
    ISOFLOP_ASSIGN_OR_RETURN(std::vector<double> branch_tokens, BranchTokens(*store, trial));
    if (branch_tokens.empty()) continue;
    shape->trunk_id = absl::StrCat(trial.id.value());
    shape->branch_tokens = std::move(branch_tokens);
    shape->cooldown_share = spec->schedule.cooldown;
  }
  if (spec->model.family != Family::kCustom && vocab_size > 0) {
    if (const auto ladder = ExpandLadder(spec->model, vocab_size, options.count); ladder.ok()) {
      for (const ModelShape& shape : *ladder) {
        book.Add(ParamsUnder(options.count, CountParams(shape, sequence_length), shape),
                 CountFlopsPerToken(shape, sequence_length).exact);
      }
    }
  }
  choices.design.shapes = book.Take();
  choices.design.largest_tokens = 2 * longest;
  if (unique > 0 && !may_repeat) choices.design.largest_tokens = std::min(choices.design.largest_tokens, unique);
  return choices;
}

}  // namespace isoflop
