// The sections `resources`, `limits`, `retry` and `analysis`.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "study/quantity.h"
#include "study/study_yaml_sections.h"

namespace isoflop {
namespace {

constexpr int kMaxSlots = 4096;

// auto, a number, or {200M: 1, 1B: 8}.
void ReadSlotsPerTrial(YamlReader& reader, SlotsPerTrial* slots) {
  const YamlTree* value = reader.Take("slots_per_trial");
  if (value == nullptr || (value->is_scalar() && value->scalar == "auto")) return;
  slots->is_auto = false;
  constexpr NumberKind kSlots = {"a number of slots", "auto, 2, or {200M: 1, 1B: 8}"};
  if (!value->is_map()) {
    int64_t count = 1;
    reader.CountValue(*value, &count, 1, kMaxSlots, kSlots);
    slots->fixed = static_cast<int>(count);
    return;
  }
  for (const YamlEntry& entry : value->map) {
    const std::optional<double> params = ParseAmount(entry.key);
    if (!params || *params <= 0) {
      reader.Error(entry.key_mark, absl::StrCat("'", entry.key, "' is not ", kParamsKind.name), kParamsKind.examples);
      continue;
    }
    int64_t count = 1;
    if (!reader.CountValue(entry.value, &count, 1, kMaxSlots, kSlots)) continue;
    if (!slots->up_to.empty() && slots->up_to.back().first >= *params) {
      reader.Error(entry.key_mark, "sizes do not rise", "{200M: 1, 1B: 8}");
    }
    slots->up_to.emplace_back(*params, static_cast<int>(count));
  }
  if (value->map.empty()) reader.Error(value->mark, "an empty mapping", "{200M: 1, 1B: 8}");
}

void ReadBootstrap(YamlReader& analysis, AnalysisSpec* spec) {
  const YamlTree* section = analysis.Take("bootstrap");
  if (section == nullptr) return;
  YamlReader reader = analysis.Child(*section, "bootstrap");
  if (const YamlTree* method = reader.Take("method")) {
    const std::string text = reader.ChoiceText(*method, {"auto", "pairs", "cluster", "wild", "parametric"});
    if (!text.empty()) spec->bootstrap_method = text;
  }
  reader.Int("draws", &spec->draws, 0, 1'000'000);
  int64_t seed = 0;
  if (reader.Count("seed", &seed, 0, 4294967295)) spec->bootstrap_seed = static_cast<uint64_t>(seed);
  if (const YamlTree* levels = reader.Take("levels")) {
    if (const auto* items = reader.ListValue(*levels, "levels in percent", 1)) {
      spec->levels.clear();
      for (const YamlTree& item : *items) {
        double level = 0;
        if (reader.NumberValue(item, &level, 1, 99.99)) spec->levels.push_back(level);
      }
      std::sort(spec->levels.begin(), spec->levels.end());
    }
  }
  if (const YamlTree* coverage = reader.Take("coverage")) {
    const std::string text = reader.ChoiceText(*coverage, {"fast", "nested", "off"});
    if (!text.empty()) spec->coverage = text;
  }
  reader.Finish();
}

}  // namespace

void ReadResourcesSection(YamlReader& root, ResourcesSpec* resources) {
  const YamlTree* section = root.Take("resources");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "resources");
  reader.Choice("slot", &resources->slot);
  ReadSlotsPerTrial(reader, &resources->slots_per_trial);
  if (const YamlTree* shared = reader.Take("slots_per_gpu")) {
    if (!shared->is_scalar() || shared->scalar != "1") {
      reader.Error(shared->mark, "'resources.slots_per_gpu': several trials on one GPU come in a later release",
                   "slots_per_gpu: 1");
    }
  }
  reader.Finish();
}

void ReadLimitsSection(YamlReader& root, LimitsSpec* limits) {
  const YamlTree* section = root.Take("limits");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "limits");
  double amount = 0;
  if (reader.Amount("flops", &amount, kFlopsKind)) limits->flops = amount;
  if (reader.Number("slot_hours", &amount, 1e-6, 1e12)) limits->slot_hours = amount;
  reader.Later("wall", "a study's own wall limit comes");
  reader.Duration("trial_wall", &limits->trial_wall);
  reader.Finish();
}

void ReadRetrySection(YamlReader& root, RetrySpec* retry) {
  const YamlTree* section = root.Take("retry");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "retry");
  reader.Int("lost", &retry->lost, 0, 1000);
  reader.Int("crashed", &retry->crashed, 0, 1000);
  reader.Int("oom", &retry->oom, 0, 1000);
  reader.Int("timeout", &retry->timeout, 0, 1000);
  if (const YamlTree* diverged = reader.Take("diverged")) {
    if (!diverged->is_scalar() || diverged->scalar != "0") {
      reader.Error(diverged->mark, "'retry.diverged': new trials for diverged ones come in a later release",
                   "diverged: 0, and more seeds");
    }
  }
  reader.Finish();
}

void ReadAnalysisSection(YamlReader& root, AnalysisSpec* analysis) {
  const YamlTree* section = root.Take("analysis");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "analysis");
  if (const YamlTree* form = reader.Take("form")) {
    const std::string text = reader.ChoiceText(
        *form, {"chinchilla", "tied", "gadre", "kaplan", "multiplicative", "data_constrained", "auto"});
    if (!text.empty()) analysis->form = text;
  }
  reader.Choice("objective", &analysis->objective);
  reader.Number("delta", &analysis->delta, 1e-12, 1e6);
  reader.Int("outliers", &analysis->outliers, 0, 100'000);
  reader.Choice("weights", &analysis->weights);
  reader.Choice("loss", &analysis->loss);
  ReadBootstrap(reader, analysis);
  if (const YamlTree* isoflop = reader.Take("isoflop")) {
    YamlReader approach = reader.Child(*isoflop, "isoflop");
    if (const YamlTree* minimum = approach.Take("minimum")) {
      const std::string text = approach.ChoiceText(*minimum, {"quadratic", "cubic", "akima"});
      if (!text.empty()) analysis->isoflop_minimum = text;
    }
    approach.Share("budget_tolerance", &analysis->budget_tolerance, 1e-6, 1);
    approach.Finish();
  }
  reader.Share("holdout_error", &analysis->holdout_error, 1e-5, 1);
  if (const YamlTree* goal = reader.Take("goal")) {
    YamlReader goals = reader.Child(*goal, "goal");
    double budget = 0;
    if (goals.Amount("budget", &budget, kFlopsKind)) analysis->goal_budget = budget;
    if (const YamlTree* factor = goals.Take("factor")) {
      double width = 0;
      if (goals.NumberValue(*factor, &width, 1, 1e6)) {
        if (width > 1) {
          analysis->goal_factor = width;
        } else {
          goals.Error(factor->mark, "1 is no factor that an interval could be under", "factor: 1.5");
        }
      }
    }
    goals.Finish();
  }
  reader.Finish();
}

}  // namespace isoflop
