#include "worker/trainer/train_events.h"

#include "study/param_counts.h"
#include "worker/trainer/schedule.h"

namespace isoflop {

double Meter::TokensPerSecond() const {
  const double seconds = absl::ToDoubleSeconds(busy);
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

double Meter::DataWaitFraction() const {
  return busy > absl::ZeroDuration() ? absl::FDivDuration(waiting, busy) : 0;
}

TrainerEvent StartedEvent(const TrialSpec& trial, const ParamCounts& counts, const Dataset& dataset,
                          const std::string& device, const std::string& code_version, int64_t resumed_step) {
  TrainerEvent event("started");
  event.Add("contract", 1)
      .Add("params_total", counts.total())
      .Add("params_embedding", counts.embedding)
      .Add("params_position", counts.position)
      .Add("params_head", counts.head)
      .Add("params_blocks", counts.blocks)
      .Add("flops_per_token", CountFlopsPerToken(trial.model, trial.sequence_length).exact_causal)
      .Add("resumed_step", resumed_step)
      .Add("device", device)
      .Add("precision", ToString(trial.precision))
      .Add("program", "isoflop-trainer " + code_version)
      .Add("dataset_sha256", dataset.dataset_sha256())
      .Add("tokenizer_sha256", dataset.tokenizer_sha256());
  return event;
}

TrainerEvent PointEvent(const TrialSpec& trial, int64_t step, double grad_norm, const Meter& point) {
  TrainerEvent event("step");
  event.Add("step", step)
      .Add("tokens", step * trial.batch_tokens())
      .Add("loss_nats", point.MeanLoss())
      .Add("lr", trial.optimizer.lr_peak * LearningRateFactor(trial.schedule, trial.steps, step - 1))
      .Add("grad_norm", grad_norm)
      .Add("tokens_per_second", point.TokensPerSecond())
      .Add("data_wait_fraction", point.DataWaitFraction());
  return event;
}

TrainerEvent FinalEvent(const TrialSpec& trial, const Dataset& dataset, const EvalLoss& loss, const FinalFacts& facts) {
  const FlopsPerToken flops = CountFlopsPerToken(trial.model, trial.sequence_length);
  const int64_t tokens = facts.step * trial.batch_tokens();
  TrainerEvent event("final");
  event.Add("step", facts.step)
      .Add("tokens_trained", tokens)
      .Add("final_loss_nats", loss.loss_nats)
      .Add("final_loss_se", loss.loss_se)
      .Add("bits_per_byte", loss.bits_per_byte)
      .Add("eval_tokens", loss.eval_tokens)
      .Add("eval_bytes", loss.eval_bytes)
      .Add("eval_sha256", dataset.eval_sha256())
      .Add("unique_tokens", dataset.train_tokens())
      .Add("train_loss_nats", facts.train_loss_nats)
      .Add("flops_exact", flops.exact * static_cast<double>(tokens))
      .Add("wall_seconds", absl::ToDoubleSeconds(facts.wall))
      .Add("tokens_per_second", facts.tokens_per_second)
      .Add("peak_memory_bytes", facts.peak_memory_bytes)
      .Add("resumed_exact", facts.resumed_exact);
  if (facts.peak_flops_per_second) {
    event.Add("mfu", flops.exact_causal * facts.tokens_per_second / *facts.peak_flops_per_second);
  }
  return event;
}

}  // namespace isoflop
