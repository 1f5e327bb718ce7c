#include "tools/isoflop/status_table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/convert.h"
#include "study/format.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

// Of what matters: so many that ended last, and that come next.
constexpr size_t kRecent = 8;
constexpr size_t kNext = 4;

bool IsWaiting(const wire::Trial& trial) {
  return trial.state() == "queued" || trial.state() == "blocked";
}
bool IsLeased(const wire::Trial& trial) { return trial.state() == "leased"; }
bool IsBad(const wire::Trial& trial) {
  return trial.state() == "failed" || trial.state() == "diverged" || trial.state() == "cancelled";
}

struct Prediction {
  double loss = 0;
  std::optional<double> z;
};
// What the law says of this trial's end; nullopt without a law, and for trunks and
// baselines.
std::optional<Prediction> Predict(const wire::Trial& trial, const std::optional<LiveFit>& fit,
                                  CountConvention count) {
  const bool observed = trial.role() != wire::TRIAL_ROLE_TRUNK && trial.role() != wire::TRIAL_ROLE_BASELINE;
  if (!fit || !observed || IsBad(trial)) return std::nullopt;
  Prediction out;
  out.loss = fit->law.LossAt(ParamsOfTrial(trial, count), static_cast<double>(trial.tokens_planned()));
  // A law that is met exactly has no noise to count in.
  if (trial.has_final_loss_nats() && fit->sigma > 1e-9) {
    out.z = std::log(trial.final_loss_nats() / out.loss) / fit->sigma;
  }
  return out;
}

std::string SlotRange(const wire::Trial& trial) {
  if (trial.slots_size() == 0) return "";
  const uint32_t first = trial.slots(0), last = trial.slots(trial.slots_size() - 1);
  if (first == last) return absl::StrCat(":", first);
  if (last - first + 1 == static_cast<uint32_t>(trial.slots_size())) return absl::StrCat(":", first, "-", last);
  return absl::StrCat(":", absl::StrJoin(trial.slots(), ","));
}

// The trials to show, in the order of their numbers.
std::vector<const wire::Trial*> Chosen(const StudyView& view, StatusRows rows) {
  std::vector<const wire::Trial*> out, ended, waiting;
  for (const wire::Trial& trial : view.trials) {
    if (rows == StatusRows::kAll || (rows == StatusRows::kFailed && IsBad(trial))) {
      out.push_back(&trial);
    } else if (rows == StatusRows::kWhatMatters) {
      if (IsLeased(trial) || trial.state() == "failed") {
        out.push_back(&trial);
      } else {
        (IsWaiting(trial) ? waiting : ended).push_back(&trial);
      }
    }
  }
  std::stable_sort(ended.begin(), ended.end(), [](const wire::Trial* a, const wire::Trial* b) {
    return std::pair(a->ended_at().seconds(), a->ended_at().nanos()) >
           std::pair(b->ended_at().seconds(), b->ended_at().nanos());
  });
  // Queued ones come before those that wait for a trunk.
  std::stable_sort(waiting.begin(), waiting.end(), [](const wire::Trial* a, const wire::Trial* b) {
    return (a->state() == "queued") > (b->state() == "queued");
  });
  out.insert(out.end(), ended.begin(), ended.begin() + static_cast<ptrdiff_t>(std::min(kRecent, ended.size())));
  out.insert(out.end(), waiting.begin(), waiting.begin() + static_cast<ptrdiff_t>(std::min(kNext, waiting.size())));
  std::sort(out.begin(), out.end(), [](const wire::Trial* a, const wire::Trial* b) { return a->id() < b->id(); });
  return out;
}

std::string Pad(const std::string& text, size_t width, bool left) {
  const std::string blanks(width > text.size() ? width - text.size() : 0, ' ');
  return left ? text + blanks : blanks + text;
}

std::string Painted(const std::string& padded, const std::string& state) {
  if (state == "completed") return Green(padded);
  if (state == "failed") return Red(padded);
  if (state == "diverged" || state == "cancelled") return Yellow(padded);
  return padded;
}

std::string PercentOf(double part, double whole) {
  return whole > 0 ? absl::StrFormat("%.0f%%", std::floor(100 * std::min(1.0, part / whole))) : "0%";
}

}  // namespace

double ParamsOfTrial(const wire::Trial& trial, CountConvention count) {
  ParamCounts params;
  params.embedding = trial.params_embedding();
  params.position = trial.params_position();
  params.head = trial.params_head();
  params.blocks = trial.params_blocks();
  // A tied head multiplies all the same, unless the total is counted.
  if (trial.tied_head() && params.head == 0 && count == CountConvention::kNonEmbeddingPlusHead) {
    return static_cast<double>(params.blocks + params.embedding);
  }
  return static_cast<double>(ParamsUnder(count, params));
}

