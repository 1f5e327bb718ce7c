#include "worker/trainer/train_loop.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "corpus/eval_set.h"
#include "corpus/permutation.h"
#include "study/evaluation_cost.h"
#include "study/param_counts.h"
#include "study/trial_text.h"
#include "worker/trainer/batch_loader.h"
#include "worker/trainer/checkpoint_writer.h"
#include "worker/trainer/cuda_device.h"
#include "worker/trainer/device_facts.h"
#include "worker/trainer/divergence.h"
#include "worker/trainer/evaluation.h"
#include "worker/trainer/faults.h"
#include "worker/trainer/gradient_buckets.h"
#include "worker/trainer/host_state.h"
#include "worker/trainer/language_model.h"
#include "worker/trainer/micro_batch.h"
#include "worker/trainer/network_text_model.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/rank_agreement.h"
#include "worker/trainer/recorded_work.h"
#include "worker/trainer/sample_text.h"
#include "worker/trainer/schedule.h"
#include "worker/trainer/step_log.h"
#include "worker/trainer/stop_signals.h"
#include "worker/trainer/train_events.h"
#include "worker/trainer/trial_failure.h"

namespace isoflop {
namespace {

// A loss point every so many updates, and one after the first: its loss is that
// of the untrained network.
constexpr int64_t kStepsPerPoint = 10;
// Never silent for longer than this: the agent ends an attempt that is, after ten
// minutes.
constexpr absl::Duration kLongestSilence = absl::Minutes(1);

// Updates of an attempt after which it is known whether they could be recorded.
constexpr int64_t kRecordedBy = 5;

// Seeds the dropout of one micro-step: a pure function, so that a resume needs no
// state of a generator.
uint64_t DropoutSeed(uint64_t seed, int64_t step, int rank, int64_t micro_step) {
  uint64_t hash = SplitMix64(seed ^ 0xd09077u);
  for (uint64_t part : {static_cast<uint64_t>(step), static_cast<uint64_t>(rank), static_cast<uint64_t>(micro_step)}) {
    hash = SplitMix64(hash ^ part);
  }
  return hash;
}

// The state of one trial on this rank. Parameters, model, optimiser and the rest
// are members in the order in which they depend on one another.
class TrialTrainer {
 public:
  TrialTrainer(const TrialSpec& trial, const TrainSetup& setup, EventWriter& events)
      : trial_(trial),
        setup_(setup),
        env_(setup.environment),
        events_(events),
        started_at_(setup.now()),
        parameters_(LayOutParameters(trial.model, trial.sequence_length), setup.device),
        optimizer_(trial.optimizer, parameters_),
        host_state_(parameters_, optimizer_),
        loader_(setup.dataset, trial, setup.communicator.rank(), setup.communicator.world_size()),
        eval_set_(setup.dataset, trial.eval_sequence_length),
        watch_(trial.model.vocab_size, trial.schedule.warmup_steps),
        log_(setup.device) {
    SetNumerics(setup.device, trial.deterministic);
    InitializeParameters(trial.model, static_cast<uint64_t>(trial.seed), parameters_);
    model_ = MakeLanguageModel(trial.model, std::max(trial.sequence_length, trial.eval_sequence_length), parameters_,
                               trial.precision);
    scale_ = at::scalar_tensor(1 / static_cast<double>(trial.batch_tokens()),
                               at::TensorOptions().dtype(at::kFloat).device(setup.device));
    if (!env_.checkpoint_dir.empty() && is_root()) {
      writer_ = std::make_unique<CheckpointWriter>(env_.checkpoint_dir, parameters_.layout(), events);
    }
    last_checkpoint_at_ = last_line_at_ = started_at_;
  }

  int Run() {
    CheckCounts();
    Resume();
    const absl::Status agreed = CheckRanksAgree(setup_.communicator, TrialText(trial_), parameters_, setup_.code_version);
    if (!agreed.ok()) throw TrialFailure(kExitConfig, "config", std::string(agreed.message()));
    events_.Write(StartedEvent(trial_, parameters_.layout().Count(), setup_.dataset, DeviceName(setup_.device),
                               setup_.code_version, step_));
    ChooseMicroBatch();
    ChooseRecording();
    buckets_ = std::make_unique<GradientBuckets>(parameters_, setup_.communicator);
    while (step_ < trial_.steps) {
      Update();
      ++step_;
      Harvest(/*flush=*/step_ == trial_.steps);
      if (stop_at_ && *stop_at_ <= step_ && step_ < trial_.steps) return Preempt();
      Milestones();
    }
    return Finish();
  }

