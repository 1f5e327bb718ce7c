#include "coordinator/study_admin_service.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/stream_writer.h"
#include "coordinator/work_queue_service.h"
#include "proto/convert.h"

namespace isoflop {
namespace {

constexpr int kMaxQueries = 4;
constexpr int kRowsPerMessage = 256;
constexpr size_t kMessageBytes = 128 * 1024;
constexpr size_t kMessagesAhead = 8;
constexpr size_t kMaxTrials = 100'000;

// Reads the parts of a plan, then submits it.
class SubmitReactor final : public grpc::ServerReadReactor<wire::SubmitPart> {
 public:
  SubmitReactor(Coordinator* coordinator, OpenCalls* calls, wire::SubmitReply* reply,
                absl::Status refused)
      : coordinator_(coordinator), reply_(reply) {
    if (!refused.ok()) {
      Finish(ToGrpc(refused));
      return;
    }
    finish_ = calls->Add([this](grpc::Status status) { Finish(std::move(status)); });
    StartRead(&part_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (!has_header_) {
        return finish_(absl::InvalidArgumentError("submit: the first part has no header"), nullptr);
      }
      coordinator_->SubmitPlan(header_, std::move(trials_),
                               [this](absl::StatusOr<wire::SubmitReply> answer) {
                                 finish_(answer.status(), [&] { *reply_ = *std::move(answer); });
                               });
      return;
    }
    if (part_.has_header()) {
      header_ = std::move(*part_.mutable_header());
      has_header_ = true;
    }
    if (trials_.size() + static_cast<size_t>(part_.trials_size()) > kMaxTrials) {
      return finish_(
          absl::InvalidArgumentError(absl::StrCat("submit: more than ", kMaxTrials, " trials")),
          nullptr);
    }
    for (const wire::PlannedTrial& wire_trial : part_.trials()) {
      auto trial = FromWire(wire_trial);
      if (!trial.ok()) {
        return finish_(absl::InvalidArgumentError(
                           absl::StrCat("submit: trial ", trials_.size(), " of the plan: ",
                                        std::string(trial.status().message()))),
                       nullptr);
      }
      trials_.push_back(*std::move(trial));
    }
    part_.Clear();
    StartRead(&part_);
  }
  void OnDone() override { delete this; }

 private:
  Coordinator* const coordinator_;
  wire::SubmitReply* const reply_;
  OpenCalls::Finish finish_;
  wire::SubmitPart part_;
  wire::SubmitHeader header_;
  bool has_header_ = false;
  std::vector<PlannedTrial> trials_;
};

wire::QueryValue ToWireValue(QueryCell cell) {
  wire::QueryValue out;
  if (std::holds_alternative<std::monostate>(cell.value)) {
    out.set_is_null(true);
  } else if (const auto* integer = std::get_if<int64_t>(&cell.value)) {
    out.set_integer(*integer);
  } else if (const auto* real = std::get_if<double>(&cell.value)) {
    out.set_real(*real);
  } else if (cell.is_blob) {
    out.set_blob(std::get<std::string>(std::move(cell.value)));
  } else {
    out.set_text(std::get<std::string>(std::move(cell.value)));
  }
  return out;
}

void RunQuery(Ledger* ledger, const wire::QueryRequest& request,
              StreamWriter<wire::QueryRows>& writer) {
  wire::QueryRows rows;
  int64_t count = 0;
  size_t bytes = 0;
  const auto flush = [&] {
    writer.Push(std::exchange(rows, {}));
    bytes = 0;
    return writer.WaitForRoom(kMessagesAhead);
  };
  const absl::Status status = ledger->Query(
      request.sql(),
      [&](const QueryColumns& columns) {
        for (const std::string& name : columns.names) rows.add_column_names(name);
        for (const std::string& type : columns.types) rows.add_column_types(type);
        flush();
      },
      [&](std::vector<QueryCell> cells) {
        if (request.max_rows() > 0 && count == request.max_rows()) {
          rows.set_truncated(true);
          return false;
        }
        ++count;
        wire::QueryRow* row = rows.add_rows();
        for (QueryCell& cell : cells) *row->add_values() = ToWireValue(std::move(cell));
        bytes += row->ByteSizeLong();
        return rows.rows_size() < kRowsPerMessage && bytes < kMessageBytes ? true : flush();
      });
  if (status.ok() && (rows.rows_size() > 0 || rows.truncated())) flush();
  writer.End(ToGrpc(status));
}

}  // namespace

StudyAdminService::~StudyAdminService() {
  absl::MutexLock lock(&mu_);
  const auto none_runs = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return queries_ == 0; };
  mu_.Await(absl::Condition(&none_runs));
}

void StudyAdminService::EndAll(const absl::Status& status) {
  std::map<uint64_t, std::function<void(grpc::Status)>> streams;
  {
    absl::MutexLock lock(&mu_);
    streams = streams_;
  }
  for (const auto& [number, end] : streams) end(ToGrpc(status));
  calls_.EndAll(status);
}

template <class Writer>
void StudyAdminService::Register(const std::shared_ptr<Writer>& writer,
                                 std::function<void()> over) {
  uint64_t number;
  {
    absl::MutexLock lock(&mu_);
    number = next_stream_++;
    streams_.emplace(number, [writer](grpc::Status status) { writer->End(std::move(status)); });
  }
  writer->WhenOver([this, number, over = std::move(over)] {
    if (over) over();
    absl::MutexLock lock(&mu_);
    streams_.erase(number);
  });
}

