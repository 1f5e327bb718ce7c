#include "worker/trainer/checkpoint_writer.h"

#include <chrono>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"

namespace isoflop {

std::string ToString(CheckpointReason reason) {
  switch (reason) {
    case CheckpointReason::kPeriodic:
      return "periodic";
    case CheckpointReason::kAsked:
      return "asked";
    case CheckpointReason::kBranch:
      return "branch";
    case CheckpointReason::kPreempted:
      return "preempted";
    case CheckpointReason::kFinal:
      return "final";
  }
  return "";
}

CheckpointWriter::CheckpointWriter(std::string folder, const ParameterLayout& layout, EventWriter& events)
    : folder_(std::move(folder)), layout_(layout), events_(events) {}

CheckpointWriter::~CheckpointWriter() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool CheckpointWriter::busy() const {
  std::lock_guard<std::mutex> lock(mu_);
  return job_.has_value();
}

absl::Status CheckpointWriter::Submit(CheckpointJob job) {
  // The thread starts with the first job: a short trial never needs it.
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  ISOFLOP_RETURN_IF_ERROR(Wait());
  {
    std::lock_guard<std::mutex> lock(mu_);
    job_ = std::move(job);
  }
  changed_.notify_all();
  return absl::OkStatus();
}

absl::Status CheckpointWriter::Poll() const {
  std::lock_guard<std::mutex> lock(mu_);
  return failure_;
}

absl::Status CheckpointWriter::Wait() {
  std::unique_lock<std::mutex> lock(mu_);
  changed_.wait(lock, [this] { return !job_.has_value(); });
  return failure_;
}

std::optional<int64_t> CheckpointWriter::last_step() const {
  std::lock_guard<std::mutex> lock(mu_);
  return last_step_;
}

void CheckpointWriter::Run() {
  std::unique_lock<std::mutex> lock(mu_);
  while (true) {
    changed_.wait(lock, [this] { return job_.has_value() || ending_; });
    if (!job_) return;
    // Nobody else touches the job while it is there.
    const CheckpointJob& job = *job_;
    lock.unlock();
    absl::Status status;
    bool needed = job.reason == CheckpointReason::kBranch || job.reason == CheckpointReason::kPreempted;
    try {
      status = WriteOne(job);
    } catch (const std::exception& error) {  // of wait_for_copy: the device's
      status = absl::InternalError(absl::StrCat("checkpoint of step ", job.state.step, " is not written: ", error.what()));
      needed = true;
    }
    lock.lock();
    if (status.ok()) {
      last_step_ = job.state.step;
    } else if (needed) {
      failure_ = status;
    }
    job_.reset();
    changed_.notify_all();
  }
}

absl::Status CheckpointWriter::WriteOne(const CheckpointJob& job) {
  const auto start = std::chrono::steady_clock::now();
  if (job.wait_for_copy) job.wait_for_copy();
  const auto written = WriteCheckpoint(folder_, layout_, job.state, job.tensors);
  if (!written.ok()) {
    const absl::Status status = absl::Status(
        written.status().code(), absl::StrCat("checkpoint of step ", job.state.step, " (", ToString(job.reason),
                                              ") is not written: ", std::string(written.status().message())));
    if (job.reason != CheckpointReason::kBranch && job.reason != CheckpointReason::kPreempted) {
      events_.Note(absl::StrCat(std::string(status.message()), "\ntraining goes on; the checkpoint before it still counts"));
    }
    return status;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  events_.Write(TrainerEvent("checkpoint")
                    .Add("step", job.state.step)
                    .Add("tokens", job.state.tokens)
                    .Add("path", written->path)
                    .Add("sha256", written->manifest_sha256)
                    .Add("bytes", written->bytes)
                    .Add("seconds", seconds.count())
                    .Add("reason", ToString(job.reason)));
  return absl::OkStatus();
}

}  // namespace isoflop