 private:
  bool is_root() const { return setup_.communicator.rank() == 0; }
  bool is_cuda() const { return setup_.device.is_cuda(); }
  int64_t resumed_steps() const { return resumed_ ? resumed_->step : 0; }

  void CheckCounts() const {
    const ParamCounts ours = parameters_.layout().Count();
    const ParamCounts planned = CountParams(trial_.model, trial_.sequence_length);
    if (ours == planned) return;
    throw TrialFailure(kExitConfig, "config",
                       absl::StrCat("the network has ", ours.total(), " parameters (blocks ", ours.blocks,
                                    "), the planner counts ", planned.total(), " (blocks ", planned.blocks,
                                    ")\ncure: planner and trainer are of two builds; install one"));
  }

  // -- Resume -------------------------------------------------------------

  CheckpointState StateNow() const {
    CheckpointState state;
    state.fingerprint = Fingerprint(trial_);
    state.lineage = Lineage(trial_);
    state.step = step_;
    state.tokens = step_ * trial_.batch_tokens();
    state.smoothed_loss_nats = watch_.smoothed_loss_nats();
    state.steps_above = watch_.steps_above();
    state.point_loss_sum_nats = point_.loss_sum_nats;
    state.point_steps = point_.steps;
    state.resumed_exact = resumed_exact_;
    state.micro_batch_sequences = micro_batch_;
    state.accumulation_steps = micro_batch_ > 0 ? loader_.share() / micro_batch_ : 0;
    state.world_size = setup_.communicator.world_size();
    state.threads = at::get_num_threads();
    state.device = DeviceName(setup_.device);
    state.torch_version = TORCH_VERSION;
    state.code_version = setup_.code_version;
    state.dataset_sha256 = setup_.dataset.dataset_sha256();
    state.trial_text = TrialText(trial_);
    state.tokenizer_id = setup_.dataset.tokenizer_id();
    state.tokenizer_sha256 = setup_.dataset.tokenizer_sha256();
    state.eot_id = setup_.dataset.eot_id();
    return state;
  }

  void Resume() {
    if (env_.resume_path.empty()) {
      if (trial_.is_branch()) {
        throw TrialFailure(kExitConfig, "config",
                           absl::StrCat("a branch at step ", trial_.branch_step.value_or(0),
                                        " without ISOFLOP_RESUME\ncure: set it to the trunk's checkpoint of that step"));
      }
      return;
    }
    const absl::StatusOr<CheckpointState> state =
        is_root() ? VerifyCheckpoint(env_.resume_path) : ReadCheckpointState(env_.resume_path);
    // A bad checkpoint is no fault of the trial: the next attempt gets the one before.
    if (!state.ok()) throw TrialFailure(kExitTransient, "checkpoint", std::string(state.status().message()));
    const absl::StatusOr<ResumeKind> kind = CheckResume(*state, trial_);
    ThrowUnlessOk(kind.status(), "config");

    ThrowUnlessOk(host_state_.Load(env_.resume_path, state->step), "checkpoint");
    model_->RefreshWeights();
    step_ = state->step;
    watch_.Restore(state->smoothed_loss_nats, state->steps_above);
    point_.loss_sum_nats = state->point_loss_sum_nats;  // so that the next loss point is the mean that it would have been
    point_.steps = state->point_steps;
    resumed_ = *state;
    if (*kind == ResumeKind::kContinue) last_saved_step_ = step_;
    resumed_exact_ = state->resumed_exact;
  }

  // -- Start --------------------------------------------------------------

  // Forward and backward of `sequences` sequences of step 0, then everything back
  // to zero. False: out of memory here, or less than a tenth of the memory left.
  bool Fits(int64_t sequences) {
    if (FaultDue("probe", step_ + 1, setup_.communicator.rank()) == "oom") return false;
    if (!is_cuda()) return true;
    const int device = setup_.device.index();
    bool fits = false;
    try {
      CudaResetPeakMemory(device);
      MicroStep(0, 0, sequences);
      parameters_.gradients_with_riders().narrow(0, parameters_.size(), 1).item<float>();  // waits for the device
      fits = static_cast<double>(CudaPeakMemoryBytes(device)) < 0.9 * static_cast<double>(CudaTotalMemoryBytes(device));
    } catch (const c10::OutOfMemoryError&) {
    }
    if (!fits) CudaEmptyCache();
    parameters_.ZeroGradients();
    return fits;
  }

