// WorkQueue on the wire: checks who speaks, calls the coordinator, translates
// the status.
#ifndef ISOFLOP_COORDINATOR_WORK_QUEUE_SERVICE_H_
#define ISOFLOP_COORDINATOR_WORK_QUEUE_SERVICE_H_

#include "coordinator/authentication.h"
#include "coordinator/coordinator.h"
#include "coordinator/open_calls.h"
#include "proto/work_queue.grpc.pb.h"

namespace isoflop {

class WorkQueueService final : public wire::WorkQueue::CallbackService {
 public:
  // Both must outlive the service.
  WorkQueueService(Coordinator* coordinator, const Authentication* authentication)
      : coordinator_(coordinator), authentication_(authentication) {}

  grpc::ServerUnaryReactor* Synchronize(grpc::CallbackServerContext* context,
                                        const wire::SynchronizeRequest* request,
                                        wire::SynchronizeResponse* response) override;

  // For a server that stops.
  void EndAll(const absl::Status& status) { calls_.EndAll(status); }

 private:
  Coordinator* const coordinator_;
  const Authentication* const authentication_;
  OpenCalls calls_;
};

// Who speaks, by the peer and the metadata of a call.
absl::Status CheckCaller(const Authentication& authentication,
                         const grpc::CallbackServerContext& context);

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_WORK_QUEUE_SERVICE_H_
