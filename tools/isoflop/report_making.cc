#include "tools/isoflop/report_making.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "analysis/analyze.h"
#include "store/result_store.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"
#include "tools/isoflop/version.h"

namespace isoflop {
namespace {

ReportTrial TrialOf(const StoredTrial& stored, std::vector<LossPoint> curve) {
  const TrialSpec& spec = stored.planned.spec;
  ReportTrial trial;
  trial.id = absl::StrCat(stored.id.value());
  trial.state = stored.standing.state;
  trial.outcome_detail = stored.standing.detail;
  trial.is_trunk = stored.planned.role == TrialRole::kTrunk;
  trial.seed = spec.seed;
  trial.shape = spec.model;
  trial.sequence_length = spec.sequence_length;
  trial.counts = stored.planned.params;
  trial.budget_flops = stored.planned.budget_flops;
  trial.tokens_planned = static_cast<double>(spec.tokens_planned());
  trial.flops_6nd = stored.planned.flops_6nd;
  trial.flops_exact = stored.planned.flops_exact;
  trial.attempts = stored.standing.attempts;
  if (stored.result.has_value()) {
    trial.tokens_trained = static_cast<double>(stored.result->tokens_trained);
    trial.final_loss_nats = stored.result->final_loss_nats;
    trial.slot_seconds = stored.result->wall_seconds.value_or(0) * stored.planned.slots;
    trial.tokens_per_second = stored.result->tokens_per_second.value_or(0);
  }
  trial.curve = std::move(curve);
  return trial;
}

// The one value that all trials share, or the range of the smallest and largest.
std::string RangeText(const std::set<double>& values, std::string (*format)(double)) {
  if (values.empty()) return "";
  if (values.size() == 1) return format(*values.begin());
  return absl::StrCat(format(*values.begin()), " to ", format(*values.rbegin()));
}

std::string ShortNumber(double value) { return absl::StrFormat("%.3g", value); }

std::vector<Fact> Recipe(const std::vector<StoredTrial>& trials) {
  std::set<double> rates, batches, lengths;
  std::set<std::string> schedules, optimizers, precisions, models;
  for (const StoredTrial& trial : trials) {
    if (!IsObservation(trial.planned.role) || trial.planned.text.empty()) continue;
    const TrialSpec& spec = trial.planned.spec;
    const ModelShape& model = spec.model;
    rates.insert(spec.optimizer.lr_peak);
    batches.insert(static_cast<double>(spec.batch_tokens()));
    lengths.insert(static_cast<double>(spec.sequence_length));
    std::string schedule = ToString(spec.schedule.kind);
    if (spec.schedule.kind == ScheduleKind::kWsd) {
      absl::StrAppend(&schedule, ", cooldown ", absl::StrFormat("%.0f", 100 * static_cast<double>(spec.schedule.decay_steps) / static_cast<double>(std::max<int64_t>(spec.steps, 1))),
                      " % ", ToString(spec.schedule.decay_shape));
    }
    absl::StrAppend(&schedule, " to ", ShortNumber(spec.schedule.final_fraction), " of the peak, warm-up ", spec.schedule.warmup_steps, " steps");
    schedules.insert(schedule);
    optimizers.insert(absl::StrFormat("AdamW, beta %.4g %.4g, eps %.3g, weight decay %.3g, clip %.3g", spec.optimizer.beta1, spec.optimizer.beta2,
                                      spec.optimizer.eps, spec.optimizer.weight_decay, spec.optimizer.clip_norm));
    precisions.insert(ToString(spec.precision));
    models.insert(model.family == Family::kCustom ? "custom trainer"
                  : model.family == Family::kLstm
                      ? absl::StrCat("lstm, state reset at every window", model.dropout > 0 ? absl::StrCat(", dropout ", ShortNumber(model.dropout)) : "",
                                     model.tied_head ? ", tied head" : "")
                      : absl::StrCat(ToString(model.family), ", ", ToString(model.norm), ", ", ToString(model.position), ", ", ToString(model.activation),
                                     ", init ", ToString(model.init), model.tied_head ? ", tied head" : "", model.qk_norm ? ", qk norm" : ""));
  }
  std::vector<Fact> recipe;
  const auto add = [&](const char* label, const std::string& text) {
    if (!text.empty()) recipe.emplace_back(label, text);
  };
  add("model", absl::StrJoin(models, "; "));
  add("sequence length", RangeText(lengths, FormatCount));
  add("schedule", absl::StrJoin(schedules, "; "));
  add("peak learning rate", RangeText(rates, ShortNumber));
  add("batch, tokens", RangeText(batches, FormatCount));
  add("optimiser", absl::StrJoin(optimizers, "; "));
  add("precision", absl::StrJoin(precisions, ", "));
  return recipe;
}

// Valid UTF-8 without control characters: a byte model writes any bytes.
std::string Printable(const std::string& text) {
  std::string json = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string clean;
  for (const char c : nlohmann::json::parse(json).get<std::string>()) {
    if (c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20) clean += c;
  }
  return clean;
}

std::vector<ReportBaseline> BaselinesOf(const std::vector<StoredTrial>& trials) {
  std::vector<ReportBaseline> baselines;
  for (const StoredTrial& trial : trials) {
    if (trial.planned.role != TrialRole::kBaseline || !trial.result.has_value() || !trial.result->final_loss_nats.has_value()) continue;
    const ModelShape& model = trial.planned.spec.model;
    baselines.push_back({.trial_id = absl::StrCat(trial.id.value()),
                         .order = model.ngram_order,
                         .smoothing = ToString(model.ngram_smoothing),
                         .tokens = static_cast<double>(trial.result->tokens_trained),
                         .loss_nats = *trial.result->final_loss_nats,
                         .loss_se = trial.result->final_loss_se,
                         .bits_per_byte = trial.result->bits_per_byte});
  }
  std::stable_sort(baselines.begin(), baselines.end(),
                   [](const ReportBaseline& a, const ReportBaseline& b) { return a.loss_nats > b.loss_nats; });
  return baselines;
}

// The text of the best trial that left one; with `counted` of a baseline.
std::optional<ReportSample> BestSample(const std::vector<StoredTrial>& trials, bool counted) {
  const StoredTrial* best = nullptr;
  for (const StoredTrial& trial : trials) {
    if (counted ? trial.planned.role != TrialRole::kBaseline : !IsObservation(trial.planned.role)) continue;
    if (!trial.result.has_value() || !trial.result->final_loss_nats.has_value() || trial.result->sample_text.empty()) continue;
    if (best == nullptr || *trial.result->final_loss_nats < *best->result->final_loss_nats) best = &trial;
  }
  if (best == nullptr) return std::nullopt;
  const ModelShape& model = best->planned.spec.model;
  const std::string size = counted ? absl::StrCat("order ", model.ngram_order) : absl::StrCat("N ", FormatCount(static_cast<double>(best->planned.params.total())), " in all");
  return ReportSample{absl::StrCat(ToString(model.family), ", ", size, ", D ", FormatTokens(static_cast<double>(best->result->tokens_trained)), ", loss ",
                                   FormatLoss(*best->result->final_loss_nats), " (trial ", best->id.value(), ", seed ", best->planned.spec.seed, ", temperature 1)"),
                      Printable(best->result->sample_text)};
}

ReportData DataOf(const std::vector<StoredTrial>& trials) {
  ReportData data;
  for (const StoredTrial& trial : trials) {
    const TrialData& planned = trial.planned.spec.data;
    if (data.dataset_sha256.empty()) {
      data.dataset_sha256 = planned.dataset_sha256;
      data.unique_tokens = static_cast<double>(planned.unique_tokens);
      data.eval_sha256 = planned.eval_sha256;
    }
    if (!trial.result.has_value()) continue;
    data.eval_tokens = std::max(data.eval_tokens, static_cast<double>(trial.result->eval_tokens));
    data.eval_bytes = std::max(data.eval_bytes, static_cast<double>(trial.result->eval_bytes.value_or(0)));
    if (data.tokenizer_sha256.empty()) data.tokenizer_sha256 = trial.result->tokenizer_sha256;
    if (data.eval_sha256.empty()) data.eval_sha256 = trial.result->eval_sha256;
  }
  return data;
}

std::vector<Fact> Provenance(const std::vector<StoredTrial>& trials) {
  std::set<std::string> programs, devices;
  int retried = 0, inexact = 0;
  for (const StoredTrial& trial : trials) {
    retried += trial.standing.attempts > 1 ? 1 : 0;
    if (!trial.result.has_value()) continue;
    programs.insert(trial.result->program);
    devices.insert(trial.result->device);
    inexact += trial.result->resumed_exact.value_or(true) ? 0 : 1;
  }
  programs.erase("");
  devices.erase("");
  return {{"trainer", absl::StrJoin(programs, "; ")},
          {"hardware", absl::StrJoin(devices, "; ")},
          {"trials with more than one attempt", absl::StrCat(retried, inexact > 0 ? absl::StrCat("; ", inexact, " resumed inexactly") : "")}};
}

}  // namespace

absl::StatusOr<ReportContext> StudyReportContext(const std::string& name, const std::string& db) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> store, ResultStore::Open(db));
  ISOFLOP_ASSIGN_OR_RETURN(const StudyRecord study, store->FindStudy(name));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, store->Trials(study.id));
  ReportContext context;
  context.title = study.name;
  context.source = "study";
  context.program_version = CodeVersion();
  context.resolved_yaml = study.spec_yaml;
  context.data = DataOf(trials);
  // An imported study's text is no YAML of ours.
  if (const absl::StatusOr<StudySpec> spec = ParseStudyYaml(study.spec_yaml, study.name); spec.ok()) {
    context.description = spec->description;
    context.data->name = spec->data.path.empty() ? spec->data.synthetic : std::filesystem::path(spec->data.path).filename().string();
    context.data->tokenizer = spec->data.tokenizer;
  }
  context.recipe = Recipe(trials);
  context.provenance = Provenance(trials);
  absl::Time newest = absl::InfinitePast();
  context.baselines = BaselinesOf(trials);
  for (const bool counted : {false, true}) {
    if (std::optional<ReportSample> sample = BestSample(trials, counted)) context.samples.push_back(*std::move(sample));
  }
  for (const StoredTrial& trial : trials) {
    if (trial.planned.role == TrialRole::kBaseline) continue;
    if (context.family.empty() && !trial.planned.text.empty()) context.family = ToString(trial.planned.spec.model.family);
    ISOFLOP_ASSIGN_OR_RETURN(std::vector<LossPoint> curve, store->LoadCurve(trial.id));
    context.trials.push_back(TrialOf(trial, std::move(curve)));
    if (trial.result.has_value() && trial.finished_at.has_value()) newest = std::max(newest, *trial.finished_at);
  }
  if (newest != absl::InfinitePast()) context.last_result_at = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", newest, absl::UTCTimeZone());
  context.commands = {absl::StrCat("isoflop report ", study.name), "isoflop report --from report.json"};
  return context;
}

