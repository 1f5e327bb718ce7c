#include "tools/isoflop/live_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "study/format.h"
#include "tools/isoflop/status_table.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

constexpr size_t kMostRunning = 8;
constexpr size_t kSlowest = 5;
constexpr int kBarWidth = 18;
constexpr double kRecentSeconds = 60;
// Before so much is known, no ETA is told.
constexpr double kEtaAfterSeconds = 5;
constexpr double kEtaAfterShare = 0.005;

bool IsFinalState(const std::string& state) {
  return state == "completed" || state == "diverged" || state == "failed" || state == "cancelled";
}

double ShareOf(const wire::Trial& trial) {
  if (IsFinalState(trial.state())) return 1;
  if (trial.flops_to_spend() <= 0) return 0;
  return std::clamp(trial.flops_done() / trial.flops_to_spend(), 0.0, 1.0);
}

std::string Padded(const std::string& text, size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

std::string PaddedLeft(const std::string& text, size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

std::string Painted(const std::string& state) {
  if (state == "completed") return Green(state);
  if (state == "failed") return Red(state);
  return Yellow(state);
}

}  // namespace

double LiveView::ParamsOf(const wire::Trial& trial) const {
  ParamCounts counts;
  counts.embedding = trial.params_embedding();
  counts.position = trial.params_position();
  counts.head = trial.params_head();
  counts.blocks = trial.params_blocks();
  return static_cast<double>(ParamsUnder(options_.count, counts));
}

std::string LiveView::NameOf(const wire::Trial& trial) const {
  return absl::StrCat(" trial ", trial.id(), "  ", ParamsText(trial, options_.count),
                      trial.role() == wire::TRIAL_ROLE_TRUNK ? " trunk x " : " x ",
                      FormatTokens(static_cast<double>(trial.tokens_planned())));
}

std::string LiveView::SlotsOf(const wire::Trial& trial) const {
  std::string label = options_.slot_kind.empty() ? trial.worker() : options_.slot_kind;
  if (trial.slots_size() == 0) return label;
  absl::StrAppend(&label, ":", trial.slots(0));
  if (trial.slots_size() > 1) absl::StrAppend(&label, "-", trial.slots(trial.slots_size() - 1));
  return label;
}

std::string LiveView::EndedLine(const wire::Trial& trial) const {
  std::string line = absl::StrCat(NameOf(trial), "  ", Painted(trial.state()));
  if (trial.state() != "completed") {
    if (!trial.outcome_detail().empty()) absl::StrAppend(&line, "  ", trial.outcome_detail());
    return line;
  }
  if (trial.role() == wire::TRIAL_ROLE_TRUNK || !trial.has_final_loss_nats()) return line;
  absl::StrAppend(&line, "  loss ", FormatLoss(trial.final_loss_nats()));
  if (fit_.has_value() && trial.role() != wire::TRIAL_ROLE_BASELINE) {
    const double predicted =
        fit_->law.LossAt(ParamsOf(trial), static_cast<double>(trial.tokens_trained()));
    absl::StrAppend(&line, "  (predicted ", FormatLoss(predicted));
    const double z = fit_->Z(ParamsOf(trial), static_cast<double>(trial.tokens_trained()),
                             trial.final_loss_nats());
    if (z != 0) absl::StrAppendFormat(&line, ", z %+.1f", z);
    absl::StrAppend(&line, ")");
  }
  return line;
}

double LiveView::WorkOf(const wire::Trial& trial) const {
  if (!by_seconds_) return trial.flops_to_spend();
  const auto found = options_.expected_seconds.find(trial.id());
  return found == options_.expected_seconds.end() ? 0 : found->second;
}

std::vector<TrialChange> LiveView::Update(const wire::Study& study,
                                          const std::vector<wire::Trial>& trials, double now) {
  study_ = study;
  running_.clear();
  std::vector<TrialChange> changes;
  for (const wire::Trial& trial : trials) {
    if (trial.state() == "leased") running_.push_back(trial);
    Seen& seen = seen_[trial.id()];
    const Seen before = seen;
    seen = {trial.state(), trial.attempt()};
    if (!started_ && trial.state() != "leased") continue;
    const bool new_attempt = trial.attempt() != before.attempt;
    if (trial.state() == "leased" && (before.state != "leased" || new_attempt)) {
      changes.push_back({TrialChange::Kind::kStarted, "",
                         absl::StrCat(NameOf(trial), "  started on ", SlotsOf(trial),
                                      trial.attempt() > 1
                                          ? absl::StrCat(", attempt ", trial.attempt())
                                          : "")});
    } else if (IsFinalState(trial.state()) && trial.state() != before.state) {
      changes.push_back({TrialChange::Kind::kEnded, trial.state(), EndedLine(trial)});
    } else if (before.state == "leased" && trial.state() != "leased") {
      changes.push_back({TrialChange::Kind::kAgain, "",
                         absl::StrCat(NameOf(trial), "  attempt ", before.attempt, " ",
                                      Yellow(trial.previous_end().empty() ? "ended"
                                                                          : trial.previous_end()),
                                      ", goes on later")});
    }
  }

  // By time only when every trial that is left has one.
  if (!started_) {
    by_seconds_ = !options_.expected_seconds.empty();
    for (const wire::Trial& trial : trials) {
      if (!IsFinalState(trial.state()) && !options_.expected_seconds.contains(trial.id())) {
        by_seconds_ = false;
      }
    }
  }
  double done = 0;
  work_left_ = 0;
  longest_left_ = 0;
  for (const wire::Trial& trial : trials) {
    const double work = WorkOf(trial);
    const double share = ShareOf(trial);
    done += work * share;
    work_left_ += work * (1 - share);
    longest_left_ = std::max(longest_left_, work * (1 - share));
  }
  if (!started_) {
    begun_at_ = now;
    done_before_ = done;
  }
  samples_.push_back({now, done});
  while (samples_.size() > 2 && samples_[1].at < now - kRecentSeconds) samples_.pop_front();
  started_ = true;
  return changes;
}

std::optional<LiveView::Eta> LiveView::EstimateEta(double now) const {
  if (!started_ || samples_.empty() || work_left_ <= 0) return std::nullopt;
  const double elapsed = samples_.back().at - begun_at_;
  const double done = samples_.back().done - done_before_;
  if (elapsed < kEtaAfterSeconds || done <= kEtaAfterShare * (done + work_left_)) {
    return std::nullopt;
  }
  // The slots work side by side, but the last trial has one place only.
  const double places = std::max(1, study_.slots_total());
  const auto left_at = [&](double rate) {
    return std::max(work_left_ / rate, longest_left_ * places / rate);
  };
  Eta eta;
  eta.seconds = left_at(done / elapsed);
  const double recent_span = samples_.back().at - samples_.front().at;
  const double recent_done = samples_.back().done - samples_.front().done;
  if (recent_span > kEtaAfterSeconds && recent_done > 0) {
    eta.plus_minus = std::abs(left_at(recent_done / recent_span) - eta.seconds);
  }
  eta.plus_minus = std::max(eta.plus_minus, 0.05 * eta.seconds);
  eta.seconds = std::max(0.0, eta.seconds - (now - samples_.back().at));
  return eta;
}

std::string LiveView::Summary(double now) const {
  const wire::StateCounts& counts = study_.trials();
  std::string line =
      absl::StrFormat("%s  %d/%d observations  %d running  %d waiting", study_.name(),
                      study_.observations_done(), study_.observations_total(), counts.leased(),
                      counts.queued() + counts.blocked());
  if (counts.failed() > 0) absl::StrAppend(&line, "  ", Red(absl::StrCat(counts.failed(), " failed")));
  if (study_.state() == "paused") {
    absl::StrAppend(&line, "  ", Yellow("paused"));
    if (!study_.state_reason().empty()) absl::StrAppend(&line, ": ", study_.state_reason());
  }
  if (study_.flops_total() > 0) {
    absl::StrAppendFormat(&line, "  %.0f%% of %s FLOPs",
                          std::floor(100 * study_.flops_done() / study_.flops_total()),
                          FormatFlops(study_.flops_total()));
  }
  absl::StrAppend(&line, "  ", FormatSeconds(now - begun_at_));
  if (const std::optional<Eta> eta = EstimateEta(now); eta.has_value()) {
    absl::StrAppend(&line, ", ETA ", FormatSeconds(eta->seconds), " (±",
                    FormatSeconds(eta->plus_minus), ")");
  }
  return line;
}

std::vector<std::string> LiveView::Block(double now) const {
  std::vector<std::string> lines = {Summary(now)};
  std::vector<wire::Trial> shown = running_;
  std::stable_sort(shown.begin(), shown.end(), [](const wire::Trial& a, const wire::Trial& b) {
    const auto place = [](const wire::Trial& trial) {
      return std::pair(trial.worker(), trial.slots_size() > 0 ? trial.slots(0) : 0);
    };
    return place(a) < place(b);
  });
  if (shown.size() > kMostRunning) {
    // The slowest are those whose remaining tokens take longest.
    const auto seconds_left = [](const wire::Trial& trial) {
      const double left = (1 - ShareOf(trial)) * static_cast<double>(trial.tokens_planned());
      return left / std::max(1.0, trial.tokens_per_second());
    };
    std::stable_sort(shown.begin(), shown.end(), [&](const wire::Trial& a, const wire::Trial& b) {
      return seconds_left(a) > seconds_left(b);
    });
    shown.resize(kSlowest);
    lines.push_back(absl::StrCat(" ", running_.size(), " running, the ", kSlowest, " slowest:"));
  }
  std::vector<std::vector<std::string>> rows;
  for (const wire::Trial& trial : shown) {
    rows.push_back({SlotsOf(trial), ParamsText(trial, options_.count),
                    FormatTokens(static_cast<double>(trial.tokens_planned())),
                    trial.has_loss_nats() ? FormatLoss(trial.loss_nats()) : "-",
                    trial.tokens_per_second() > 0 ? FormatRate(trial.tokens_per_second()) : "-"});
  }
  std::vector<size_t> widths(5);
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const double share = ShareOf(shown[i]);
    lines.push_back(absl::StrFormat(
        " %s  N %s  D %s  %s %3.0f%%  loss %s  %s tok/s%s", Padded(rows[i][0], widths[0]),
        Padded(rows[i][1], widths[1]), Padded(rows[i][2], widths[2]), ProgressBar(share, kBarWidth),
        std::floor(100 * share), Padded(rows[i][3], widths[3]), PaddedLeft(rows[i][4], widths[4]),
        shown[i].suspect() ? "  " + Yellow("unheard") : ""));
  }
  if (fit_.has_value()) lines.push_back(fit_->line);
  return lines;
}

}  // namespace isoflop