  void ChooseMicroBatch() {
    const int64_t most = MostSequences(is_cuda(), trial_.sequence_length, env_.micro_batch_limit);
    const std::vector<int64_t> choices = MicroBatchChoices(loader_.share(), most);
    // The one of the checkpoint keeps a resume bitwise.
    const bool kept = resumed_ && std::find(choices.begin(), choices.end(), resumed_->micro_batch_sequences) != choices.end();
    if (setup_.communicator.Min(kept ? 1 : 0) == 1) {
      micro_batch_ = resumed_->micro_batch_sequences;
    } else {
      const auto everywhere = [&](bool fits) { return setup_.communicator.Min(fits ? 1 : 0) == 1; };
      const std::optional<int64_t> found =
          LargestThatFits(choices, [&](int64_t sequences) { return Fits(sequences); }, everywhere);
      if (!found) {
        throw TrialFailure(kExitOom, "oom",
                           absl::StrCat("one sequence of ", trial_.sequence_length, " tokens does not fit into the memory of ",
                                        DeviceName(setup_.device), "\ncure: more slots, a shorter sequence or a smaller network"));
      }
      micro_batch_ = *found;
    }
    if (resumed_) {
      const std::string why_not = WhyNotBitwise(*resumed_, StateNow());
      if (!why_not.empty()) {
        resumed_exact_ = false;
        events_.Note("resumed within the tolerance, not bitwise: " + why_not);
      }
    }
    events_.Write(TrainerEvent("probe")
                      .Add("micro_batch_sequences", micro_batch_)
                      .Add("accumulation_steps", loader_.share() / micro_batch_));
  }

  // -- One update ---------------------------------------------------------

  // Forward and backward of sequences [first, first + count) of this rank's share
  // of update `step` (from 0): adds to gradients and to the summed loss.
  void MicroStep(int64_t step, int64_t first, int64_t count) {
    const absl::Time loading = setup_.now();
    LoadBatch(step, first, count);
    point_.waiting += setup_.now() - loading;

    if (trial_.model.dropout > 0) {
      at::Generator generator = at::globalContext().defaultGenerator(setup_.device);
      generator.set_current_seed(
          DropoutSeed(static_cast<uint64_t>(trial_.seed), step, setup_.communicator.rank(), first / count));
    }
    const auto forward_backward = [this] {
      const at::Tensor loss = model_->SummedLoss(inputs_BT_, targets_BT_, /*training=*/true);
      torch::autograd::backward({loss}, {scale_});
      at::NoGradGuard no_grad;
      parameters_.gradients_with_riders().narrow(0, parameters_.size(), 1).add_(loss * scale_);
    };
    if (forward_backward_) {
      forward_backward_->Run(forward_backward);
    } else {
      forward_backward();  // in the probe
    }
    if (poison_) {
      at::NoGradGuard no_grad;
      parameters_.gradients_with_riders().narrow(0, 0, parameters_.size() + 1).mul_(std::numeric_limits<double>::quiet_NaN());
    }
  }

  // Into inputs_BT_ and targets_BT_, which stay where they are while `count` does.
  void LoadBatch(int64_t step, int64_t first, int64_t count) {
    const at::TensorOptions options = at::TensorOptions().dtype(at::kLong);
    if (!inputs_BT_.defined() || inputs_BT_.size(0) != count) {
      inputs_BT_ = at::empty({count, trial_.sequence_length}, options.device(setup_.device));
      targets_BT_ = at::empty_like(inputs_BT_);
    }
    // On CUDA new pinned memory each time: the copy does not wait, and the
    // allocator keeps the block until it has been read.
    const auto host = [&](const at::Tensor& on_device) {
      return is_cuda() ? at::empty(on_device.sizes(), options.pinned_memory(true)) : on_device;
    };
    const at::Tensor inputs = host(inputs_BT_), targets = host(targets_BT_);
    const auto span = [](const at::Tensor& t) { return std::span<int64_t>(t.data_ptr<int64_t>(), static_cast<size_t>(t.numel())); };
    loader_.Fill(step, first, count, span(inputs), span(targets));
    if (!is_cuda()) return;
    inputs_BT_.copy_(inputs, /*non_blocking=*/true);
    targets_BT_.copy_(targets, /*non_blocking=*/true);
  }

