// The sections `schedule`, `optimizer`, `batch`, `precision`, `deterministic`
// and `evaluation`.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "study/quantity.h"
#include "study/study_yaml_sections.h"

namespace isoflop {
namespace {

using LrKind = LearningRateRule::Kind;

constexpr NumberKind kLengthKind = {"a length", "2%, 1M (tokens) or 40 steps"};
constexpr double kMaxRate = 1e3;

void ReadRateRule(YamlReader& reader, const YamlTree& rule, LearningRateRule* rate) {
  const std::string name = reader.ChoiceText(rule, {"nanochat", "olmo-ladder", "step-law", "mup"});
  if (name == "olmo-ladder" || name == "step-law") {
    rate->kind = name == "step-law" ? LrKind::kStepLaw : LrKind::kOlmoLadder;
    for (const char* key : {"value", "base_width"}) {
      reader.Misplaced(key, absl::StrCat("has no place in rule '", name, "', which states every number"));
    }
  } else if (name == "nanochat" || name == "mup") {
    rate->kind = name == "mup" ? LrKind::kMup : LrKind::kNanochat;
    reader.Require("value", absl::StrCat("{rule: ", name, ", value: 1e-2", name == "mup" ? ", base_width: 128}" : "}"));
    reader.Number("value", &rate->value, 1e-12, kMaxRate);
    if (name == "mup") {
      reader.Require("base_width", "{rule: mup, value: 1e-2, base_width: 128}");
      reader.Count("base_width", &rate->base_width, 1, 1 << 20);
    } else {
      reader.Misplaced("base_width", "belongs to rule 'mup'");
    }
  }
  for (const char* key : {"at_d_model", "exponent", "law"}) reader.Misplaced(key, "and 'rule' exclude each other");
}

void ReadRate(YamlReader& optimizer, LearningRateRule* rate) {
  const YamlTree* value = optimizer.Require(
      "lr_peak", "lr_peak: 3e-3, {value: 1e-2, at_d_model: 24, exponent: -0.5} or {rule: olmo-ladder}");
  if (value == nullptr) return;
  if (!value->is_map()) {
    optimizer.Number("lr_peak", &rate->value, 1e-12, kMaxRate);
    return;
  }
  YamlReader reader = optimizer.Child(*value, "lr_peak");
  if (const YamlTree* rule = reader.Take("rule")) {
    ReadRateRule(reader, *rule, rate);
  } else if (reader.Has("law")) {
    reader.Later("law", "a rate from another study's law comes");
    for (const char* key : {"value", "at_d_model", "exponent", "base_width"}) reader.Has(key);
  } else {
    rate->kind = LrKind::kByWidth;
    reader.Require("value", "{value: 1e-2, at_d_model: 24, exponent: -0.5}");
    reader.Require("at_d_model", "{value: 1e-2, at_d_model: 24, exponent: -0.5}");
    reader.Require("exponent", "{value: 1e-2, at_d_model: 24, exponent: -0.5}");
    reader.Number("value", &rate->value, 1e-12, kMaxRate);
    reader.Number("at_d_model", &rate->at_d_model, 1, 1 << 20);
    reader.Number("exponent", &rate->exponent, -10, 10);
    reader.Misplaced("base_width", "belongs to rule 'mup'");
  }
  reader.Finish();
}

// What a rule states of the schedule, where the study itself is silent.
void ApplyRuleDefaults(StudySpec* spec) {
  const auto stated = [&](const std::string& key) { return spec->source.marks.contains(key); };
  ScheduleRule& schedule = spec->schedule;
  if (spec->optimizer.lr_peak.kind == LrKind::kOlmoLadder && !stated("schedule.warmup")) {
    schedule.warmup = Length{Length::Kind::kParams, 1};
  }
  if (spec->optimizer.lr_peak.kind == LrKind::kNanochat) {
    if (!stated("schedule.warmup")) schedule.warmup = Length{Length::Kind::kSteps, 40};
    if (schedule.kind == ScheduleKind::kWsd && !stated("schedule.cooldown")) schedule.cooldown = 0.65;
    if (schedule.kind != ScheduleKind::kConstant && !stated("schedule.final_fraction")) schedule.final_fraction = 0.05;
  }
}

}  // namespace

bool ReadLength(YamlReader& reader, const std::string& key, Length* out) {
  const YamlTree* value = reader.Take(key);
  if (value == nullptr) return false;
  absl::string_view text = value->scalar;
  if (value->is_scalar() && absl::EndsWith(text, "%")) {
    const std::optional<double> share = ParseShare(value->scalar);
    if (share && *share <= 1) {
      *out = Length{Length::Kind::kShare, *share};
      return true;
    }
  } else if (value->is_scalar() && (absl::ConsumeSuffix(&text, " steps") || absl::ConsumeSuffix(&text, " step"))) {
    if (const auto steps = ParseCount(std::string(text))) {
      *out = Length{Length::Kind::kSteps, static_cast<double>(*steps)};
      return true;
    }
  } else if (value->is_scalar() && value->scalar == "params") {
    *out = Length{Length::Kind::kParams, 1};
    return true;
  } else if (value->is_scalar()) {
    if (const auto tokens = ParseCount(value->scalar)) {
      *out = Length{Length::Kind::kTokens, static_cast<double>(*tokens)};
      return true;
    }
  }
  reader.Error(value->mark, NotANumber(*value, kLengthKind), kLengthKind.examples);
  return false;
}

void ReadScheduleSection(YamlReader& root, ScheduleRule* schedule) {
  const YamlTree* section = root.Take("schedule");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "schedule");
  reader.Choice("kind", &schedule->kind);
  ReadLength(reader, "warmup", &schedule->warmup);
  if (schedule->kind == ScheduleKind::kWsd) {
    reader.Share("cooldown", &schedule->cooldown, 0.001, 1);
    reader.Choice("decay_shape", &schedule->decay_shape);
    if (const YamlTree* trunks = reader.Take("trunks")) {
      const std::string text = reader.ChoiceText(*trunks, {"shared", "none"});
      if (!text.empty()) schedule->shared_trunks = text == "shared";
    }
  } else {
    schedule->shared_trunks = false;
    for (const char* key : {"cooldown", "decay_shape", "trunks"}) reader.Misplaced(key, "belongs to kind: wsd");
  }
  if (schedule->kind == ScheduleKind::kConstant) {
    reader.Misplaced("final_fraction", "says nothing to kind: constant");
  } else {
    reader.Number("final_fraction", &schedule->final_fraction, 0, 1);
  }
  reader.Finish();
}

