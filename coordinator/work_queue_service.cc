#include "coordinator/work_queue_service.h"

#include <string>
#include <utility>

#include "proto/channel.h"

namespace isoflop {

absl::Status CheckCaller(const Authentication& authentication,
                         const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kTokenMetadataKey);
  const absl::string_view authorization =
      found == metadata.end() ? absl::string_view()
                              : absl::string_view(found->second.data(), found->second.size());
  return authentication.Check(context.peer(), authorization);
}

grpc::ServerUnaryReactor* WorkQueueService::Synchronize(grpc::CallbackServerContext* context,
                                                        const wire::SynchronizeRequest* request,
                                                        wire::SynchronizeResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (absl::Status status = CheckCaller(*authentication_, *context); !status.ok()) {
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
  OpenCalls::Finish finish =
      calls_.Add([reactor](grpc::Status status) { reactor->Finish(std::move(status)); });
  coordinator_->Synchronize(
      *request, [finish = std::move(finish), response](
                    absl::StatusOr<wire::SynchronizeResponse> answer) {
        finish(answer.status(), [&] { *response = *std::move(answer); });
      });
  return reactor;
}

}  // namespace isoflop
