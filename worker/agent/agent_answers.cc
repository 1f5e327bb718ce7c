// What the coordinator says: leases to begin, wishes, settlements, checkpoints that
// may go.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/convert.h"
#include "study/status_macros.h"
#include "worker/agent/agent_impl.h"
#include "worker/agent/trial_facts.h"

namespace isoflop {
namespace {

uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  uint16_t port = 0;
  if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  if (fd >= 0) close(fd);
  return port;
}

}  // namespace

void Agent::Impl::TakeAnswers(absl::Time now) {
  std::deque<std::unique_ptr<Call>> answers;
  {
    const std::lock_guard lock(mu_);
    answers.swap(answers_);
  }
  for (const std::unique_ptr<Call>& call : answers) {
    switch (conversation_.OnAnswer(call->number, call->introduced, call->status, call->response,
                                   now)) {
      case Conversation::Verdict::kIgnore:
        break;
      case Conversation::Verdict::kTake:
        if (!last_failure_.empty()) Log(absl::StrCat("coordinator at ", channel_->address(), ": heard"));
        last_failure_.clear();
        TakeResponse(*call, now);
        break;
      case Conversation::Verdict::kRetry:
        if (std::string why(call->status.message()); why != last_failure_ &&
            call->status.code() != absl::StatusCode::kAborted) {
          Log(why);
          last_failure_ = why;
        }
        break;
      case Conversation::Verdict::kEnd:
        end_ = call->status;
        break;
    }
  }
}

void Agent::Impl::TakeResponse(const Call& call, absl::Time now) {
  if (call.introduced) spool_->ConfirmInstance();
  orphaned_ = false;
  const wire::SynchronizeResponse& response = call.response;
  if (response.notice() != last_notice_) {
    last_notice_ = response.notice();
    if (!last_notice_.empty()) Log(CleanText(last_notice_, 1024));
  }
  // A coordinator of a new epoch took nothing from a worker that it did not know.
  if (!conversation_.MustIntroduce()) {
    std::erase_if(deleted_, [&](const auto& item) { return item.second == call.number; });
    for (const wire::HeldLease& held : call.request.held()) {
      const auto found = leases_.find(LeaseId(held.lease_id()));
      if (found != leases_.end()) found->second.report->Acknowledge(call.number);
    }
  }
  for (const wire::Rejected& rejected : response.rejected()) {
    Log(CleanText(absl::StrCat("lease ", rejected.lease_id(), ": refused ", rejected.field(), " ",
                               rejected.seq() > 0 ? absl::StrCat(rejected.seq(), " ") : "", ": ",
                               rejected.why()),
                  1024));
  }
  for (const wire::DesiredLease& desired : response.desired()) TakeDesired(desired, now);
  for (const wire::Settled& settled : response.settled()) {
    const auto found = leases_.find(LeaseId(settled.lease_id()));
    if (found == leases_.end()) continue;
    Lease& lease = found->second;
    lease.settled = true;
    if (lease.run && !lease.run->IsGone()) {
      Log(CleanText(absl::StrCat("lease ", settled.lease_id(), ": ", settled.reason(),
                                 "; its processes are killed"), 1024));
      lease.run->Kill();
    }
  }
  DeleteExpendable(response);
}

void Agent::Impl::TakeDesired(const wire::DesiredLease& desired, absl::Time now) {
  const LeaseId id(desired.lease_id());
  auto found = leases_.find(id);
  if (found == leases_.end()) {
    // A lease that was not listed ends free of charge: a draining worker takes
    // up nothing.
    if (!desired.has_assignment() || draining_) return;
    Begin(id, desired.assignment(), now);
    found = leases_.find(id);
    if (found == leases_.end()) return;
  }
  Lease& lease = found->second;
  if (desired.durable_seq() > lease.report->durable_seq()) {
    lease.report->SetDurable(desired.durable_seq());
    if (options_.on_durable) options_.on_durable(desired.lease_id(), lease.report->durable_seq());
  }
  if (desired.has_log()) lease.log_wish = desired.log();
  if (!lease.run || lease.run->IsGone()) return;
  const std::string why = CleanText(desired.wish_reason(), 1024);
  if (desired.wish() == wire::WISH_CHECKPOINT_AND_STOP) {
    lease.run->Stop(StopCause::kPreempted, why, now);
  } else if (desired.wish() == wire::WISH_STOP) {
    lease.run->Stop(StopCause::kCancelled, why, now);
  }
}

void Agent::Impl::Begin(LeaseId id, const wire::Assignment& assignment, absl::Time now) {
  absl::StatusOr<std::unique_ptr<LeaseSpool>> spool = spool_->Create(id);
  if (!spool.ok()) {
    // Not listed: it will be told again.
    Log(absl::StrCat("lease ", id.ToString(), ": ", std::string(spool.status().message())));
    conversation_.Pause(now);
    return;
  }
  Lease& lease = leases_[id];
  lease.trial_id = assignment.trial_id();
  lease.report = std::make_unique<LeaseReport>(*std::move(spool));
  wire::OutcomeClass refusal = wire::OUTCOME_CLASS_NODE_FAULT;
  auto run = StartRun(id, assignment, lease, refusal, now);
  if (!run.ok()) {
    lease.slots.clear();
    wire::Outcome outcome;
    outcome.set_outcome_class(refusal);
    outcome.set_detail(CleanText(std::string(run.status().message()), 1024));
    lease.report->SetOutcome(outcome);
    Log(absl::StrCat("trial ", lease.trial_id, " refused: ", outcome.detail()));
    return;
  }
  lease.run = *std::move(run);
  Log(absl::StrCat("trial ", lease.trial_id, " leased, attempt ", assignment.attempt(), ", lease ",
                   id.ToString(), ", slots ", absl::StrJoin(lease.slots, ",")));
}

