// StudyAdmin on the wire: checks who speaks, calls the coordinator, translates
// the status. Queries run on threads of their own, a few at a time.
#ifndef ISOFLOP_COORDINATOR_STUDY_ADMIN_SERVICE_H_
#define ISOFLOP_COORDINATOR_STUDY_ADMIN_SERVICE_H_

#include <functional>
#include <map>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "coordinator/authentication.h"
#include "coordinator/coordinator.h"
#include "coordinator/ledger.h"
#include "coordinator/open_calls.h"
#include "proto/study_admin.grpc.pb.h"

namespace isoflop {

class StudyAdminService final : public wire::StudyAdmin::CallbackService {
 public:
  // All must outlive the service.
  StudyAdminService(Coordinator* coordinator, Ledger* ledger, const Authentication* authentication)
      : coordinator_(coordinator), ledger_(ledger), authentication_(authentication) {}
  // Waits for the queries that run.
  ~StudyAdminService() override;

  grpc::ServerReadReactor<wire::SubmitPart>* SubmitPlan(grpc::CallbackServerContext* context,
                                                        wire::SubmitReply* reply) override;
  grpc::ServerUnaryReactor* GetStudy(grpc::CallbackServerContext* context,
                                     const wire::StudyRef* request, wire::Study* reply) override;
  grpc::ServerWriteReactor<wire::Trial>* ListTrials(grpc::CallbackServerContext* context,
                                                    const wire::TrialFilter* request) override;
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const wire::WorkerFilter* request,
                                        wire::WorkerList* reply) override;
  grpc::ServerWriteReactor<wire::Event>* Watch(grpc::CallbackServerContext* context,
                                               const wire::WatchRequest* request) override;
  grpc::ServerUnaryReactor* Control(grpc::CallbackServerContext* context,
                                    const wire::ControlRequest* request,
                                    wire::ControlReply* reply) override;
  grpc::ServerWriteReactor<wire::LogChunk>* ReadLog(grpc::CallbackServerContext* context,
                                                    const wire::LogRequest* request) override;
  grpc::ServerWriteReactor<wire::QueryRows>* Query(grpc::CallbackServerContext* context,
                                                   const wire::QueryRequest* request) override;

  // For a server that stops: ends every call that is still open.
  void EndAll(const absl::Status& status);

 private:
  template <class Request, class Reply>
  grpc::ServerUnaryReactor* Unary(
      grpc::CallbackServerContext* context, const Request* request, Reply* reply,
      void (Coordinator::*method)(const Request&, Coordinator::Callback<Reply>));

  // A stream that EndAll can end; `over` runs when it has ended.
  template <class Writer>
  void Register(const std::shared_ptr<Writer>& writer, std::function<void()> over);

  Coordinator* const coordinator_;
  Ledger* const ledger_;
  const Authentication* const authentication_;
  OpenCalls calls_;
  absl::Mutex mu_;
  int queries_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_stream_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, std::function<void(grpc::Status)>> streams_ ABSL_GUARDED_BY(mu_);
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_STUDY_ADMIN_SERVICE_H_