void ReadOptimizerSection(YamlReader& root, StudySpec* spec) {
  const YamlTree* section = root.Require("optimizer", "optimizer: {lr_peak: 3e-3}");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "optimizer");
  OptimizerRule& optimizer = spec->optimizer;
  ReadRate(reader, &optimizer.lr_peak);
  reader.Number("weight_decay", &optimizer.weight_decay, 0, 1e6);
  reader.Number("beta1", &optimizer.beta1, 0, 0.999999);
  reader.Number("beta2", &optimizer.beta2, 0, 0.999999);
  reader.Number("eps", &optimizer.eps, 1e-30, 1);
  reader.Number("clip_norm", &optimizer.clip_norm, 1e-9, 1e9);
  if (const YamlTree* scale = reader.Take("lr_scale")) {
    YamlReader scales = reader.Child(*scale, "lr_scale");
    scales.Number("blocks", &optimizer.lr_scale_blocks, 0, 1e6);
    scales.Number("embedding", &optimizer.lr_scale_embedding, 0, 1e6);
    scales.Number("head", &optimizer.lr_scale_head, 0, 1e6);
    scales.Finish();
  }
  reader.Finish();
  ApplyRuleDefaults(spec);

  const LrKind kind = optimizer.lr_peak.kind;
  const Mark mark = spec->source.Find("optimizer.lr_peak");
  if (spec->model.family == Family::kCustom && (kind == LrKind::kByWidth || kind == LrKind::kMup)) {
    reader.Error(mark, "a rate by width, but family custom states no d_model", "lr_peak: 3e-3, or {rule: olmo-ladder}");
  }
  if (kind == LrKind::kMup && spec->model.init != Init::kMup && spec->model.family != Family::kCustom) {
    if (spec->model.family == Family::kLstm) {
      reader.Error(mark, "rule 'mup' is worked out for transformers", "{value: 1e-2, at_d_model: 64, exponent: -0.5}");
    } else {
      reader.Error(mark, absl::StrCat("rule 'mup' with init ", ToString(spec->model.init)), "model: {init: mup}");
    }
  }
  if (kind != LrKind::kMup && spec->model.init == Init::kMup) {
    reader.Error(spec->source.Find("model.init"), "init mup without a base width",
                 "optimizer: {lr_peak: {rule: mup, value: 1e-2, base_width: 128}}");
  }
}

void ReadBatchSection(YamlReader& root, BatchRule* batch) {
  const YamlTree* section = root.Require("batch", "batch: {tokens: 64Ki}");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "batch");
  const YamlTree* tokens = reader.Take("tokens");
  const YamlTree* sequences = reader.Take("sequences");
  const YamlTree* rule = reader.Take("rule");
  if ((tokens != nullptr) + (sequences != nullptr) + (rule != nullptr) != 1) {
    reader.Error(section->mark, "batch has one of tokens, sequences and rule", "batch: {tokens: 64Ki}");
  }
  int64_t count = 0;
  if (reader.Count("tokens", &count, 1, int64_t{1} << 40, kTokensKind)) {
    *batch = BatchRule{BatchRule::Kind::kTokens, static_cast<double>(count)};
  }
  if (reader.Count("sequences", &count, 1, int64_t{1} << 30)) {
    *batch = BatchRule{BatchRule::Kind::kSequences, static_cast<double>(count)};
  }
  if (rule != nullptr) {
    const std::string name = reader.ChoiceText(*rule, {"nanochat", "olmo-ladder", "step-law"});
    if (name == "nanochat") batch->kind = BatchRule::Kind::kNanochat;
    if (name == "olmo-ladder") batch->kind = BatchRule::Kind::kOlmoLadder;
    if (name == "step-law") batch->kind = BatchRule::Kind::kStepLaw;
  }
  reader.Finish();
}

void ReadPrecisionSections(YamlReader& root, StudySpec* spec) {
  if (const YamlTree* precision = root.Take("precision")) {
    const std::string text = root.ChoiceText(*precision, {"auto", "fp32", "bf16"});
    spec->precision = ParseEnum<Precision>(text);
  }
  root.Flag("deterministic", &spec->deterministic);
}

void ReadEvaluationSection(YamlReader& root, EvaluationSpec* evaluation) {
  const YamlTree* section = root.Take("evaluation");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "evaluation");
  if (ReadLength(reader, "every", &evaluation->every) && evaluation->every.kind == Length::Kind::kParams) {
    reader.Error(reader.Take("every")->mark, "'params' is a length of a warm-up", kLengthKind.examples);
  }
  reader.Count("sequence_length", &evaluation->sequence_length, 1, 1 << 24, kTokensKind);
  reader.Finish();
}

}  // namespace isoflop
