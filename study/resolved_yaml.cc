// ResolvedYaml: a study with every default stated.
#include <cmath>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "study/format.h"
#include "study/study_yaml.h"

namespace isoflop {
namespace {

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&quoted, absl::StrFormat("\\x%02x", byte));
    } else {
      if (c == '"' || c == '\\') quoted.push_back('\\');
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

std::string Bool(bool value) { return value ? "true" : "false"; }

std::string Numbers(const std::vector<double>& values) {
  std::vector<std::string> texts;
  for (const double value : values) texts.push_back(ExactNumber(value));
  return absl::StrCat("[", absl::StrJoin(texts, ", "), "]");
}

std::string Option(const OptionValue& option) {
  if (const bool* flag = std::get_if<bool>(&option)) return Bool(*flag);
  if (const int64_t* whole = std::get_if<int64_t>(&option)) return absl::StrCat(*whole);
  if (const double* number = std::get_if<double>(&option)) return ExactNumber(*number);
  return Quoted(std::get<std::string>(option));
}

std::string Options(const std::map<std::string, OptionValue>& options) {
  std::vector<std::string> texts;
  for (const auto& [key, option] : options) texts.push_back(absl::StrCat(Quoted(key), ": ", Option(option)));
  return absl::StrCat("{", absl::StrJoin(texts, ", "), "}");
}

std::string Words(const std::vector<std::string>& words) {
  std::vector<std::string> texts;
  for (const std::string& word : words) texts.push_back(Quoted(word));
  return absl::StrCat("[", absl::StrJoin(texts, ", "), "]");
}

// A percentage that reads back as exactly the same share: 7% rather than the
// 7.000000000000001% that 100 times 0.07 is.
std::string Percent(double share) {
  for (int digits = 1; digits < 17; ++digits) {
    const std::string text = absl::StrFormat("%.*g", digits, share * 100);
    if (std::strtod(text.c_str(), nullptr) / 100 == share) return absl::StrCat(text, "%");
  }
  return absl::StrFormat("%.17g%%", share * 100);
}

std::string LengthText(const Length& length) {
  switch (length.kind) {
    case Length::Kind::kShare: return Percent(length.value);
    case Length::Kind::kParams: return "params";
    case Length::Kind::kTokens: return ExactNumber(length.value);
    case Length::Kind::kSteps: return absl::StrCat(ExactNumber(length.value), " steps");
  }
  return "?";
}

std::string Shape(const LadderShape& shape, Family family) {
  if (family == Family::kLstm) return absl::StrCat("[", shape.d_model, ", ", shape.n_layer, "]");
  return absl::StrCat("[", shape.d_model, ", ", shape.n_layer, ", ", shape.n_head, "]");
}

std::string Ladder(const LadderSpec& ladder, Family family) {
  std::vector<std::string> items;
  for (const CustomSize& size : ladder.custom) {
    items.push_back(absl::StrCat("\n    - {id: ", Quoted(size.id), ", params_blocks: ", size.counts.blocks,
                                 ", params_embedding: ", size.counts.embedding, ", params_head: ", size.counts.head,
                                 ", params_position: ", size.counts.position, ", options: ", Options(size.options),
                                 "}"));
  }
  if (!items.empty()) return absl::StrJoin(items, "");
  if (ladder.is_rule()) {
    const std::string range =
        ladder.sizes > 0 ? absl::StrCat("from: ", ExactNumber(ladder.from_params), ", to: ",
                                        ExactNumber(ladder.to_params), ", sizes: ", ladder.sizes)
                         : absl::StrCat("depths: [", absl::StrJoin(ladder.depths, ", "), "]");
    return absl::StrCat(" {", range, ", width_per_layer: ", ladder.width_per_layer, ", head_size: ",
                        ladder.head_size, "}");
  }
  for (const LadderShape& shape : ladder.shapes) items.push_back(Shape(shape, family));
  return absl::StrCat(" [", absl::StrJoin(items, ", "), "]");
}

std::string FeedForwardText(const ModelSpec& model) {
  if (model.d_ff.width > 0) return absl::StrCat(model.d_ff.width);
  // The nearest short fraction where there is one: 8/3x.
  if (std::fabs(model.d_ff.multiple * 3 - std::nearbyint(model.d_ff.multiple * 3)) < 1e-12 &&
      std::nearbyint(model.d_ff.multiple) != model.d_ff.multiple) {
    return absl::StrCat(ExactNumber(std::nearbyint(model.d_ff.multiple * 3)), "/3x");
  }
  return absl::StrCat(ExactNumber(model.d_ff.multiple), "x");
}

std::string Model(const ModelSpec& model) {
  std::string text = absl::StrCat("model:\n  family: ", ToString(model.family), "\n  ladder:", Ladder(model.ladder, model.family),
                                  "\n  sequence_length: ", model.sequence_length, "\n");
  if (model.vocab_size) absl::StrAppend(&text, "  vocab_size: ", *model.vocab_size, "\n");
  if (model.family == Family::kCustom) return text;
  if (model.family == Family::kLstm) {
    return absl::StrCat(text, "  tied_head: ", Bool(model.tied_head), "\n  dropout: ", ExactNumber(model.dropout), "\n");
  }
  absl::StrAppend(&text, "  d_ff: ", FeedForwardText(model), "\n  norm: ", ToString(model.norm),
                  "\n  position: ", ToString(model.position), "\n  activation: ", ToString(model.activation),
                  "\n  init: ", ToString(model.init), "\n");
  absl::StrAppend(&text, "  tied_head: ", Bool(model.tied_head), "\n  qk_norm: ", Bool(model.qk_norm),
                  "\n  bias: ", Bool(model.bias), "\n  dropout: ", ExactNumber(model.dropout), "\n");
  return text;
}

std::string Baselines(const std::vector<BaselineSpec>& baselines) {
  if (baselines.empty()) return "";
  std::string text = "baselines:\n";
  for (const BaselineSpec& baseline : baselines) {
    std::vector<std::string> smoothings;
    bool adds = false;
    for (const Smoothing smoothing : baseline.smoothings) {
      smoothings.push_back(ToString(smoothing));
      adds = adds || smoothing == Smoothing::kAddK;
    }
    absl::StrAppend(&text, "  - {family: ngram, orders: [", absl::StrJoin(baseline.orders, ", "), "], smoothing: [",
                    absl::StrJoin(smoothings, ", "), "]", adds ? absl::StrCat(", k: ", ExactNumber(baseline.add_k)) : "",
                    ", tokens: ", baseline.tokens.empty() ? "all" : Numbers(baseline.tokens), "}\n");
  }
  return text;
}

std::string Point(const GridPoint& point, Family family) {
  std::string size;
  if (point.params) size = absl::StrCat("params: ", ExactNumber(*point.params));
  if (point.shape) size = absl::StrCat("shape: ", Shape(*point.shape, family));
  if (point.custom_id) size = absl::StrCat("shape: ", Quoted(*point.custom_id));
  const std::string length = point.tokens ? absl::StrCat("tokens: ", ExactNumber(*point.tokens))
                                          : absl::StrCat("flops: ", ExactNumber(point.flops.value_or(0)));
  return absl::StrCat("{", size, ", ", length, "}");
}

std::string Grid(const GridSpec& grid, Family family) {
  std::string text = absl::StrCat("grid:\n  kind: ", ToString(grid.kind), "\n");
  switch (grid.kind) {
    case GridKind::kIsoflop:
      absl::StrAppend(&text, "  budgets: ", Numbers(grid.budgets), "\n  sizes_per_budget: ",
                      grid.sizes_per_budget ? absl::StrCat(*grid.sizes_per_budget) : "all",
                      "\n  spread: ", ExactNumber(grid.spread), "\n");
      absl::StrAppend(&text, "  center: {",
                      grid.center.law.empty()
                          ? absl::StrCat("tokens_per_parameter: ", ExactNumber(grid.center.tokens_per_parameter))
                          : absl::StrCat("law: ", Quoted(grid.center.law)),
                      "}\n");
      break;
    case GridKind::kProduct:
      absl::StrAppend(&text, "  params: ", grid.params ? Numbers(*grid.params) : "all", "\n");
      if (!grid.tokens.empty()) absl::StrAppend(&text, "  tokens: ", Numbers(grid.tokens), "\n");
      if (!grid.tokens_per_parameter.empty()) {
        absl::StrAppend(&text, "  tokens_per_parameter: ", Numbers(grid.tokens_per_parameter), "\n");
      }
      break;
    case GridKind::kList:
      absl::StrAppend(&text, "  points:\n");
      for (const GridPoint& point : grid.points) absl::StrAppend(&text, "    - ", Point(point, family), "\n");
      break;
  }
  absl::StrAppend(&text, "  count: ", ToString(grid.count), "\n  flops: ", ToString(grid.flops),
                  "\n  tolerance: ", ExactNumber(grid.tolerance), "\n");
  return text;
}

std::string Rate(const LearningRateRule& rate) {
  using Kind = LearningRateRule::Kind;
  const std::string value = ExactNumber(rate.value);
  switch (rate.kind) {
    case Kind::kNumber: return value;
    case Kind::kByWidth:
      return absl::StrCat("{value: ", value, ", at_d_model: ", ExactNumber(rate.at_d_model), ", exponent: ",
                          ExactNumber(rate.exponent), "}");
    case Kind::kMup: return absl::StrCat("{rule: mup, value: ", value, ", base_width: ", rate.base_width, "}");
    case Kind::kNanochat: return absl::StrCat("{rule: nanochat, value: ", value, "}");
    case Kind::kOlmoLadder:
    case Kind::kStepLaw: return absl::StrCat("{rule: ", ToString(rate.kind), "}");
  }
  return "?";
}

std::string Training(const StudySpec& spec) {
  const ScheduleRule& schedule = spec.schedule;
  std::string text = absl::StrCat("schedule:\n  kind: ", ToString(schedule.kind),
                                  "\n  warmup: ", LengthText(schedule.warmup), "\n");
  if (schedule.kind == ScheduleKind::kWsd) {
    absl::StrAppend(&text, "  cooldown: ", ExactNumber(schedule.cooldown),
                    "\n  decay_shape: ", ToString(schedule.decay_shape),
                    "\n  trunks: ", schedule.shared_trunks ? "shared" : "none", "\n");
  }
  if (schedule.kind != ScheduleKind::kConstant) {
    absl::StrAppend(&text, "  final_fraction: ", ExactNumber(schedule.final_fraction), "\n");
  }
  const OptimizerRule& optimizer = spec.optimizer;
  absl::StrAppend(&text, "optimizer:\n  lr_peak: ", Rate(optimizer.lr_peak), "\n");
  absl::StrAppend(&text, "  weight_decay: ", ExactNumber(optimizer.weight_decay), "\n  beta1: ",
                  ExactNumber(optimizer.beta1), "\n  beta2: ", ExactNumber(optimizer.beta2), "\n  eps: ",
                  ExactNumber(optimizer.eps), "\n  clip_norm: ", ExactNumber(optimizer.clip_norm), "\n");
  absl::StrAppend(&text, "  lr_scale: {blocks: ", ExactNumber(optimizer.lr_scale_blocks), ", embedding: ",
                  ExactNumber(optimizer.lr_scale_embedding), ", head: ", ExactNumber(optimizer.lr_scale_head), "}\n");
  const bool stated = spec.batch.kind == BatchRule::Kind::kTokens || spec.batch.kind == BatchRule::Kind::kSequences;
  absl::StrAppend(&text, "batch: {", stated ? absl::StrCat(ToString(spec.batch.kind), ": ", ExactNumber(spec.batch.value))
                                            : absl::StrCat("rule: ", ToString(spec.batch.kind)),
                  "}\n");
  absl::StrAppend(&text, "precision: ", spec.precision ? ToString(*spec.precision) : "auto",
                  "\ndeterministic: ", Bool(spec.deterministic), "\n");
  absl::StrAppend(&text, "evaluation: {every: ", LengthText(spec.evaluation.every));
  if (spec.evaluation.sequence_length > 0) {
    absl::StrAppend(&text, ", sequence_length: ", spec.evaluation.sequence_length);
  }
  return absl::StrCat(text, "}\n");
}

std::string Resources(const ResourcesSpec& resources) {
  const SlotsPerTrial& slots = resources.slots_per_trial;
  std::string text = "auto";
  if (!slots.is_auto && slots.up_to.empty()) text = absl::StrCat(slots.fixed);
  if (!slots.up_to.empty()) {
    std::vector<std::string> items;
    for (const auto& [params, count] : slots.up_to) items.push_back(absl::StrCat(ExactNumber(params), ": ", count));
    text = absl::StrCat("{", absl::StrJoin(items, ", "), "}");
  }
  return absl::StrCat("resources: {slot: ", ToString(resources.slot), ", slots_per_trial: ", text,
                      ", slots_per_gpu: 1}\n");
}

std::string Running(const StudySpec& spec) {
  std::string text = Resources(spec.resources);
  std::vector<std::string> limits;
  if (spec.limits.flops) limits.push_back(absl::StrCat("flops: ", ExactNumber(*spec.limits.flops)));
  if (spec.limits.slot_hours) limits.push_back(absl::StrCat("slot_hours: ", ExactNumber(*spec.limits.slot_hours)));
  limits.push_back(absl::StrCat("trial_wall: ", ExactNumber(absl::ToDoubleSeconds(spec.limits.trial_wall)), "s"));
  absl::StrAppend(&text, "limits: {", absl::StrJoin(limits, ", "), "}\n");
  absl::StrAppend(&text, "retry: {lost: ", spec.retry.lost, ", crashed: ", spec.retry.crashed, ", oom: ",
                  spec.retry.oom, ", timeout: ", spec.retry.timeout, ", diverged: ");
  absl::StrAppend(&text, spec.retry.diverged, "}\n");
  return text;
}

std::string Analysis(const AnalysisSpec& analysis) {
  std::string text = absl::StrCat("analysis:\n  form: ", analysis.form, "\n  objective: ",
                                  ToString(analysis.objective), "\n  delta: ", ExactNumber(analysis.delta),
                                  "\n  outliers: ", analysis.outliers, "\n");
  absl::StrAppend(&text, "  weights: ", ToString(analysis.weights), "\n  loss: ", ToString(analysis.loss), "\n");
  absl::StrAppend(&text, "  bootstrap: {method: ", analysis.bootstrap_method, ", draws: ", analysis.draws,
                  ", seed: ", analysis.bootstrap_seed, ", levels: ", Numbers(analysis.levels), ", coverage: ", Quoted(analysis.coverage), "}\n");
  absl::StrAppend(&text, "  isoflop: {minimum: ", analysis.isoflop_minimum, ", budget_tolerance: ",
                  ExactNumber(analysis.budget_tolerance), "}\n");
  absl::StrAppend(&text, "  holdout_error: ", Percent(analysis.holdout_error), "\n  goal: {",
                  analysis.goal_budget ? absl::StrCat("budget: ", ExactNumber(*analysis.goal_budget), ", ") : "",
                  "factor: ", ExactNumber(analysis.goal_factor), "}\n");
  return text;
}

std::string Trainer(const std::optional<CustomTrainerSpec>& trainer) {
  if (!trainer) return "trainer: builtin\n";
  std::string text = absl::StrCat("trainer:\n  command: ", Words(trainer->command), "\n  launch: ",
                                  ToString(trainer->launch), "\n");
  if (!trainer->sources.empty()) absl::StrAppend(&text, "  sources: ", Words(trainer->sources), "\n");
  if (!trainer->env.empty()) {
    std::vector<std::string> items;
    for (const auto& [key, value] : trainer->env) items.push_back(absl::StrCat(Quoted(key), ": ", Quoted(value)));
    absl::StrAppend(&text, "  env: {", absl::StrJoin(items, ", "), "}\n");
  }
  if (!trainer->options.empty()) absl::StrAppend(&text, "  options: ", Options(trainer->options), "\n");
  return text;
}

}  // namespace