  // The two halves of an update as recorded work, where they are the same at every
  // step: dropout draws anew, and several ranks reduce inside the backward pass.
  void ChooseRecording() {
    const bool recorded = is_cuda() && env_.cuda_graphs && trial_.model.dropout == 0 && setup_.communicator.world_size() == 1;
    forward_backward_ = recorded ? MakeRecordedCudaWork() : MakeCalledWork();
    optimizer_step_ = recorded ? MakeRecordedCudaWork() : MakeCalledWork();
  }

  void TellRecording() {
    for (const RecordedWork* work : {forward_backward_.get(), optimizer_step_.get()}) {
      if (!work->why_not().empty()) events_.Note("CUDA graphs are off: " + work->why_not());
    }
  }

  void Update() {
    const absl::Time begin = setup_.now();
    ApplyFault(FaultDue("step", step_ + 1, setup_.communicator.rank()));
    parameters_.ZeroGradients();
    const int64_t micro_steps = loader_.share() / micro_batch_;
    for (int64_t micro_step = 0; micro_step < micro_steps; ++micro_step) {
      if (micro_step + 1 == micro_steps) buckets_->Arm();
      MicroStep(step_, micro_step * micro_batch_, micro_batch_);
    }
    const StopFlags flags = StopSignals::Take();
    const at::Tensor riders = parameters_.gradients_with_riders().narrow(0, parameters_.size(), Parameters::kRiders);
    if (flags.stop) riders[1].fill_(1);
    if (flags.checkpoint) riders[2].fill_(1);
    buckets_->Finish();
    const double rate = trial_.optimizer.lr_peak * LearningRateFactor(trial_.schedule, trial_.steps, step_);
    optimizer_.SetLearningRate(rate);
    optimizer_step_->Run([this] {
      optimizer_.Step();
      model_->RefreshWeights();
    });
    if (step_ == resumed_steps() + kRecordedBy) TellRecording();
    log_.Push(step_ + 1, riders, optimizer_.grad_norm());
    const absl::Duration spent = setup_.now() - begin;
    point_.busy += spent;
    point_.tokens += trial_.batch_tokens();
    all_.busy += spent;
    all_.tokens += trial_.batch_tokens();
  }

  void ApplyFault(const std::string& fault) {
    if (fault.empty()) return;
    if (fault == "nan") poison_ = true;
    if (fault == "kill") std::raise(SIGKILL);
    if (fault == "stop") std::raise(SIGSTOP);
    if (fault == "oom") TORCH_CHECK_WITH(OutOfMemoryError, false, "a fault on request: out of memory");
    if (fault == "bug") throw std::logic_error("a fault on request: a bug");
  }

  // On CUDA the host waits here for what Update only handed over: this is training
  // time as well.
  std::optional<StepResult> NextResult(bool flush) {
    const absl::Time begin = setup_.now();
    std::optional<StepResult> result = log_.Pop(flush);
    const absl::Duration spent = setup_.now() - begin;
    point_.busy += spent;
    all_.busy += spent;
    return result;
  }

  // Takes in what the updates said so far. What they ask for is due at one step
  // on all ranks, however early one of them happens to look.
  void Harvest(bool flush) {
    while (const std::optional<StepResult> result = NextResult(flush)) {
      if (diverged_) continue;  // what came after it means nothing
      const bool diverged = watch_.Observe(result->step, result->loss_nats, result->grad_norm);
      point_.loss_sum_nats += result->loss_nats;
      ++point_.steps;
      const bool due = result->step == 1 || result->step % kStepsPerPoint == 0 || result->step == trial_.steps;
      if (diverged || due || setup_.now() - last_line_at_ > kLongestSilence) SayPoint(*result);
      if (diverged) diverged_ = *result;
      if (result->stop && !stop_at_) stop_at_ = result->step + log_.delay();
      if (result->checkpoint) checkpoint_at_ = result->step + log_.delay();
    }
    // Rank 0 looks earlier when it saves; the others would wait for its next sum.
    if (diverged_ && step_ >= std::min(diverged_->step + log_.delay(), trial_.steps)) SayDiverged(*diverged_);
  }

  void SayPoint(const StepResult& result) {
    events_.Write(PointEvent(trial_, result.step, result.grad_norm, point_));
    point_ = Meter();
    last_line_at_ = setup_.now();
  }

