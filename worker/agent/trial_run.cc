#include "worker/agent/trial_run.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "proto/convert.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// After a rank's bad end the others get so long for a word of their own (the
// one that ran out of memory says more than the one that lost its peer).
constexpr absl::Duration kPeersAfterBadEnd = absl::Seconds(1);
// After rank 0's good end.
constexpr absl::Duration kPeersAfterGoodEnd = absl::Seconds(60);
constexpr absl::Duration kAbortToKill = absl::Seconds(10);
constexpr int kMaxNotes = 200;
// Bytes a read, and reads a Pump: one trainer does not starve the others.
constexpr size_t kReadBytes = 64 * 1024;
constexpr int kReadsPerPump = 16;

// How often the kernel has killed for want of memory since boot.
int64_t OomKills() {
  std::ifstream in("/proc/vmstat");
  std::string name;
  int64_t value = 0;
  while (in >> name >> value) {
    if (name == "oom_kill") return value;
  }
  return 0;
}

// Reads what is there. False: the other end is closed.
bool ReadSome(int fd, std::string& out) {
  char chunk[kReadBytes];
  for (int i = 0; i < kReadsPerPump; ++i) {
    const ssize_t got = read(fd, chunk, sizeof chunk);
    if (got > 0) {
      out.append(chunk, static_cast<size_t>(got));
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  return true;
}

template <class T, class Setter>
void SetIf(const std::optional<T>& value, Setter setter) {
  if (value) setter(*value);
}

wire::FinalObservation ToWire(const FinalEvent& in, const std::optional<StartedEvent>& started) {
  wire::FinalObservation out;
  out.set_step(in.step);
  out.set_tokens_trained(in.tokens_trained);
  SetIf(in.final_loss_nats, [&](double v) { out.set_final_loss_nats(v); });
  out.set_eval_tokens(in.eval_tokens);
  SetIf(in.final_loss_se, [&](double v) { out.set_final_loss_se(v); });
  SetIf(in.bits_per_byte, [&](double v) { out.set_bits_per_byte(v); });
  SetIf(in.eval_bytes, [&](int64_t v) { out.set_eval_bytes(v); });
  out.set_eval_sha256(in.eval_sha256);
  SetIf(in.unique_tokens, [&](int64_t v) { out.set_unique_tokens(v); });
  SetIf(in.train_loss_nats, [&](double v) { out.set_train_loss_nats(v); });
  SetIf(in.flops_exact, [&](double v) { out.set_flops_exact(v); });
  SetIf(in.wall_seconds, [&](double v) { out.set_wall_seconds(v); });
  SetIf(in.tokens_per_second, [&](double v) { out.set_tokens_per_second(v); });
  SetIf(in.mfu, [&](double v) { out.set_mfu(v); });
  SetIf(in.peak_memory_bytes, [&](int64_t v) { out.set_peak_memory_bytes(v); });
  SetIf(in.resumed_exact, [&](bool v) { out.set_resumed_exact(v); });
  out.set_sample_text(in.sample_text);
  if (started) {
    out.set_params_total(started->params_total);
    out.set_device(started->device);
    out.set_precision(started->precision);
    out.set_program(started->program);
    out.set_dataset_sha256(started->dataset_sha256);
    out.set_tokenizer_sha256(started->tokenizer_sha256);
  }
  return out;
}

}  // namespace

TrialRun::TrialRun(TrialRunOptions options, LeaseReport* report, absl::Time now)
    : options_(std::move(options)),
      report_(report),
      mark_(absl::StrCat("ISOFLOP_CHECKPOINT_DIR=", options_.place.checkpoint_dir)),
      began_(now),
      oom_kills_before_(OomKills()),
      log_(options_.log_path),
      last_line_(now),
      last_speed_at_(now) {}

TrialRun::~TrialRun() {
  if (is_gone_ || ranks_.empty()) return;
  ranks_.clear();  // kills and reaps
  for (int i = 0; i < 500 && !StraysAreGone(); ++i) absl::SleepFor(absl::Milliseconds(2));
}

absl::StatusOr<std::unique_ptr<TrialRun>> TrialRun::Start(TrialRunOptions options,
                                                          LeaseReport* report, absl::Time now) {
  std::unique_ptr<TrialRun> run(new TrialRun(std::move(options), report, now));
  ISOFLOP_RETURN_IF_ERROR(report->spool().NoteMark(run->mark_));
  for (const RankCommand& command : RankCommands(run->options_.place, OwnEnvironment())) {
    ISOFLOP_ASSIGN_OR_RETURN(
        std::unique_ptr<ProcessGroup> group,
        ProcessGroup::Start(command, [&](const ProcessNote& note) {
          return report->spool().NoteProcess(note);
        }));
    run->ranks_.push_back({std::move(group), "", ""});
  }
  return run;
}

void TrialRun::AddPollFds(std::vector<pollfd>& fds) const {
  for (const RankRun& rank : ranks_) {
    // While the spool's disk refuses, the trainers wait.
    if (!report_->is_stuck()) {
      if (rank.group->events_fd() >= 0) fds.push_back({rank.group->events_fd(), POLLIN, 0});
      if (rank.group->output_fd() >= 0) fds.push_back({rank.group->output_fd(), POLLIN, 0});
    }
    if (rank.group->exit_fd() >= 0 && !rank.group->leader_status()) {
      fds.push_back({rank.group->exit_fd(), POLLIN, 0});
    }
  }
}

absl::Time TrialRun::NextDeadline() const {
  if (is_gone_) return absl::InfiniteFuture();
  return std::min({kill_at_, abort_at_, thinner_.NextFlush(),
                   last_line_ + options_.silence_limit, began_ + options_.wall_limit});
}

void TrialRun::Pump(absl::Time now) {
  if (is_gone_) return;
  // First who has ended, then what they had said: nothing comes after it.
  ReapRanks(now);
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    // Events come on both.
    if (!report_->is_stuck()) ReadOutput(rank, now);
    if (!report_->is_stuck()) ReadEvents(rank, now);
  }
  if (report_->is_stuck()) last_line_ = now;  // it may wait for us
  if (now >= thinner_.NextFlush()) {
    std::vector<LossPoint> points;
    thinner_.Flush(now, points);
    NotePoints(points);
  }
  WatchTimers(now);
  const bool all_gone =
      std::all_of(ranks_.begin(), ranks_.end(), [](const RankRun& r) { return r.group->IsGone(); });
  const bool all_read = std::all_of(ranks_.begin(), ranks_.end(), [](const RankRun& r) {
    return r.group->events_fd() < 0 && r.group->output_fd() < 0;
  });
  if (all_gone && (all_read || forgotten_) && StraysAreGone()) WriteOutcome(now);
}