std::string ResolvedYaml(const StudySpec& spec) {
  std::string text = absl::StrCat("version: 1\nname: ", Quoted(spec.name), "\n");
  if (!spec.description.empty()) absl::StrAppend(&text, "description: ", Quoted(spec.description), "\n");
  const DataSpec& data = spec.data;
  absl::StrAppend(&text, "data:\n  ",
                  data.synthetic.empty() ? absl::StrCat("path: ", Quoted(data.path))
                                         : absl::StrCat("synthetic: ", Quoted(data.synthetic)),
                  "\n  tokenizer: ", Quoted(data.tokenizer), "\n");
  absl::StrAppend(&text, "  eval: {share: ", ExactNumber(data.eval.share), ", max_tokens: ", data.eval.max_tokens,
                  ", by: ", ToString(data.eval.by), ", seed: ", data.eval.seed);
  absl::StrAppend(&text, "}\n  if_short: ", ToString(data.if_short), "\n");
  absl::StrAppend(&text, Model(spec.model), Baselines(spec.baselines), Grid(spec.grid, spec.model.family), "seeds: [", absl::StrJoin(spec.seeds, ", "), "]\n");
  if (spec.replicates.cells > 0) {
    absl::StrAppend(&text, "replicates: {cells: ", spec.replicates.cells, ", seeds: ", spec.replicates.seeds, "}\n");
  }
  return absl::StrCat(text, Training(spec), Running(spec), Analysis(spec.analysis), Trainer(spec.trainer));
}

}  // namespace isoflop