  [[noreturn]] void SayDiverged(const StepResult& result) {
    // All ranks learn of it at the same step. Whoever leaves first would look lost
    // to those whose last sum is still under way.
    try {
      setup_.communicator.Min(1);
    } catch (const CommunicationError&) {
    }
    throw TrialFailure(
        kExitDiverged, "diverged",
        std::isfinite(result.loss_nats) && std::isfinite(result.grad_norm)
            ? absl::StrCat("step ", result.step, ": the smoothed loss ", watch_.smoothed_loss_nats(), " has been above ln V + ",
                           DivergenceWatch::kMargin, " for ", DivergenceWatch::kPatience, " steps\ncure: lower lr_peak")
            : absl::StrCat("step ", result.step, ": loss ", result.loss_nats, ", gradient norm ", result.grad_norm,
                           "; the update was skipped\ncure: lower lr_peak, lengthen the warm-up"),
        result.step);
  }

  // -- Between updates ----------------------------------------------------

  // What is due after update step_: a branch point, a checkpoint, a look at the
  // evaluation set (but at the end, where Finish sees all of it).
  void Milestones() {
    const bool branch_point =
        std::find(trial_.branch_steps.begin(), trial_.branch_steps.end(), step_) != trial_.branch_steps.end();
    if (branch_point) Save(CheckpointReason::kBranch);
    if (step_ == trial_.steps) return;
    if (checkpoint_at_ && *checkpoint_at_ <= step_) {
      checkpoint_at_.reset();
      Save(CheckpointReason::kAsked);
    }
    if (trial_.eval_every_steps > 0 && step_ % trial_.eval_every_steps == 0) SayGlance();
    if (writer_ && setup_.now() - last_checkpoint_at_ >= env_.checkpoint_period && !writer_->busy()) {
      Save(CheckpointReason::kPeriodic);
    }
    if (writer_) ThrowUnlessOk(writer_->Poll(), "io");
  }

  Evaluation MakeEvaluation(std::function<void()> sign_of_life) {
    int64_t most = MostSequences(is_cuda(), trial_.eval_sequence_length, env_.micro_batch_limit);
    // What the probe found room for, which had a backward pass besides.
    if (is_cuda()) most = std::clamp<int64_t>(micro_batch_ * trial_.sequence_length / trial_.eval_sequence_length, 1, most);
    return Evaluation(*model_, eval_set_, most, setup_.device, setup_.communicator, std::move(sign_of_life));
  }

  void SayGlance() {
    const double tokens = PeriodicEvalTokens(static_cast<double>(trial_.eval_every_steps * trial_.batch_tokens()),
                                             std::numeric_limits<double>::infinity());
    const auto windows = static_cast<int64_t>(tokens / static_cast<double>(trial_.eval_sequence_length));
    const Evaluation::Glance glance = MakeEvaluation({}).Spread(std::max<int64_t>(1, windows));
    events_.Write(TrainerEvent("eval")
                      .Add("step", step_)
                      .Add("tokens", step_ * trial_.batch_tokens())
                      .Add("loss_nats", glance.loss_nats)
                      .Add("eval_tokens", glance.eval_tokens));
  }

  // Copies the state to the host and hands it to the writing thread. Rank 0 only.
  void Save(CheckpointReason reason) {
    if (!is_root()) return;
    if (!writer_) {
      if (reason == CheckpointReason::kBranch) {
        throw TrialFailure(kExitConfig, "config", "branch_steps without ISOFLOP_CHECKPOINT_DIR: the branches would have "
                           "no start\ncure: set it to an existing folder");
      }
      return;
    }
    ThrowUnlessOk(writer_->Wait(), "io");
    Harvest(/*flush=*/true);
    if (diverged_) return;  // the one before is kept
    CheckpointJob job;
    job.state = StateNow();
    job.reason = reason;
    job.tensors = host_state_.Copy();
    ThrowUnlessOk(writer_->Submit(std::move(job)), "io");
    last_checkpoint_at_ = setup_.now();
    last_saved_step_ = step_;
  }

  int Preempt() {
    Save(CheckpointReason::kPreempted);
    if (writer_) ThrowUnlessOk(writer_->Wait(), "io");
    if (is_root() && !writer_) {
      throw TrialFailure(kExitTransient, "io", "stopped by SIGTERM without ISOFLOP_CHECKPOINT_DIR: nothing was kept\n"
                         "cure: set it to an existing folder");
    }
    return kExitPreempted;
  }

  // -- End ----------------------------------------------------------------

  struct StopAsked {};

