// A study of a world with a known law, as the analysis and the report see it:
// small byte models on a grid of four budgets, two seeds, with curves.
#ifndef ISOFLOP_TESTS_ANALYSIS_REPORT_SIMULATED_STUDY_H_
#define ISOFLOP_TESTS_ANALYSIS_REPORT_SIMULATED_STUDY_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analysis/analysis_options.h"
#include "analysis/loss_law.h"
#include "analysis/report/report.h"
#include "study/observation.h"
#include "study/param_counts.h"

namespace isoflop {

inline constexpr LossLaw kTrueLaw{.form = LawForm::kChinchilla, .E = 1.37, .A = 156, .B = 420, .alpha = 0.50, .beta = 0.42};

struct SimulatedStudy {
  std::vector<Observation> observations;
  AnalysisOptions options;
  ReportContext context;
};

// Normal noise that is the same everywhere: a linear congruential generator and
// the sum of 12 uniforms.
class PlainNoise {
 public:
  explicit PlainNoise(uint64_t seed) : state_(seed * 2654435761u + 1) {}
  double operator()() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      sum += static_cast<double>(state_ >> 11) / 9007199254740992.0;
    }
    return sum;
  }

 private:
  uint64_t state_;
};

inline ModelShape SimulatedShape(int64_t width) {
  ModelShape shape;
  shape.d_model = width;
  shape.n_layer = 1;
  shape.n_head = 4;
  shape.d_ff = 4 * width;
  shape.vocab_size = 256;
  return shape;
}

// `finished`: how many of the observations have ended (the rest waits); all by
// default. Every observation's log loss has noise `sigma`.
inline SimulatedStudy MakeSimulatedStudy(int finished = 1 << 20, double sigma = 0.004) {
  SimulatedStudy study;
  ReportContext& context = study.context;
  context.title = "simulated";
  context.description = "A grid of byte models in a world whose law is known";
  context.source = "study";
  context.program_version = "0.1.0";
  context.last_result_at = "2025-01-01T12:00:00Z";
  context.resolved_yaml = "version: 1\nname: simulated\n";
  context.data = ReportData{.name = "six-novels.txt", .tokenizer = "bytes", .unique_tokens = 3.62e6, .eval_tokens = 4.0e5, .eval_bytes = 4.0e5,
                            .dataset_sha256 = std::string(64, 'a'), .tokenizer_sha256 = std::string(64, 'b'), .eval_sha256 = std::string(64, 'c')};
  context.recipe = {{"schedule", "wsd, warm-up 2 %, cooldown 20 %, linear to 0"}, {"optimiser", "AdamW 0.9 0.95, weight decay 0.1"}, {"batch", "512 tokens"}};
  context.commands = {"isoflop run simulated.yaml", "isoflop report simulated"};
  PlainNoise noise(17);
  int number = 0;
  for (const double budget : {5e10, 1.14e11, 2.62e11, 6e11}) {
    for (const int64_t width : {16, 24, 32, 40, 48, 56, 64, 80, 96}) {
      const ModelShape shape = SimulatedShape(width);
      const ParamCounts counts = CountParams(shape, 64);
      const double params = static_cast<double>(ParamsUnder(CountConvention::kNonEmbeddingPlusHead, counts, shape));
      const double center = std::sqrt(budget / (6 * 45)), tokens = std::round(budget / (6 * params) / 512) * 512;
      if (params < center / 3.2 || params > center * 3.2) continue;
      for (const int64_t seed : {1, 2}) {
        ++number;
        ReportTrial trial;
        trial.id = absl::StrCat(number);
        trial.seed = seed;
        trial.shape = shape;
        trial.sequence_length = 64;
        trial.counts = counts;
        trial.budget_flops = budget;
        trial.tokens_planned = tokens;
        trial.flops_6nd = 6 * params * tokens;
        trial.flops_exact = CountFlopsPerToken(shape, 64).exact * tokens;
        const double loss = kTrueLaw.LossAt(params, tokens) * std::exp(sigma * noise());
        if (number <= finished) {
          trial.state = TrialState::kCompleted;
          trial.tokens_trained = tokens;
          trial.final_loss_nats = loss;
          trial.attempts = 1;
          trial.slot_seconds = tokens / 1e5;
          trial.tokens_per_second = 1e5;
          for (int k = 1; k <= 20; ++k) {
            const double seen = std::round(tokens * k / 20);
            LossPoint point;
            point.step = static_cast<int64_t>(seen / 512);
            point.tokens = static_cast<int64_t>(seen);
            // Above the law until the cooldown at the end.
            point.loss_nats = std::min(5.545, kTrueLaw.LossAt(params, seen) * (1 + 0.03 * std::min(1.0, (20 - k) / 4.0)) * (loss / kTrueLaw.LossAt(params, tokens)));
            point.kind = LossKind::kEval;
            trial.curve.push_back(point);
          }
          Observation observation;
          observation.source = absl::StrCat("trial ", number);
          observation.trial_id = trial.id;
          observation.config_id = absl::StrCat(width, "x", tokens);
          observation.fingerprint = absl::StrCat("f", number);
          observation.eval_sha256 = context.data->eval_sha256;
          observation.params_embedding = static_cast<double>(counts.embedding);
          observation.params_position = static_cast<double>(counts.position);
          observation.params_head = static_cast<double>(counts.head);
          observation.params_blocks = static_cast<double>(counts.blocks);
          observation.tokens_trained = tokens;
          observation.unique_tokens = context.data->unique_tokens;
          observation.flops_exact = trial.flops_exact;
          observation.budget_flops = budget;
          observation.final_loss_nats = loss;
          observation.seed = seed;
          observation.d_model = width;
          observation.n_layer = shape.n_layer;
          observation.n_head = shape.n_head;
          observation.d_ff = shape.d_ff;
          observation.vocab_size = shape.vocab_size;
          observation.sequence_length = 64;
          observation.wall_seconds = trial.slot_seconds;
          observation.schedule_ended = true;
          study.observations.push_back(std::move(observation));
        }
        context.trials.push_back(std::move(trial));
      }
    }
  }
  study.options.spec.draws = 200;
  study.options.eval_sha256 = context.data->eval_sha256;
  return study;
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_REPORT_SIMULATED_STUDY_H_
