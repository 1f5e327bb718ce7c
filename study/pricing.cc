#include "study/pricing.h"

#include <algorithm>
#include <limits>

#include "study/evaluation_cost.h"

namespace isoflop {
namespace {

bool SameSpeed(const ModelShape& a, const ModelShape& b) {
  if (a.family != b.family) return false;
  if (a.family == Family::kCustom) return a.custom_id == b.custom_id;
  return a.d_model == b.d_model && a.n_layer == b.n_layer && a.n_head == b.n_head && a.d_ff == b.d_ff &&
         a.vocab_size == b.vocab_size && a.activation == b.activation;
}

// Of an n-gram model, whatever the device: it counts on one core, and beyond this
// memory on the disk.
constexpr double kNgramTokensPerSecond = 1e6;
constexpr double kMostNgramBytes = 2e9;

double TokensPerSecond(const TrialSpec& spec, const PlanFacts& facts) {
  if (spec.model.family == Family::kNgram) {
    return facts.slot_flops_per_second > 0 || !facts.speeds.empty() ? kNgramTokensPerSecond : 0;
  }
  for (const MeasuredSpeed& speed : facts.speeds) {
    if (speed.sequence_length == spec.sequence_length && SameSpeed(speed.shape, spec.model)) {
      return speed.tokens_per_second;
    }
  }
  if (facts.slot_flops_per_second <= 0) return 0;
  const double seconds_per_token =
      CountFlopsPerToken(spec.model, spec.sequence_length).exact / facts.slot_flops_per_second +
      facts.seconds_per_step / static_cast<double>(spec.batch_tokens());
  return 1 / seconds_per_token;
}

int StatedSlots(const SlotsPerTrial& rule, const ParamCounts& params) {
  if (rule.up_to.empty()) return rule.fixed;
  for (const auto& [most, slots] : rule.up_to) {
    if (static_cast<double>(params.total()) <= most) return slots;
  }
  return rule.up_to.back().second;  // PlanStudy refuses sizes beyond the last
}

}  // namespace

double MemoryBytesPerSlot(const ModelShape& shape, int64_t sequence_length, Precision precision) {
  if (shape.family == Family::kNgram) return kMostNgramBytes;
  const auto params = static_cast<double>(CountParams(shape, sequence_length).total());
  double bytes = 16 * params;  // weights, gradients, two moments, fp32 each
  if (precision == Precision::kBf16) bytes += 2 * params;
  if (shape.family == Family::kCustom) return bytes;
  const auto positions = static_cast<double>(sequence_length);
  const double element_bytes = precision == Precision::kBf16 ? 2 : 4;
  const double elements = shape.family == Family::kLstm ? 8 : 17;
  const double activations = elements * element_bytes * positions * static_cast<double>(shape.d_model * shape.n_layer);
  const double logits = positions * static_cast<double>(shape.vocab_size) * (4 + 4 + element_bytes);
  return bytes + activations + logits;
}

double SlotSeconds(const TrialSpec& spec, int64_t own_steps, const PlanFacts& facts) {
  const double speed = TokensPerSecond(spec, facts);
  if (speed <= 0) return 0;
  const auto batch_tokens = static_cast<double>(spec.batch_tokens());
  const auto whole_set = static_cast<double>(facts.eval_tokens);
  double evaluated = whole_set;
  if (spec.eval_every_steps > 0) {
    const int64_t before = (spec.steps - own_steps) / spec.eval_every_steps;
    const int64_t periodic = (spec.steps - 1) / spec.eval_every_steps - before;
    evaluated += static_cast<double>(periodic) *
                 PeriodicEvalTokens(static_cast<double>(spec.eval_every_steps) * batch_tokens, whole_set);
  }
  return (static_cast<double>(own_steps) * batch_tokens + evaluated / kEvalTokensPerTrainToken) / speed;
}

void AssignSlots(const StudySpec& spec, const PlanFacts& facts, std::vector<PlannedTrial>* trials) {
  const SlotsPerTrial& rule = spec.resources.slots_per_trial;
  double all_seconds = 0;
  for (const PlannedTrial& trial : *trials) {
    if (!trial.known) all_seconds += trial.seconds_estimate;
  }
  const int available = std::max(1, facts.slots);
  const double quarter = all_seconds / available / 4;
  for (PlannedTrial& trial : *trials) {
    if (trial.role == TrialRole::kBaseline) continue;  // one
    if (!rule.is_auto) {
      trial.slots = StatedSlots(rule, trial.params);
      continue;
    }
    trial.slots = 1;
    while (trial.slots * 2 <= available && trial.spec.batch_sequences % (trial.slots * 2) == 0 &&
           trial.seconds_estimate / trial.slots > quarter) {
      trial.slots *= 2;
    }
  }
}

double Makespan(const std::vector<PlannedTrial>& trials, int slots) {
  struct Running {
    size_t trial;
    double start;
    double end;
  };
  const auto wall = [&](size_t i) { return trials[i].seconds_estimate / std::max(1, trials[i].slots); };
  std::vector<size_t> waiting;
  for (size_t i = 0; i < trials.size(); ++i) {
    if (!trials[i].known && trials[i].seconds_estimate > 0) waiting.push_back(i);
  }
  std::stable_sort(waiting.begin(), waiting.end(), [&](size_t a, size_t b) { return wall(a) > wall(b); });
  constexpr double kNever = std::numeric_limits<double>::infinity();
  // When a branch's checkpoint is there: its trunk's start and its share of it.
  std::vector<double> ready(trials.size(), 0);
  for (const size_t i : waiting) {
    if (trials[i].parent && !trials[*trials[i].parent].known) ready[i] = kNever;
  }
  std::vector<Running> running;
  int free = std::max(1, slots);
  double now = 0;
  while (!waiting.empty() || !running.empty()) {
    for (auto next = waiting.begin(); next != waiting.end();) {
      const size_t i = *next;
      const int needed = std::min(trials[i].slots, std::max(1, slots));
      if (ready[i] > now || needed > free) {
        ++next;
        continue;
      }
      free -= needed;
      running.push_back(Running{i, now, now + wall(i)});
      next = waiting.erase(next);
      for (const size_t child : waiting) {
        if (trials[child].parent != i) continue;
        const double share = static_cast<double>(trials[child].spec.branch_step.value_or(0)) /
                             static_cast<double>(trials[i].spec.steps);
        ready[child] = now + share * wall(i);
      }
    }
    // The next instant at which something changes.
    double then = kNever;
    for (const Running& trial : running) then = std::min(then, trial.end);
    for (const size_t i : waiting) {
      if (ready[i] > now) then = std::min(then, ready[i]);
    }
    if (then == kNever) break;  // a branch whose trunk costs no time
    now = then;
    for (auto done = running.begin(); done != running.end();) {
      if (done->end > now) {
        ++done;
        continue;
      }
      free += std::min(trials[done->trial].slots, std::max(1, slots));
      done = running.erase(done);
    }
  }
  return now;
}

}  // namespace isoflop