std::string ParamsText(const wire::Trial& trial, CountConvention count) {
  return trial.counted().empty() ? FormatCount(ParamsOfTrial(trial, count)) : trial.counted();
}

std::string SizeOfTrial(const wire::Trial& trial, CountConvention count) {
  return absl::StrCat(ParamsText(trial, count), " x ",
                      FormatTokens(static_cast<double>(trial.tokens_planned())));
}

nlohmann::json TimeJson(const google::protobuf::Timestamp& time, bool is_there) {
  if (!is_there) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", FromWire(time), absl::UTCTimeZone());
}

std::optional<StatusEta> EstimateEta(const wire::Study& study, absl::Time now) {
  const double left = study.flops_total() - study.flops_done();
  if (left <= 0 || study.flops_per_second() <= 0) return std::nullopt;
  const auto at = [&](double rate) {
    const double slots = std::max(1, study.slots_busy());
    return std::max(left / rate, study.flops_longest_chain() * slots / rate);
  };
  StatusEta eta;
  eta.seconds = eta.low = eta.high = at(study.flops_per_second());
  if (study.has_started_at() && study.flops_done() > 0) {
    const double elapsed = absl::ToDoubleSeconds(now - FromWire(study.started_at()));
    if (elapsed > 1) {
      const double mean = at(study.flops_done() / elapsed);
      eta.low = std::min(eta.seconds, mean);
      eta.high = std::max(eta.seconds, mean);
    }
  }
  return eta;
}

std::string StatusHeadline(const StudyView& view, const std::optional<LiveFit>& fit, absl::Time now) {
  const wire::Study& study = view.study;
  std::string line = absl::StrCat(
      study.name(), "  ", study.state(),
      study.state_reason().empty() || study.state_reason() == study.state() ? "" : absl::StrCat(" (", study.state_reason(), ")"),
      "  ", study.observations_done(), "/", study.observations_total(), " observations  ",
      PercentOf(study.flops_done(), study.flops_total()), " of FLOPs");
  if (study.trials().failed() > 0) absl::StrAppend(&line, "  ", Red(absl::StrCat(study.trials().failed(), " failed")));
  if (const auto eta = EstimateEta(study, now); eta && study.state() == "active") {
    absl::StrAppend(&line, "  ETA ", FormatSeconds(eta->seconds));
    if (FormatSeconds(eta->low) != FormatSeconds(eta->high)) {
      absl::StrAppend(&line, " (", FormatSeconds(eta->low), " - ", FormatSeconds(eta->high), ")");
    }
  }
  if (view.is_live) absl::StrAppend(&line, "  slots ", study.slots_busy(), "/", study.slots_total());
  if (fit && !fit->exponent.empty()) absl::StrAppend(&line, "  ", fit->exponent);
  return line;
}

