#include "worker/trainer/ngram_trial.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "corpus/batch_order.h"
#include "corpus/eval_set.h"
#include "corpus/ngram_counts.h"
#include "corpus/ngram_model.h"
#include "study/status_macros.h"
#include "study/trial_text.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/ngram_text_model.h"
#include "worker/trainer/sample_text.h"
#include "worker/trainer/stop_signals.h"
#include "worker/trainer/train_events.h"
#include "worker/trainer/trial_failure.h"

namespace isoflop {
namespace {

constexpr absl::Duration kLongestSilence = absl::Minutes(1);

NgramSmoothing ToCorpus(Smoothing smoothing) {
  switch (smoothing) {
    case Smoothing::kAddK: return NgramSmoothing::kAddK;
    case Smoothing::kAbsoluteDiscount: return NgramSmoothing::kAbsoluteDiscount;
    case Smoothing::kKneserNey: return NgramSmoothing::kKneserNey;
  }
  return NgramSmoothing::kKneserNey;
}

struct StopAsked {};

class NgramTrial {
 public:
  NgramTrial(const TrialSpec& trial, const Dataset& dataset, std::string checkpoint_dir, EventWriter& events,
             const std::function<absl::Time()>& now)
      : trial_(trial), dataset_(dataset), checkpoint_dir_(std::move(checkpoint_dir)), events_(events), now_(now), started_at_(now()), last_line_at_(started_at_) {}

  int Run(const std::string& code_version) {
    events_.Write(StartedEvent(trial_, ParamCounts{}, dataset_, "cpu", code_version, /*resumed_step=*/0));
    try {
      const NgramModel model = Count();
      const double counting_seconds = absl::ToDoubleSeconds(now_() - started_at_);
      const EvalLoss loss = Measure(model);
      if (!std::isfinite(loss.loss_nats)) {
        throw TrialFailure(kExitConfig, "data", absl::StrCat("the loss is ", loss.loss_nats, ": a token of probability 0"));
      }
      Save(model, code_version);
      SayFinal(model, loss, counting_seconds);
      return kExitDone;
    } catch (const StopAsked&) {
      return kExitPreempted;
    }
  }

 private:
  void Pulse(const char* doing, int64_t done, int64_t all) {
    if (StopSignals::Peek().stop) throw StopAsked();
    if (now_() - last_line_at_ < kLongestSilence) return;
    events_.Note(absl::StrCat(doing, ", ", 100 * done / std::max<int64_t>(all, 1), " %"));
    last_line_at_ = now_();
  }

  NgramModel Count() {
    const auto order = static_cast<int>(trial_.model.ngram_order);
    const int64_t length = trial_.sequence_length;
    absl::StatusOr<NgramCounts> counts = NgramCounts::Make(trial_.model.vocab_size, order);
    ThrowUnlessOk(counts.status(), "config");
    const BatchOrder windows(WindowCount(dataset_.train_tokens(), length), dataset_.dataset_sha256(),
                             static_cast<uint64_t>(trial_.seed));
    std::vector<int64_t> tokens;
    for (int64_t step = 0; step < trial_.steps; ++step) {
      for (const int64_t window : windows.WindowsOfStep(step, trial_.batch_sequences)) {
        // Window i has the targets i T + 1 ... i T + T.
        const int64_t first_target = window * length + 1;
        const int64_t context = std::min<int64_t>(first_target, order - 1);
        tokens.resize(static_cast<size_t>(context + length));
        dataset_.FillTrain(first_target - context, tokens);
        ThrowUnlessOk(counts->Add(tokens, static_cast<size_t>(context)), "data");
      }
      Pulse("counting", step, trial_.steps);
    }
    absl::StatusOr<std::vector<NgramCount>> ngrams = std::move(*counts).Finish();
    ThrowUnlessOk(ngrams.status(), "io");
    NgramOptions options;
    options.smoothing = ToCorpus(trial_.model.ngram_smoothing);
    if (options.smoothing == NgramSmoothing::kAddK) options.add_k = trial_.model.ngram_add_k;
    absl::StatusOr<NgramModel> model = NgramModel::Make(trial_.model.vocab_size, order, options, *std::move(ngrams));
    ThrowUnlessOk(model.status(), "config");
    return *std::move(model);
  }

  EvalLoss Measure(const NgramModel& model) {
    const EvalSet set(dataset_, trial_.eval_sequence_length);
    EvalLossSums sums(set);
    std::vector<int64_t> tokens;
    std::vector<double> losses;
    for (int64_t window = 0; window < set.window_count(); ++window) {
      const auto targets = static_cast<size_t>(set.TargetsIn(window));
      tokens.resize(targets + 1);
      losses.resize(targets);
      set.FillWindow(window, std::span<int64_t>(tokens));
      model.LossesOf(tokens, losses);
      sums.Add(window, std::span<const double>(losses));
      Pulse("evaluating", window, set.window_count());
    }
    return sums.Result();
  }

  void SayFinal(const NgramModel& model, const EvalLoss& loss, double counting_seconds) {
    FinalFacts facts;
    facts.step = trial_.steps;
    facts.wall = now_() - started_at_;
    facts.tokens_per_second = counting_seconds > 0 ? static_cast<double>(trial_.tokens_planned()) / counting_seconds : 0;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    facts.peak_memory_bytes = int64_t{1024} * usage.ru_maxrss;
    facts.train_loss_nats = std::nan("");
    NgramTextModel text(model);
    events_.Write(FinalEvent(trial_, dataset_, loss, facts).Add("sample_text", SampleText(dataset_, trial_.seed, text)));
  }

  // The counts, for the text tools. Nothing here may cost the trial its result.
  void Save(const NgramModel& model, const std::string& code_version) {
    if (checkpoint_dir_.empty()) return;
    const absl::Time begin = now_();
    CheckpointState state;
    state.fingerprint = Fingerprint(trial_);
    state.lineage = Lineage(trial_);
    state.step = trial_.steps;
    state.tokens = trial_.tokens_planned();
    state.device = "cpu";
    state.code_version = code_version;
    state.dataset_sha256 = dataset_.dataset_sha256();
    state.trial_text = TrialText(trial_);
    state.tokenizer_id = dataset_.tokenizer_id();
    state.tokenizer_sha256 = dataset_.tokenizer_sha256();
    state.eot_id = dataset_.eot_id();
    const absl::StatusOr<WrittenCheckpoint> written = WriteNgramCheckpoint(checkpoint_dir_, state, model);
    if (!written.ok()) {
      events_.Note(absl::StrCat("the counts are not kept: ", std::string(written.status().message())));
      return;
    }
    events_.Write(TrainerEvent("checkpoint")
                      .Add("step", state.step)
                      .Add("tokens", state.tokens)
                      .Add("path", written->path)
                      .Add("sha256", written->manifest_sha256)
                      .Add("bytes", written->bytes)
                      .Add("seconds", absl::ToDoubleSeconds(now_() - begin))
                      .Add("reason", "final"));
  }

  // Constant after construction.
  const TrialSpec& trial_;
  const Dataset& dataset_;
  const std::string checkpoint_dir_;
  EventWriter& events_;
  const std::function<absl::Time()>& now_;
  const absl::Time started_at_;

  absl::Time last_line_at_;
};

}  // namespace

int CountNgramTrial(const TrialSpec& trial, const Dataset& dataset, const std::string& checkpoint_dir, EventWriter& events,
                    const std::string& code_version, const std::function<absl::Time()>& now) {
  return NgramTrial(trial, dataset, checkpoint_dir, events, now).Run(code_version);
}

}  // namespace isoflop