// What cannot run is refused before it starts; `refusal` is the class then.
absl::StatusOr<std::unique_ptr<TrialRun>> Agent::Impl::StartRun(
    LeaseId id, const wire::Assignment& assignment, Lease& lease, wire::OutcomeClass& refusal,
    absl::Time now) {
  const absl::StatusOr<TrialFacts> facts = ReadTrialFacts(assignment.trial_json());
  if (!facts.ok()) {
    refusal = wire::OUTCOME_CLASS_CONFIG;
    return facts.status();
  }
  lease.steps = facts->steps;
  TrialRunOptions run;
  AttemptPlace& place = run.place;
  const std::vector<uint32_t> free = FreeSlots();
  for (const uint32_t index : assignment.slots()) {
    const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                   [&](const AgentSlot& s) { return s.index == index; });
    if (slot == slots_.end() || std::count(free.begin(), free.end(), index) == 0) {
      return absl::UnavailableError(absl::StrCat("slot ", index, ": is not free here"));
    }
    place.slots.push_back(*slot);
    lease.slots.push_back(index);
  }
  if (place.slots.empty()) return absl::UnavailableError("slots: none were assigned");
  if (assignment.has_gang() && assignment.gang().nodes() > 1) {
    return absl::UnavailableError("gang: this release runs a trial on one worker only");
  }
  const wire::TrainerCommand& trainer = assignment.trainer();
  place.command = {trainer.command().begin(), trainer.command().end()};
  if (place.command.empty()) {
    place.command = options_.trainer;
    if (place.command.empty()) {
      return absl::UnavailableError("trainer: this worker has no isoflop-trainer");
    }
  } else if (options_.builtin_only) {
    return absl::UnavailableError("trainer: this worker takes the built-in one only");
  } else {
    place.launch_once = trainer.launch_once();
    place.directory = trainer.directory();
    place.extra_env = {trainer.env().begin(), trainer.env().end()};
  }
  if (!facts->dataset_sha256.empty()) {
    place.dataset_path = datasets_.Find(facts->dataset_sha256);
    if (place.dataset_path.empty()) {
      datasets_.Scan();
      place.dataset_path = datasets_.Find(facts->dataset_sha256);
    }
    if (place.dataset_path.empty() && trainer.command().empty()) {
      return absl::NotFoundError(absl::StrCat("data ", facts->dataset_sha256.substr(0, 12),
                                              ": no dataset.json with this hash below ",
                                              absl::StrJoin(options_.data_roots, ", ")));
    }
  }
  if (!assignment.resume_path().empty()) {
    const auto path = CheckpointPath::Parse(assignment.resume_path());
    if (!path) {
      return absl::InvalidArgumentError(
          absl::StrCat("checkpoint ", assignment.resume_path(), ": is no path of a checkpoint"));
    }
    const absl::StatusOr<std::string> resume = root_.Find(*path);
    if (!resume.ok()) {
      refusal = wire::OUTCOME_CLASS_BAD_CHECKPOINT;
      return resume.status();
    }
    place.resume_path = *resume;
  }
  ISOFLOP_ASSIGN_OR_RETURN(place.checkpoint_dir,
                           root_.MakeLeaseFolder(assignment.trial_id(), id.value()));
  run.checkpoint_path = CheckpointPath{assignment.trial_id(), id.value(), 0}.LeaseFolder();
  run.log_path = place.checkpoint_dir + "/log.txt";
  place.trial_path = place.checkpoint_dir + "/trial.json";
  std::ofstream file(place.trial_path, std::ios::binary);
  file << assignment.trial_json() << "\n";
  file.close();
  if (!file) return absl::UnavailableError(absl::StrCat(place.trial_path, ": cannot be written"));
  place.lease_id = id.value();
  place.attempt = assignment.attempt();
  place.micro_batch_limit = assignment.micro_batch_limit();
  place.deterministic = facts->deterministic;
  place.checkpoint_period = options_.checkpoint_period;
  place.grace = options_.grace;
  place.master_port = FreePort();
  run.params_total = facts->params_total;
  run.silence_limit = options_.silence_limit;
  if (assignment.has_wall_limit()) {
    const absl::Duration limit = FromWire(assignment.wall_limit());
    if (limit > absl::ZeroDuration()) run.wall_limit = limit;
  }
  return TrialRun::Start(std::move(run), lease.report.get(), now);
}

void Agent::Impl::DeleteExpendable(const wire::SynchronizeResponse& response) {
  for (const wire::Expendable& item : response.expendable()) {
    const auto path = CheckpointPath::Parse(item.path());
    const absl::Status status =
        path ? root_.Delete(*path)
             : absl::InvalidArgumentError(absl::StrCat("checkpoint ", item.path(), ": is no path of one"));
    if (status.ok()) {
      deleted_[item.checkpoint_id()] = 0;
    } else {
      Log(std::string(status.message()));
    }
  }
}

}  // namespace isoflop
