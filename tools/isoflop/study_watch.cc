#include "tools/isoflop/study_watch.h"

#include <chrono>
#include <cstdio>
#include <future>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(250);
constexpr double kSummarySeconds = 60;
constexpr double kFitSeconds = 5;
constexpr int kFewestForFit = 8;

double SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The study and its trials, asked for anew only where they changed.
class StudyMirror {
 public:
  StudyMirror(StudyAdminClient& client, std::string name)
      : client_(client), name_(std::move(name)) {}

  absl::Status Refresh() {
    wire::StudyRef ref;
    ref.set_name(name_);
    absl::StatusOr<wire::Study> study = client_.GetStudy(ref);
    if (!study.ok()) return study.status();
    wire::TrialFilter filter;
    filter.set_study_name(name_);
    // Without an event no trial changed its state: running ones only moved on.
    const bool all = trials_.empty() || study->last_event_id() != study_.last_event_id();
    if (!all) filter.add_states("leased");
    absl::StatusOr<std::vector<wire::Trial>> trials = client_.ListTrials(filter);
    if (!trials.ok()) return trials.status();
    for (wire::Trial& trial : *trials) trials_[trial.id()] = std::move(trial);
    study_ = *std::move(study);
    return absl::OkStatus();
  }

  const wire::Study& study() const { return study_; }
  std::vector<wire::Trial> trials() const {
    std::vector<wire::Trial> list;
    for (const auto& [id, trial] : trials_) list.push_back(trial);
    return list;
  }

 private:
  StudyAdminClient& client_;
  const std::string name_;
  wire::Study study_;
  std::map<int64_t, wire::Trial> trials_;
};

// Fits beside the watch, so that neither redraw nor Ctrl-C waits for it.
class BackgroundFit {
 public:
  explicit BackgroundFit(std::optional<AnalysisOptions> options) : options_(std::move(options)) {}

  // Hands over a law that is ready, and begins the next when there are new
  // observations.
  std::optional<LiveFit> Poll(const std::vector<wire::Trial>& trials, double now) {
    std::optional<LiveFit> ready;
    if (!options_.has_value()) return ready;
    if (pending_.valid() &&
        pending_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      ready = pending_.get();
    }
    int observations = 0;
    for (const wire::Trial& trial : trials) {
      const bool observed = trial.role() != wire::TRIAL_ROLE_TRUNK && trial.role() != wire::TRIAL_ROLE_BASELINE;
      if (observed && trial.has_final_loss_nats()) ++observations;
    }
    if (!pending_.valid() && observations >= kFewestForFit && observations != fitted_ &&
        now - begun_ >= kFitSeconds) {
      fitted_ = observations;
      begun_ = now;
      pending_ = std::async(std::launch::async, FitLive, trials, *options_);
    }
    return ready;
  }

 private:
  const std::optional<AnalysisOptions> options_;
  std::future<std::optional<LiveFit>> pending_;
  int fitted_ = 0;
  double begun_ = -1e9;
};

// Block or lines, as the terminal wants it.
class Screen {
 public:
  Screen(bool quiet, double now) : quiet_(quiet), redraw_(UseRedraw()), summary_at_(now) {
    if (!quiet_ && redraw_) block_.emplace();
  }

  void Show(const LiveView& view, const std::vector<TrialChange>& changes, double now) {
    if (quiet_) return;
    for (const TrialChange& change : changes) {
      // A block shows what runs; only ends and repeats scroll above it.
      if (redraw_ && change.kind == TrialChange::Kind::kStarted) continue;
      Line(change.line);
    }
    if (redraw_) {
      block_->Draw(view.Block(now));
    } else if (now - summary_at_ >= kSummarySeconds) {
      summary_at_ = now;
      Line(view.Summary(now));
    }
  }

  void Line(const std::string& text) {
    if (quiet_) return;
    if (block_.has_value()) {
      block_->Scroll(text);
    } else {
      std::printf("%s\n", text.c_str());
      std::fflush(stdout);
    }
  }

  // The block goes; its summary stays.
  void End(const std::string& summary) {
    if (block_.has_value()) block_->Clear();
    block_.reset();
    Line(summary);
  }

 private:
  const bool quiet_;
  const bool redraw_;
  double summary_at_;
  std::optional<LiveBlock> block_;
};

bool IsOver(const wire::Study& study) {
  const wire::StateCounts& counts = study.trials();
  return counts.queued() + counts.blocked() + counts.leased() == 0;
}

}  // namespace

absl::StatusOr<WatchResult> WatchStudy(StudyAdminClient& client, const StudyWatchOptions& options,
                                       Interrupts& interrupts) {
  StudyMirror mirror(client, options.study_name);
  LiveView view(options.view);
  BackgroundFit fit(options.quiet ? std::nullopt : options.fit);
  WatchResult result;
  const double begun = SteadySeconds();
  Screen screen(options.quiet, begun);
  absl::Time heard = absl::Now();
  int signals = interrupts.count();
  while (true) {
    const double now = SteadySeconds();
    const absl::Status refreshed = mirror.Refresh();
    if (refreshed.ok()) {
      heard = absl::Now();
      const std::vector<wire::Trial> trials = mirror.trials();
      const std::vector<TrialChange> changes = view.Update(mirror.study(), trials, now);
      screen.Show(view, changes, now);
      if (std::optional<LiveFit> law = fit.Poll(trials, now); law.has_value()) {
        view.SetFit(*std::move(law));
      }
    } else if (!absl::IsUnavailable(refreshed) || absl::Now() - heard > options.unheard) {
      screen.End(view.Summary(now));
      return refreshed;
    }
    std::optional<WatchEnd> end;
    if (refreshed.ok() && IsOver(mirror.study())) {
      end = WatchEnd::kFinished;
    } else if (refreshed.ok() && mirror.study().state() == "paused" &&
               mirror.study().trials().leased() == 0) {
      end = WatchEnd::kPaused;
    } else if (options.has_ended && options.has_ended()) {
      end = signals > 0 ? WatchEnd::kInterrupted : WatchEnd::kStopped;
    } else if (const int count = interrupts.WaitBeyond(signals, kLook); count > signals) {
      signals = count;
      if (options.on_interrupt) {
        screen.Line(options.on_interrupt(count));
      } else {
        end = WatchEnd::kInterrupted;
      }
    }
    if (end.has_value()) {
      const absl::Status last = mirror.Refresh();
      if (last.ok()) view.Update(mirror.study(), mirror.trials(), SteadySeconds());
      result.end = *end;
      result.study = mirror.study();
      result.seconds = SteadySeconds() - begun;
      screen.End(view.Summary(SteadySeconds()));
      return result;
    }
  }
}

}  // namespace isoflop