  int Finish() {
    // A lone rank may stop inside the last evaluation too; several would part.
    const bool alone = setup_.communicator.world_size() == 1;
    const auto sign_of_life = [&] {
      if (alone && writer_ && StopSignals::Peek().stop) throw StopAsked();
      if (setup_.now() - last_line_at_ <= kLongestSilence) return;
      events_.Note("evaluating");
      last_line_at_ = setup_.now();
    };
    // Written while the evaluation runs; a branch point of the last step is one already.
    if (writer_ && last_saved_step_ != step_) Save(CheckpointReason::kFinal);
    EvalLoss loss;
    try {
      loss = MakeEvaluation(sign_of_life).Whole();
    } catch (const StopAsked&) {
      return Preempt();
    }
    if (writer_) ThrowUnlessOk(writer_->Wait(), "io");
    if (!std::isfinite(loss.loss_nats)) {
      throw TrialFailure(kExitDiverged, "diverged", absl::StrCat("the final loss is ", loss.loss_nats), step_);
    }
    SayFinal(loss);
    return kExitDone;
  }

  void SayFinal(const EvalLoss& loss) {
    FinalFacts facts;
    facts.step = step_;
    facts.train_loss_nats = watch_.smoothed_loss_nats();
    facts.wall = setup_.now() - started_at_;
    facts.tokens_per_second = all_.TokensPerSecond();
    facts.peak_memory_bytes = PeakMemoryBytes(setup_.device);
    facts.resumed_exact = resumed_exact_;
    if (const auto peak = PeakFlopsPerSecond(DeviceName(setup_.device), trial_.precision)) {
      facts.peak_flops_per_second = *peak * setup_.communicator.world_size();
    }
    events_.Write(FinalEvent(trial_, setup_.dataset, loss, facts).Add("sample_text", Sample()));
  }

  // What the finished network writes; a trunk has not cooled down and leaves none.
  // Nothing here may cost the trial its result.
  std::optional<std::string> Sample() {
    if (!is_root() || trial_.is_trunk()) return std::nullopt;
    try {
      NetworkTextModel text(*model_, trial_.model.vocab_size, trial_.sequence_length, setup_.device);
      return SampleText(setup_.dataset, trial_.seed, text);
    } catch (const c10::Error& error) {
      events_.Note(absl::StrCat("no sample of text: ", error.what_without_backtrace()));
      return std::nullopt;
    }
  }

  // Constant after construction.
  const TrialSpec& trial_;
  const TrainSetup& setup_;
  const TrainerEnvironment& env_;
  EventWriter& events_;
  const absl::Time started_at_;

  // The network and what moves it.
  Parameters parameters_;
  Optimizer optimizer_;
  HostState host_state_;
  std::unique_ptr<LanguageModel> model_;
  BatchLoader loader_;
  EvalSet eval_set_;
  std::unique_ptr<GradientBuckets> buckets_;
  std::unique_ptr<CheckpointWriter> writer_;  // rank 0 with a folder only
  at::Tensor scale_;                          // 1 / target tokens of a global batch, 0-d
  at::Tensor inputs_BT_, targets_BT_;         // the micro-batch, on the device
  std::unique_ptr<RecordedWork> forward_backward_, optimizer_step_;  // nullptr until the micro-batch is chosen

  // Progress.
  int64_t step_ = 0;  // updates done
  int64_t micro_batch_ = 0;
  DivergenceWatch watch_;
  StepLog log_;
  std::optional<CheckpointState> resumed_;
  bool resumed_exact_ = true;
  absl::Time last_checkpoint_at_;
  int64_t last_saved_step_ = -1;  // the step that the newest checkpoint holds
  absl::Time last_line_at_;  // of a loss point, or a sign of life
  Meter point_;  // since the last loss point
  Meter all_;    // since the start of this attempt
  std::optional<StepResult> diverged_;              // ends the attempt, on all ranks at one step
  std::optional<int64_t> stop_at_, checkpoint_at_;  // asked for, due after this step
  bool poison_ = false;  // by a fault on request
};

}  // namespace

int Train(const TrialSpec& trial, const TrainSetup& setup, EventWriter& events) {
  // Recording needs a stream that is not the default one.
  const std::shared_ptr<void> stream = setup.device.is_cuda() ? UseOwnCudaStream(setup.device.index()) : nullptr;
  return TrialTrainer(trial, setup, events).Run();
}

}  // namespace isoflop