template <class Request, class Reply>
grpc::ServerUnaryReactor* StudyAdminService::Unary(
    grpc::CallbackServerContext* context, const Request* request, Reply* reply,
    void (Coordinator::*method)(const Request&, Coordinator::Callback<Reply>)) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (absl::Status status = CheckCaller(*authentication_, *context); !status.ok()) {
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
  OpenCalls::Finish finish =
      calls_.Add([reactor](grpc::Status status) { reactor->Finish(std::move(status)); });
  (coordinator_->*method)(*request,
                          [finish = std::move(finish), reply](absl::StatusOr<Reply> answer) {
                            finish(answer.status(), [&] { *reply = *std::move(answer); });
                          });
  return reactor;
}

grpc::ServerReadReactor<wire::SubmitPart>* StudyAdminService::SubmitPlan(
    grpc::CallbackServerContext* context, wire::SubmitReply* reply) {
  return new SubmitReactor(coordinator_, &calls_, reply, CheckCaller(*authentication_, *context));
}

grpc::ServerUnaryReactor* StudyAdminService::GetStudy(grpc::CallbackServerContext* context,
                                                      const wire::StudyRef* request,
                                                      wire::Study* reply) {
  return Unary(context, request, reply, &Coordinator::GetStudy);
}

grpc::ServerWriteReactor<wire::Trial>* StudyAdminService::ListTrials(
    grpc::CallbackServerContext* context, const wire::TrialFilter* request) {
  auto writer = StreamWriter<wire::Trial>::Start();
  Register(writer, nullptr);
  if (absl::Status status = CheckCaller(*authentication_, *context); !status.ok()) {
    writer->End(ToGrpc(status));
    return writer.get();
  }
  coordinator_->ListTrials(*request, [writer](absl::StatusOr<std::vector<wire::Trial>> answer) {
    if (answer.ok()) {
      for (wire::Trial& trial : *answer) writer->Push(std::move(trial));
    }
    writer->End(ToGrpc(answer.status()));
  });
  return writer.get();
}

grpc::ServerUnaryReactor* StudyAdminService::ListWorkers(grpc::CallbackServerContext* context,
                                                         const wire::WorkerFilter* request,
                                                         wire::WorkerList* reply) {
  return Unary(context, request, reply, &Coordinator::ListWorkers);
}

grpc::ServerWriteReactor<wire::Event>* StudyAdminService::Watch(
    grpc::CallbackServerContext* context, const wire::WatchRequest* request) {
  auto writer = StreamWriter<wire::Event>::Start();
  if (absl::Status status = CheckCaller(*authentication_, *context); !status.ok()) {
    writer->End(ToGrpc(status));
    return writer.get();
  }
  const Coordinator::Subscription subscription = coordinator_->Watch(
      *request, [writer](wire::Event event) { writer->Push(std::move(event)); },
      [writer](absl::Status status) { writer->End(ToGrpc(status)); });
  Register(writer, [this, subscription] { coordinator_->Unsubscribe(subscription); });
  return writer.get();
}

grpc::ServerUnaryReactor* StudyAdminService::Control(grpc::CallbackServerContext* context,
                                                     const wire::ControlRequest* request,
                                                     wire::ControlReply* reply) {
  return Unary(context, request, reply, &Coordinator::Control);
}

grpc::ServerWriteReactor<wire::LogChunk>* StudyAdminService::ReadLog(
    grpc::CallbackServerContext* context, const wire::LogRequest* request) {
  auto writer = StreamWriter<wire::LogChunk>::Start();
  if (absl::Status status = CheckCaller(*authentication_, *context); !status.ok()) {
    writer->End(ToGrpc(status));
    return writer.get();
  }
  const Coordinator::Subscription subscription = coordinator_->ReadLog(
      *request, [writer](wire::LogChunk chunk) { writer->Push(std::move(chunk)); },
      [writer](absl::Status status) { writer->End(ToGrpc(status)); });
  Register(writer, [this, subscription] { coordinator_->Unsubscribe(subscription); });
  return writer.get();
}

grpc::ServerWriteReactor<wire::QueryRows>* StudyAdminService::Query(
    grpc::CallbackServerContext* context, const wire::QueryRequest* request) {
  auto writer = StreamWriter<wire::QueryRows>::Start();
  Register(writer, nullptr);
  if (absl::Status status = CheckCaller(*authentication_, *context); !status.ok()) {
    writer->End(ToGrpc(status));
    return writer.get();
  }
  {
    absl::MutexLock lock(&mu_);
    if (queries_ >= kMaxQueries) {
      writer->End(ToGrpc(absl::ResourceExhaustedError(
          absl::StrCat("query: ", kMaxQueries, " run already, wait for one to end"))));
      return writer.get();
    }
    ++queries_;
  }
  // A query may take seconds; no thread of gRPC waits for it.
  std::thread([this, writer, request = *request] {
    RunQuery(ledger_, request, *writer);
    absl::MutexLock lock(&mu_);
    --queries_;
  }).detach();
  return writer.get();
}

}  // namespace isoflop
