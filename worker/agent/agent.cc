#include "worker/agent/agent.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/channel.h"
#include "proto/convert.h"
#include "study/status_macros.h"
#include "worker/agent/agent_impl.h"

namespace isoflop {
namespace {

constexpr absl::Duration kSyncPeriod = absl::Seconds(1);
constexpr absl::Duration kDatasetScan = absl::Seconds(30);
constexpr absl::Duration kLongestPoll = absl::Seconds(1);
constexpr absl::Duration kStoppingPoll = absl::Milliseconds(20);
constexpr absl::Duration kSurvivesKill = absl::Seconds(60);
// After the grace of a drain.
constexpr absl::Duration kSlack = absl::Seconds(10);

absl::Time SystemMonotonic() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::UnixEpoch() + absl::DurationFromTimespec(now);
}

// A host's name as a worker's name.
std::string NameFromHost() {
  std::string out = absl::AsciiStrToLower(HostName());
  for (char& c : out) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '-' && c != '_') c = '-';
  }
  if (out.size() > 64) out.resize(64);
  return IsValidName(out) ? out : "worker";
}

wire::Outcome CutShort() {
  wire::Outcome outcome;
  outcome.set_outcome_class(wire::OUTCOME_CLASS_LOST);
  outcome.set_detail("its worker's process ended");
  return outcome;
}

}  // namespace

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

Agent::Impl::Impl(AgentOptions options, std::unique_ptr<CoordinatorChannel> channel,
                  std::unique_ptr<Spool> spool, CheckpointRoot root, std::vector<AgentSlot> slots)
    : options_(std::move(options)),
      channel_(std::move(channel)),
      stub_(wire::WorkQueue::NewStub(channel_->channel())),
      root_(std::move(root)),
      slots_(std::move(slots)),
      spool_(std::move(spool)),
      datasets_(options_.data_roots),
      conversation_(spool_->instance_id(), spool_->previous_instances(),
                    options_.protocol_version_for_testing.value_or(kProtocolVersion)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Agent::Impl::~Impl() {
  {
    std::unique_lock lock(mu_);
    for (Call* call : calls_) call->context.TryCancel();
    no_calls_.wait(lock, [this] { return calls_.empty(); });
  }
  close(wake_fd_);
}

// ---- start ----

absl::Status Agent::Impl::Recover() {
  if (spool_->killed_processes() > 0) {
    Log(absl::StrCat("killed ", spool_->killed_processes(), " processes that a predecessor left"));
  }
  for (Spool::Left& left : spool_->TakeLeft()) {
    auto report = LeaseReport::Recover(std::move(left.spool), CutShort());
    ISOFLOP_RETURN_IF_ERROR(report.status());
    Lease lease;
    lease.report = *std::move(report);
    Log(absl::StrCat("lease ", left.lease.ToString(), ": ", lease.report->last_seq(),
                     " points of a predecessor wait in the spool",
                     lease.report->lost_tail() ? ", the end of which could not be read" : ""));
    leases_.emplace(left.lease, std::move(lease));
  }
  datasets_.Scan();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(AgentOptions options) {
  if (!options.monotonic) options.monotonic = SystemMonotonic;
  if (options.name.empty()) options.name = NameFromHost();
  if (!IsValidName(options.name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "worker name '", options.name, "': is not [a-z0-9][a-z0-9._-]{0,63}; cure: --name"));
  }
  if (options.slots == "auto") options.slots = "cpu";
  ISOFLOP_ASSIGN_OR_RETURN(std::vector<AgentSlot> slots, ParseSlots(options.slots, OwnCores()));
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<CoordinatorChannel> channel,
                           CoordinatorChannel::Create(options.server, options.token_file));
  ISOFLOP_ASSIGN_OR_RETURN(CheckpointRoot root, CheckpointRoot::Open(options.checkpoint_root));
  BecomeSubreaper();
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<Spool> spool, Spool::Open(options.spool_dir));
  // A pipe whose reader is gone is an error to look at, not a reason to die.
  signal(SIGPIPE, SIG_IGN);
  auto impl = std::make_unique<Impl>(std::move(options), std::move(channel), std::move(spool),
                                     std::move(root), std::move(slots));
  ISOFLOP_RETURN_IF_ERROR(impl->Recover());
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;
absl::Status Agent::Run() { return impl_->Run(); }
void Agent::Drain() { impl_->Drain(); }
void Agent::StopNow() { impl_->StopNow(); }
void Agent::RequestDrainFromSignal() { impl_->Drain(); }
std::string Agent::DebugString() const { return impl_->DebugString(); }

absl::Status Agent::Impl::Run() {
  began_ = idle_since_ = Now();
  while (true) {
    const absl::Time now = Now();
    TakeAnswers(now);
    PumpRuns(now);
    WatchTimers(now);
    if (stop_now_.load() || end_.has_value()) break;
    if (draining_ && (leases_.empty() || now >= drain_deadline_)) break;
    if (leases_.empty() && now - idle_since_ >= options_.idle_exit) {
      Log(absl::StrCat("idle for ", absl::FormatDuration(options_.idle_exit), ": leaving"));
      break;
    }
    MaybeSpeak(now);
    NoteDebugString();
    WaitForNews(now);
  }
  EndEverything();
  return end_.value_or(absl::OkStatus());
}

