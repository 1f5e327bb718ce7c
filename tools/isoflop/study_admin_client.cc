#include "tools/isoflop/study_admin_client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/match.h"
#include "proto/convert.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
// A plan of thousands of trials is one transaction.
constexpr absl::Duration kSubmitTimeout = absl::Minutes(5);

// Hands the messages of `stream` to `take` until one of them has enough.
template <class Message>
absl::Status ReadStream(const CoordinatorChannel& channel, grpc::ClientContext& context,
                        grpc::ClientReader<Message>& stream,
                        const std::function<bool(const Message&)>& take) {
  Message message;
  bool enough = false;
  while (!enough && stream.Read(&message)) enough = !take(message);
  if (enough) context.TryCancel();
  const grpc::Status status = stream.Finish();
  return enough ? absl::OkStatus() : channel.ToStatus(status);
}

}  // namespace

StudyAdminClient::StudyAdminClient(std::unique_ptr<CoordinatorChannel> channel)
    : channel_(std::move(channel)), stub_(wire::StudyAdmin::NewStub(channel_->channel())) {}

absl::StatusOr<std::unique_ptr<StudyAdminClient>> StudyAdminClient::Connect(
    const std::string& address, const std::string& token_file) {
  const bool is_unix = absl::StartsWith(address, "unix:") || absl::StartsWith(address, "/");
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<CoordinatorChannel> channel,
                           CoordinatorChannel::Create(address, is_unix ? "" : token_file));
  return std::unique_ptr<StudyAdminClient>(new StudyAdminClient(std::move(channel)));
}

absl::StatusOr<std::unique_ptr<StudyAdminClient>> StudyAdminClient::Connect(
    const Environment& environment) {
  return Connect(environment.server, environment.token_file);
}

absl::StatusOr<wire::SubmitReply> StudyAdminClient::SubmitPlan(const Plan& plan,
                                                               const wire::SubmitHeader& header) {
  grpc::ClientContext context;
  channel_->Prepare(context, kSubmitTimeout);
  wire::SubmitReply reply;
  const auto stream = stub_->SubmitPlan(&context, &reply);
  for (const wire::SubmitPart& part : ToSubmitParts(plan, header)) {
    if (!stream->Write(part)) break;  // the status says why
  }
  stream->WritesDone();
  ISOFLOP_RETURN_IF_ERROR(channel_->ToStatus(stream->Finish()));
  return reply;
}

absl::StatusOr<wire::Study> StudyAdminClient::GetStudy(const wire::StudyRef& ref) {
  grpc::ClientContext context;
  channel_->Prepare(context, kCallTimeout);
  wire::Study study;
  ISOFLOP_RETURN_IF_ERROR(channel_->ToStatus(stub_->GetStudy(&context, ref, &study)));
  return study;
}

absl::StatusOr<std::vector<wire::Trial>> StudyAdminClient::ListTrials(
    const wire::TrialFilter& filter) {
  grpc::ClientContext context;
  channel_->Prepare(context, kCallTimeout);
  std::vector<wire::Trial> trials;
  const auto stream = stub_->ListTrials(&context, filter);
  ISOFLOP_RETURN_IF_ERROR(ReadStream<wire::Trial>(*channel_, context, *stream,
                                                  [&](const wire::Trial& trial) {
                                                    trials.push_back(trial);
                                                    return true;
                                                  }));
  return trials;
}

absl::StatusOr<wire::WorkerList> StudyAdminClient::ListWorkers(const wire::WorkerFilter& filter) {
  grpc::ClientContext context;
  channel_->Prepare(context, kCallTimeout);
  wire::WorkerList workers;
  ISOFLOP_RETURN_IF_ERROR(channel_->ToStatus(stub_->ListWorkers(&context, filter, &workers)));
  return workers;
}

absl::StatusOr<wire::ControlReply> StudyAdminClient::Control(const wire::ControlRequest& request) {
  grpc::ClientContext context;
  channel_->Prepare(context, kCallTimeout);
  wire::ControlReply reply;
  ISOFLOP_RETURN_IF_ERROR(channel_->ToStatus(stub_->Control(&context, request, &reply)));
  return reply;
}

absl::Status StudyAdminClient::Watch(const wire::WatchRequest& request,
                                     const std::function<bool(const wire::Event&)>& event) {
  grpc::ClientContext context;
  channel_->Prepare(context, absl::InfiniteDuration());
  const auto stream = stub_->Watch(&context, request);
  return ReadStream<wire::Event>(*channel_, context, *stream, event);
}

absl::Status StudyAdminClient::ReadLog(const wire::LogRequest& request,
                                       const std::function<bool(const wire::LogChunk&)>& chunk) {
  grpc::ClientContext context;
  channel_->Prepare(context, absl::InfiniteDuration());
  const auto stream = stub_->ReadLog(&context, request);
  return ReadStream<wire::LogChunk>(*channel_, context, *stream, chunk);
}

wire::SubmitHeader SubmitHeaderOf(const LoadedStudy& study) {
  wire::SubmitHeader header;
  wire::RetryBudgets& retry = *header.mutable_retry();
  retry.set_lost(study.spec.retry.lost);
  retry.set_crashed(study.spec.retry.crashed);
  retry.set_oom(study.spec.retry.oom);
  retry.set_timeout(study.spec.retry.timeout);
  retry.set_diverged(study.spec.retry.diverged);
  header.set_trial_wall_seconds(absl::ToDoubleSeconds(study.spec.limits.trial_wall));
  switch (study.spec.resources.slot) {
    case SlotChoice::kAny: header.set_slot(wire::SLOT_CHOICE_ANY); break;
    case SlotChoice::kCpu: header.set_slot(wire::SLOT_CHOICE_CPU); break;
    case SlotChoice::kGpu: header.set_slot(wire::SLOT_CHOICE_GPU); break;
  }
  if (study.spec.trainer.has_value()) {
    header.set_trainer_directory(study.directory);
    header.set_launch_once(study.spec.trainer->launch == Launch::kOnce);
    for (const auto& [name, value] : study.spec.trainer->env) {
      (*header.mutable_trainer_env())[name] = value;
    }
  }
  return header;
}

}  // namespace isoflop