std::vector<std::string> StatusLines(const StudyView& view, const std::optional<LiveFit>& fit,
                                     const StatusOptions& options) {
  static const std::vector<std::string> kHeader = {"ID", "N", "D", "STATE", "STEP", "LOSS", "PRED", "z", "TOK/S", "MFU", "WORKER", "TRY"};
  constexpr size_t kStateColumn = 3;
  const auto is_left = [](size_t c) { return (c >= 1 && c <= 4) || c >= 10; };
  const std::vector<const wire::Trial*> chosen = Chosen(view, options.rows);
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> tails;  // text that runs over the columns behind the state
  for (const wire::Trial* trial : chosen) {
    std::vector<std::string> row(kHeader.size());
    row[0] = absl::StrCat(trial->id());
    row[1] = ParamsText(*trial, options.count);
    row[2] = FormatTokens(static_cast<double>(trial->tokens_planned()));
    row[3] = trial->suspect() ? "leased?" : trial->state();
    std::string tail;
    if (IsWaiting(*trial)) {
      if (!trial->waits_for().empty()) {
        tail = absl::StrCat("waits for ", trial->waits_for());
      } else if (trial->state() == "blocked") {
        tail = absl::StrCat("waits for trunk ", trial->parent_trial_id(), ", its step ", trial->branch_step());
      }
    } else if (IsBad(*trial)) {
      tail = trial->outcome_detail();
    } else {
      const auto prediction = Predict(*trial, fit, options.count);
      const bool is_trunk = trial->role() == wire::TRIAL_ROLE_TRUNK;
      row[4] = IsLeased(*trial) ? absl::StrCat(FormatCount(static_cast<double>(trial->step())), "/",
                                               FormatCount(static_cast<double>(trial->steps())))
                                : FormatCount(static_cast<double>(trial->step()));
      if (trial->has_loss_nats() && !(is_trunk && !IsLeased(*trial))) row[5] = FormatLoss(trial->loss_nats());
      if (prediction) row[6] = FormatLoss(prediction->loss);
      if (prediction && prediction->z) row[7] = absl::StrFormat("%+.1f", *prediction->z);
      if (trial->tokens_per_second() > 0) row[8] = FormatRate(trial->tokens_per_second());
      if (trial->has_mfu()) row[9] = absl::StrFormat("%.0f%%", 100 * trial->mfu());
      if (IsLeased(*trial)) row[10] = absl::StrCat(trial->worker(), SlotRange(*trial));
      if (trial->attempt() > 1) {
        row[11] = absl::StrCat(trial->attempt(), trial->previous_end().empty() ? "" : absl::StrCat(" (", trial->previous_end(), ")"));
      }
    }
    rows.push_back(std::move(row));
    tails.push_back(std::move(tail));
  }
  std::vector<size_t> widths(kHeader.size());
  for (size_t c = 0; c < kHeader.size(); ++c) widths[c] = kHeader[c].size();
  std::vector<bool> used(kHeader.size(), false);
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], row[c].size());
      used[c] = used[c] || !row[c].empty();
    }
  }
  const auto draw = [&](const std::vector<std::string>& row, const std::string& tail, const std::string& state) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      if (!used[c]) continue;
      const std::string cell = Pad(row[c], widths[c], is_left(c));
      absl::StrAppend(&line, c == 0 ? " " : "  ", c == kStateColumn ? Painted(cell, state) : cell);
      if (c == kStateColumn && !tail.empty()) {
        absl::StrAppend(&line, "  ", tail);
        break;
      }
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    return line;
  };
  std::vector<std::string> lines;
  if (!rows.empty()) lines.push_back(draw(kHeader, "", ""));
  for (size_t i = 0; i < rows.size(); ++i) lines.push_back(draw(rows[i], tails[i], chosen[i]->state()));
  const size_t left_out = view.trials.size() - chosen.size();
  if (options.rows == StatusRows::kWhatMatters && left_out > 0) {
    lines.push_back(absl::StrCat(" ... ", left_out, " more: --trials"));
  }
  if (options.rows == StatusRows::kFailed && rows.empty()) lines.push_back(" none failed, diverged or was cancelled");
  for (const std::string& warning : view.study.warnings()) lines.push_back(" warning: " + warning);
  if (!view.study.health().empty()) lines.push_back(" coordinator: " + view.study.health());
  return lines;
}

std::vector<std::string> WorkerLines(const wire::WorkerList& workers) {
  if (workers.workers().empty()) return {" no worker is known; start one: isoflop worker"};
  TextTable table({"WORKER", "HOST", "STATE", "SLOTS", "DEVICE", "TRIALS", "UNHEARD", "NOTICE"});
  for (const wire::Worker& worker : workers.workers()) {
    table.AddRow({worker.name(), worker.host(), worker.state(),
                  absl::StrCat(worker.slots_size() - worker.free_slots_size(), "/", worker.slots_size()),
                  worker.slots().empty() ? "" : worker.slots(0).device(), absl::StrJoin(worker.trial_ids(), " "),
                  worker.unheard_seconds() >= 1 ? FormatSeconds(worker.unheard_seconds()) : "", worker.notice()});
  }
  std::vector<std::string> lines;
  std::string text = table.ToString();
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(" " + text.substr(0, end));
    text.erase(0, end == std::string::npos ? text.size() : end + 1);
  }
  return lines;
}