void Agent::Impl::EndEverything() {
  for (auto& [id, lease] : leases_) {
    if (lease.run && !lease.run->IsGone()) lease.run->Kill();
  }
  // Reaps; what was said before stays in the spool, without an outcome.
  for (auto& [id, lease] : leases_) {
    lease.run.reset();
    if (absl::Status status = lease.report->Sync(); !status.ok()) Log(status.ToString());
  }
}

// ---- what its trainers do ----

void Agent::Impl::PumpRuns(absl::Time now) {
  for (auto it = leases_.begin(); it != leases_.end();) {
    Lease& lease = it->second;
    if (lease.report->is_stuck() && now - last_sync_ >= kSyncPeriod) {
      const std::string before(lease.report->status().message());
      if (!lease.report->Retry() && before != last_failure_) {
        Log(before);
        last_failure_ = before;
      }
    }
    const bool was_gone = !lease.run || lease.run->IsGone();
    if (!was_gone) lease.run->Pump(now);
    if (!was_gone && !lease.alarmed && now - lease.run->killed_at() > kSurvivesKill) {
      lease.alarmed = true;
      Log(absl::StrCat("trial ", lease.trial_id, ": a process survives SIGKILL for ",
                       absl::FormatDuration(kSurvivesKill),
                       " (a disk or driver that hangs?): its slots stay taken"));
    }
    if (!was_gone && lease.run->IsGone()) idle_since_ = now;
    if (lease.settled && (!lease.run || lease.run->IsGone())) {
      lease.report->spool().Remove();
      idle_since_ = now;
      it = leases_.erase(it);
      continue;
    }
    ++it;
  }
  if (now - last_sync_ >= kSyncPeriod) {
    last_sync_ = now;
    for (auto& [id, lease] : leases_) {
      if (absl::Status status = lease.report->Sync(); !status.ok()) Log(std::string(status.message()));
    }
  }
}

void Agent::Impl::StopRuns(StopCause cause, const std::string& detail, absl::Time now) {
  for (auto& [id, lease] : leases_) {
    if (lease.run && !lease.run->IsGone()) lease.run->Stop(cause, detail, now);
  }
}

void Agent::Impl::WatchTimers(absl::Time now) {
  if (drains_.load() > 1) stop_now_.store(true);
  if (drains_.load() > 0 && !draining_) {
    draining_ = true;
    drain_deadline_ = now + options_.grace + kSlack;
    Log("draining: trials checkpoint and stop");
    StopRuns(StopCause::kPreempted, "its worker drains", now);
  }
  const absl::Time heard = std::max(conversation_.last_heard(), began_);
  if (!orphaned_ && now - heard >= options_.orphan_limit && !leases_.empty()) {
    orphaned_ = true;
    Log(absl::StrCat("no coordinator for ", absl::FormatDuration(options_.orphan_limit),
                     ": trials checkpoint and stop"));
    StopRuns(StopCause::kPreempted, "no coordinator was heard", now);
  }
  if (now - last_scan_ >= kDatasetScan) {
    const bool is_first = last_scan_ == absl::InfinitePast();
    last_scan_ = now;
    if (datasets_.Scan() && !is_first) conversation_.IntroduceAgain();
  }
}

void Agent::Impl::WaitForNews(absl::Time now) {
  std::vector<pollfd> fds{{wake_fd_, POLLIN, 0}};
  absl::Time next = now + kLongestPoll;
  for (const auto& [id, lease] : leases_) {
    if (!lease.run || lease.run->IsGone()) continue;
    lease.run->AddPollFds(fds);
    next = std::min(next, lease.run->NextDeadline());
    if (lease.run->is_stopping()) next = std::min(next, now + kStoppingPoll);
    if (lease.report->HasPoints()) next = std::min(next, last_points_ + options_.busy_beat);
  }
  if (conversation_.IsSilent()) next = std::min(next, conversation_.retry_at());
  if (draining_) next = std::min(next, drain_deadline_);
  if (leases_.empty()) next = std::min(next, idle_since_ + options_.idle_exit);
  // A millisecond at least: what is overdue but cannot be done yet must not spin.
  const int64_t wait_ms =
      std::clamp<int64_t>(absl::ToInt64Milliseconds(absl::Ceil(next - now, absl::Milliseconds(1))), 1,
                          absl::ToInt64Milliseconds(kLongestPoll));
  poll(fds.data(), fds.size(), static_cast<int>(wait_ms));
  uint64_t drained = 0;
  (void)!read(wake_fd_, &drained, sizeof drained);
}

void Agent::Impl::NoteDebugString() {
  std::string text = absl::StrCat("agent ", options_.name, ": ", FreeSlots().size(), " of ",
                                  slots_.size(), " slots free");
  for (const auto& [id, lease] : leases_) {
    absl::StrAppend(&text, "\n lease ", id.ToString(), " trial ", lease.trial_id, " seq ",
                    lease.report->durable_seq(), "/", lease.report->last_seq(),
                    lease.report->has_outcome() ? " ended" : "", lease.settled ? " settled" : "");
  }
  const std::lock_guard lock(mu_);
  debug_ = std::move(text);
}

}  // namespace isoflop