// ---- what they say ----

void TrialRun::ReadEvents(size_t rank, absl::Time now) {
  RankRun& run = ranks_[rank];
  if (run.group->events_fd() < 0) return;
  const bool open = ReadSome(run.group->events_fd(), run.events);
  size_t begin = 0;
  for (size_t end; (end = run.events.find('\n', begin)) != std::string::npos; begin = end + 1) {
    TakeLine(rank, absl::string_view(run.events).substr(begin, end - begin), now);
  }
  run.events.erase(0, begin);
  if (run.events.size() > kMaxEventLineBytes) {
    Note("event line refused: longer than 64 KiB");
    // The rest of it will not parse either, and is noted once.
    run.events.clear();
  }
  // A group that is gone writes no more; its pipe may be held by a stranger.
  if (!open || run.group->IsGone()) {
    if (!run.events.empty()) TakeLine(rank, run.events, now);
    run.events.clear();
    run.group->CloseEvents();
  }
}

void TrialRun::ReadOutput(size_t rank, absl::Time now) {
  RankRun& run = ranks_[rank];
  if (run.group->output_fd() < 0) return;
  const size_t before = run.output.size();
  const bool open = ReadSome(run.group->output_fd(), run.output);
  log_.Append(absl::string_view(run.output).substr(before));
  size_t begin = 0;
  for (size_t end; (end = run.output.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const absl::string_view line = absl::string_view(run.output).substr(begin, end - begin);
    if (absl::StartsWith(line, kStdoutEventPrefix)) {
      TakeLine(rank, line.substr(sizeof kStdoutEventPrefix - 1), now);
    }
  }
  run.output.erase(0, begin);
  if (run.output.size() > kMaxEventLineBytes + sizeof kStdoutEventPrefix) run.output.clear();
  if (!open || run.group->IsGone()) run.group->CloseOutput();
}

void TrialRun::Note(std::string text) {
  if (!noted_.insert(text).second || notes_ >= kMaxNotes) return;
  ++notes_;
  report_->AddNote(CleanText(text, 1024));
}

void TrialRun::TakeLine(size_t rank, absl::string_view line, absl::Time now) {
  if (line.find_first_not_of(" \t\r") == absl::string_view::npos) return;
  const absl::StatusOr<TrainerEvent> event = ParseEventLine(line);
  if (!event.ok()) {
    Note(absl::StrCat("refused: ", std::string(event.status().message())));
    return;
  }
  last_line_ = now;
  for (const std::string& field : event->unknown_fields) {
    Note(absl::StrCat("unknown field ", field));
  }
  if (const auto* error = std::get_if<ErrorEvent>(&event->what)) {
    // The first one is the cause, the others follow from it.
    if (!error_) error_ = *error;
    if (error_ && !error_->rank) error_->rank = static_cast<int32_t>(rank);
    return;
  }
  if (rank > 0) {
    Note(absl::StrCat("refused: rank ", rank, ": only rank 0 may say more than 'error'"));
    return;
  }
  if (const auto* started = std::get_if<StartedEvent>(&event->what)) {
    started_ = *started;
    if (started->resumed_step) step_ = std::max(step_, *started->resumed_step);
    if (options_.params_total && *options_.params_total != started->params_total) {
      Stop(StopCause::kConfig,
           absl::StrCat("params_total: the trainer counts ", started->params_total,
                        ", the study states ", *options_.params_total, " for this model"),
           now);
    }
  } else if (const auto* probe = std::get_if<ProbeEvent>(&event->what)) {
    micro_batch_ = probe->micro_batch_sequences;
  } else if (const auto* point = std::get_if<PointEvent>(&event->what)) {
    step_ = std::max(step_, point->point.step);
    if (point->point.tokens_per_second) {
      tokens_per_second_ = *point->point.tokens_per_second;
    } else if (last_speed_tokens_ >= 0 && now - last_speed_at_ > absl::Milliseconds(200)) {
      tokens_per_second_ = static_cast<double>(point->point.tokens - last_speed_tokens_) /
                           absl::ToDoubleSeconds(now - last_speed_at_);
      last_speed_at_ = now;
      last_speed_tokens_ = point->point.tokens;
    } else if (last_speed_tokens_ < 0) {
      last_speed_at_ = now;
      last_speed_tokens_ = point->point.tokens;
    }
    std::vector<LossPoint> points;
    thinner_.Add(point->point, now, points);
    NotePoints(points);
  } else if (const auto* checkpoint = std::get_if<CheckpointEvent>(&event->what)) {
    TakeCheckpoint(*checkpoint);
  } else if (const auto* final = std::get_if<FinalEvent>(&event->what)) {
    final_ = *final;
    step_ = std::max(step_, final->step);
  } else if (const auto* note = std::get_if<NoteEvent>(&event->what)) {
    Note(note->text);
  }
}

void TrialRun::NotePoints(const std::vector<LossPoint>& points) {
  for (const LossPoint& point : points) {
    if (absl::Status status = report_->AddPoint(point); !status.ok()) {
      Note(absl::StrCat("refused: ", std::string(status.message())));
    }
  }
}

void TrialRun::TakeCheckpoint(const CheckpointEvent& event) {
  const std::string name = absl::StrFormat("step-%08d", event.step);
  const std::filesystem::path said = std::filesystem::path(event.path).lexically_normal();
  const std::filesystem::path wanted =
      (std::filesystem::path(options_.place.checkpoint_dir) / name).lexically_normal();
  std::error_code error;
  if (said != wanted || event.step <= 0) {
    Note(absl::StrCat("refused: checkpoint ", event.path, ": is not ", wanted.string()));
    return;
  }
  if (!std::filesystem::is_directory(std::filesystem::symlink_status(wanted, error))) {
    Note(absl::StrCat("refused: checkpoint ", event.path, ": is no folder"));
    return;
  }
  wire::Checkpoint out;
  out.set_step(event.step);
  out.set_tokens(event.tokens);
  out.set_path(absl::StrCat(options_.checkpoint_path, "/", name));
  out.set_sha256(event.sha256);
  out.set_bytes(event.bytes);
  out.set_reason(event.reason);
  report_->AddCheckpoint(out);
}

// ---- how they end ----

void TrialRun::SignalRanks(int signal) {
  for (RankRun& rank : ranks_) {
    if (signal == SIGKILL || options_.place.launch_once) {
      // One command that starts its own ranks: every rank is in its group.
      rank.group->SignalGroup(signal);
    } else {
      rank.group->SignalLeader(signal);
    }
  }
}

void TrialRun::Stop(StopCause cause, std::string detail, absl::Time now) {
  if (is_gone_) return;
  if (stop_ == StopCause::kNone) {
    stop_ = cause;
    stop_detail_ = std::move(detail);
    if (cause == StopCause::kConfig) {
      kill_at_ = now;
    } else if (cause != StopCause::kCancelled) {
      SignalRanks(SIGTERM);
    }
    kill_at_ = std::min(kill_at_, now + options_.place.grace);
    if (cause == StopCause::kStalled) {
      abort_at_ = kill_at_;
      kill_at_ += std::min(kAbortToKill, options_.place.grace);
    }
  }
  if (cause == StopCause::kCancelled) {
    stop_ = cause;
    kill_at_ = now;
    WatchTimers(now);
  }
}

void TrialRun::Kill() {
  forgotten_ = true;
  SignalRanks(SIGKILL);
}

void TrialRun::WatchTimers(absl::Time now) {
  if (stop_ == StopCause::kNone && !first_end_) {
    if (now >= began_ + options_.wall_limit) {
      Stop(StopCause::kTimeout,
           absl::StrCat("wall limit of ", absl::FormatDuration(options_.wall_limit)), now);
    } else if (now >= last_line_ + options_.silence_limit) {
      Stop(StopCause::kStalled,
           absl::StrCat("stalled: no line for ", absl::FormatDuration(options_.silence_limit),
                        ", at step ", step_),
           now);
    }
  }
  if (now >= abort_at_) {
    abort_at_ = absl::InfiniteFuture();
    SignalRanks(SIGABRT);
  }
  if (now >= kill_at_) {
    killed_at_ = std::min(killed_at_, now);
    SignalRanks(SIGKILL);
  }
}

void TrialRun::ReapRanks(absl::Time now) {
  for (size_t i = 0; i < ranks_.size(); ++i) {
    ProcessGroup& group = *ranks_[i].group;
    if (group.IsGone()) continue;
    const bool had_ended = group.leader_status().has_value();
    group.Reap();
    if (!group.leader_status()) continue;
    // What a rank started ends with it.
    if (!group.IsGone()) group.SignalGroup(SIGKILL);
    if (had_ended) continue;
    if (!first_end_) first_end_ = now;
    const int status = *group.leader_status();
    const bool good = WIFEXITED(status) && (WEXITSTATUS(status) == kExitDone ||
                                            WEXITSTATUS(status) == kExitPreempted);
    if (!good) {
      kill_at_ = std::min(kill_at_, now + kPeersAfterBadEnd);
    } else if (i == 0) {
      kill_at_ = std::min(kill_at_, now + std::min(kPeersAfterGoodEnd, options_.place.grace));
    }
  }
}

bool TrialRun::StraysAreGone() {
  for (const pid_t pid : KillMarked(mark_)) {
    strays_.insert(pid);
  }
  // Orphans of ours come to us; what never was our descendant is not ours to
  // reap.
  std::erase_if(strays_, [](pid_t pid) {
    int status = 0;
    return waitpid(pid, &status, WNOHANG) != 0;
  });
  return strays_.empty();
}

void TrialRun::WriteOutcome(absl::Time now) {
  is_gone_ = true;
  if (forgotten_) return;
  std::vector<LossPoint> points;
  thinner_.Flush(now, points);
  NotePoints(points);

  AttemptFacts facts;
  for (const RankRun& rank : ranks_) {
    // Killed beside a rank that had ended by itself: no word of its own.
    const std::optional<int> status = rank.group->leader_status();
    const bool killed_beside = rank.group->killed() && stop_ == StopCause::kNone && status &&
                               WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL;
    facts.ranks.push_back(killed_beside ? std::nullopt : status);
  }
  facts.has_final = final_.has_value();
  facts.error = error_;
  facts.stop = stop_;
  facts.stop_detail = stop_detail_;
  facts.host_ran_out = OomKills() > oom_kills_before_;
  facts.last_line = log_.LastLine();
  const AttemptVerdict verdict = JudgeAttempt(facts);

  wire::Outcome outcome;
  outcome.set_outcome_class(isoflop::ToWire(verdict.outcome));
  outcome.set_detail(CleanText(verdict.detail, 1024));
  SetIf(verdict.exit_code, [&](int v) { outcome.set_exit_code(v); });
  SetIf(verdict.signal, [&](int v) { outcome.set_signal(v); });
  if (error_) {
    wire::TrainerError* error = outcome.mutable_trainer_error();
    error->set_kind(error_->kind);
    error->set_message(error_->message);
    SetIf(error_->step, [&](int64_t v) { error->set_step(v); });
    SetIf(error_->rank, [&](int32_t v) { error->set_rank(v); });
  }
  outcome.set_micro_batch_sequences(static_cast<int32_t>(
      micro_batch_ > 0 ? micro_batch_ : options_.place.micro_batch_limit));
  if (final_) *outcome.mutable_final() = ToWire(*final_, started_);
  const std::string& tail = log_.tail();
  outcome.set_log_tail(tail.size() > LogFile::kTailBytes
                           ? tail.substr(tail.size() - LogFile::kTailBytes)
                           : tail);
  report_->SetOutcome(outcome);
}

}  // namespace isoflop