namespace {

// Analyses each study that --beside names under the flags of this one, and compares
// it with `own`. Appends its sample of text.
absl::Status AddFamilies(const ReportRequest& request, const AnalysisInput& input, const AnalysisResult& own, const Context& context,
                         ReportContext* about) {
  for (const std::string& source : request.beside) {
    AnalysisFlags flags = request.flags;
    flags.source = source;
    flags.with_curves = false;
    if (!IsCsv(source)) {
      flags.columns.clear();
      flags.derivations.clear();
    }
    ISOFLOP_ASSIGN_OR_RETURN(AnalysisInput other, LoadAnalysisInput(flags, context));
    other.options.sections = AnalysisOptions::Sections::None();
    ReportFamily family{.name = other.name, .family = "", .analysis = {}, .comparison = {}};
    if (!other.is_csv) {
      ISOFLOP_ASSIGN_OR_RETURN(ReportContext beside, StudyReportContext(other.name, context.environment.db));
      family.family = beside.family;
      // The counted models of one data set are told once.
      if (!beside.samples.empty() && !beside.family.empty()) about->samples.push_back(std::move(beside.samples.back()));
    }
    ComparisonOptions comparing;
    if (flags.draws) comparing.draws = *flags.draws;
    if (flags.seed) comparing.seed = *flags.seed;
    comparing.levels = input.options.spec.levels;
    ISOFLOP_ASSIGN_OR_RETURN(family.analysis, Analyze(std::move(other.observations), other.options));
    family.comparison = CompareStudies(own, input.name, family.analysis, family.name, comparing);
    about->families.push_back(std::move(family));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MadeReport> MakeReport(const ReportRequest& request, const Context& context) {
  std::string storage;
  WriteReportOptions options;
  options.convert = request.convert;
  ISOFLOP_ASSIGN_OR_RETURN(options.html.plotly_gzip, FindPlotly(request.js, &storage));
  AnalysisFlags flags = request.flags;
  flags.with_curves = true;
  ISOFLOP_ASSIGN_OR_RETURN(AnalysisInput input, LoadAnalysisInput(flags, context));
  ReportContext about;
  if (input.is_csv) {
    about.title = input.name;
    about.source = "CSV";
    about.program_version = CodeVersion();
    about.commands = {absl::StrCat("isoflop report ", input.name), "isoflop report --from report.json"};
  } else {
    ISOFLOP_ASSIGN_OR_RETURN(about, StudyReportContext(input.name, context.environment.db));
  }
  input.options.sections = AnalysisOptions::Sections();  // a report has them all
  MadeReport made{.name = input.name, .is_newest = input.is_newest, .analysis = {}, .report = {}, .written = {}};
  ISOFLOP_ASSIGN_OR_RETURN(made.analysis, Analyze(std::move(input.observations), input.options));
  ISOFLOP_RETURN_IF_ERROR(AddFamilies(request, input, made.analysis, context, &about));
  made.report = BuildReport(made.analysis, about);
  const std::string stem = input.is_csv ? std::filesystem::path(input.name).stem().string() : input.name;
  const std::string folder = request.output.empty() ? stem + "-report" : request.output;
  ISOFLOP_ASSIGN_OR_RETURN(made.written, WriteReport(made.report, folder, options));
  return made;
}

std::string WrittenLine(const WrittenReport& written) {
  return absl::StrCat(written.html_path, " ", FormatBytes(static_cast<double>(written.html_bytes)), ", ", Plural(written.figures, "figure"));
}

}  // namespace isoflop