nlohmann::json StatusJson(const StudyView& view, const std::optional<LiveFit>& fit,
                          const StatusOptions& options, absl::Time now) {
  const wire::Study& study = view.study;
  const auto eta = EstimateEta(study, now);
  Json trials = Json::array();
  for (const wire::Trial* trial : Chosen(view, options.rows)) {
    const auto prediction = Predict(*trial, fit, options.count);
    Json row = {{"id", trial->id()},
                {"role", ToString(FromWire(trial->role()))},
                {"state", trial->state()},
                {"suspect", trial->suspect()},
                {"outcome", trial->outcome().empty() ? Json(nullptr) : Json(trial->outcome())},
                {"outcome_detail", trial->outcome_detail()},
                {"waits_for", trial->waits_for().empty() ? Json(nullptr) : Json(trial->waits_for())},
                {"parent_trial", trial->parent_trial_id() == 0 ? Json(nullptr) : Json(trial->parent_trial_id())},
                {"seed", trial->seed()},
                {"params", ParamsOfTrial(*trial, options.count)},
                {"counted", trial->counted().empty() ? Json(nullptr) : Json(trial->counted())},
                {"tokens_planned", trial->tokens_planned()},
                {"budget_flops", trial->budget_flops() > 0 ? Json(trial->budget_flops()) : Json(nullptr)},
                {"flops_to_spend", trial->flops_to_spend()},
                {"flops_done", trial->flops_done()},
                {"step", trial->step()},
                {"steps", trial->steps()},
                {"loss_nats", trial->has_loss_nats() ? Json(trial->loss_nats()) : Json(nullptr)},
                {"final_loss_nats", trial->has_final_loss_nats() ? Json(trial->final_loss_nats()) : Json(nullptr)},
                {"predicted_loss_nats", prediction ? Json(prediction->loss) : Json(nullptr)},
                {"z", prediction && prediction->z ? Json(*prediction->z) : Json(nullptr)},
                {"tokens_per_second", trial->tokens_per_second() > 0 ? Json(trial->tokens_per_second()) : Json(nullptr)},
                {"mfu", trial->has_mfu() ? Json(trial->mfu()) : Json(nullptr)},
                {"worker", trial->worker().empty() ? Json(nullptr) : Json(trial->worker())},
                {"attempt", trial->attempt()},
                {"previous_end", trial->previous_end().empty() ? Json(nullptr) : Json(trial->previous_end())},
                {"started_at", TimeJson(trial->started_at(), trial->has_started_at())},
                {"ended_at", TimeJson(trial->ended_at(), trial->has_ended_at())}};
    trials.push_back(std::move(row));
  }
  const wire::StateCounts& counts = study.trials();
  return {{"schema", "isoflop.status/1"},
          {"study",
           {{"name", study.name()},
            {"state", study.state()},
            {"state_reason", study.state_reason()},
            {"created_at", TimeJson(study.created_at(), study.has_created_at())},
            {"observations_done", study.observations_done()},
            {"observations_total", study.observations_total()},
            {"trunks", study.trunks()},
            {"flops_done", study.flops_done()},
            {"flops_total", study.flops_total()},
            {"flops_per_second", study.flops_per_second() > 0 ? Json(study.flops_per_second()) : Json(nullptr)},
            {"slots_busy", view.is_live ? Json(study.slots_busy()) : Json(nullptr)},
            {"slots_total", view.is_live ? Json(study.slots_total()) : Json(nullptr)},
            {"retries", study.retries()},
            {"warnings", std::vector<std::string>(study.warnings().begin(), study.warnings().end())},
            {"trials",
             {{"blocked", counts.blocked()},
              {"queued", counts.queued()},
              {"leased", counts.leased()},
              {"completed", counts.completed()},
              {"diverged", counts.diverged()},
              {"failed", counts.failed()},
              {"cancelled", counts.cancelled()}}}}},
          {"eta_seconds", eta ? Json(eta->seconds) : Json(nullptr)},
          {"eta_low_seconds", eta ? Json(eta->low) : Json(nullptr)},
          {"eta_high_seconds", eta ? Json(eta->high) : Json(nullptr)},
          {"coordinator", view.is_live ? Json(study.health().empty() ? "ok" : study.health()) : Json(nullptr)},
          {"trials", std::move(trials)}};
}

nlohmann::json WorkersJson(const wire::WorkerList& workers) {
  Json rows = Json::array();
  for (const wire::Worker& worker : workers.workers()) {
    Json devices = Json::array();
    for (const wire::Slot& slot : worker.slots()) devices.push_back(slot.device());
    rows.push_back({{"name", worker.name()},
                    {"host", worker.host()},
                    {"state", worker.state()},
                    {"slots", worker.slots_size()},
                    {"free_slots", worker.free_slots_size()},
                    {"devices", std::move(devices)},
                    {"trials", std::vector<int64_t>(worker.trial_ids().begin(), worker.trial_ids().end())},
                    {"unheard_seconds", worker.unheard_seconds()},
                    {"trainer_version", worker.trainer_version()},
                    {"notice", worker.notice()}});
  }
  return {{"schema", "isoflop.workers/1"}, {"workers", std::move(rows)}};
}

}  // namespace isoflop
