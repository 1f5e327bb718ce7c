// The coordinator as the commands see it: one blocking call a question, answered
// with the house's statuses.
//
// A coordinator that is not there shows at the first call (Unavailable, with
// what to start). Thread-safe.
#ifndef ISOFLOP_TOOLS_ISOFLOP_STUDY_ADMIN_CLIENT_H_
#define ISOFLOP_TOOLS_ISOFLOP_STUDY_ADMIN_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/channel.h"
#include "proto/study_admin.grpc.pb.h"
#include "study/plan.h"
#include "tools/isoflop/environment.h"
#include "tools/isoflop/study_loading.h"

namespace isoflop {

class StudyAdminClient {
 public:
  // `address` as proto/channel.h takes it; `token_file` is used where the
  // address is TCP.
  static absl::StatusOr<std::unique_ptr<StudyAdminClient>> Connect(const std::string& address,
                                                                   const std::string& token_file);
  // To environment.server.
  static absl::StatusOr<std::unique_ptr<StudyAdminClient>> Connect(const Environment& environment);

  absl::StatusOr<wire::SubmitReply> SubmitPlan(const Plan& plan, const wire::SubmitHeader& header);
  absl::StatusOr<wire::Study> GetStudy(const wire::StudyRef& ref);
  absl::StatusOr<std::vector<wire::Trial>> ListTrials(const wire::TrialFilter& filter);
  absl::StatusOr<wire::WorkerList> ListWorkers(const wire::WorkerFilter& filter);
  absl::StatusOr<wire::ControlReply> Control(const wire::ControlRequest& request);

  // Calls `event` for each event until it returns false, the stream ends (OK)
  // or breaks. Blocks.
  absl::Status Watch(const wire::WatchRequest& request,
                     const std::function<bool(const wire::Event&)>& event);
  // The same for the pieces of a log.
  absl::Status ReadLog(const wire::LogRequest& request,
                       const std::function<bool(const wire::LogChunk&)>& chunk);

  const std::string& address() const { return channel_->address(); }

 private:
  explicit StudyAdminClient(std::unique_ptr<CoordinatorChannel> channel);

  // Constant after construction.
  const std::unique_ptr<CoordinatorChannel> channel_;
  const std::unique_ptr<wire::StudyAdmin::Stub> stub_;
};

// What a coordinator needs to know of `study` beside its trials.
wire::SubmitHeader SubmitHeaderOf(const LoadedStudy& study);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_STUDY_ADMIN_CLIENT_H_
