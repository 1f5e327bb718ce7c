// The server over real sockets, with a ledger in memory.
#include "coordinator/server.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "coordinator/authentication.h"
#include "coordinator/coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/channel.h"
#include "proto/convert.h"
#include "proto/study_admin.grpc.pb.h"
#include "proto/token_file.h"
#include "proto/work_queue.grpc.pb.h"
#include "tests/coordinator/memory_ledger.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kDeadline = absl::Seconds(20);

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "isoflop-server-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  ServerOptions Options(bool tcp) {
    ServerOptions options;
    options.socket_path = folder_ + "/home/coordinator.sock";
    if (tcp) {
      options.listen = "127.0.0.1:0";
      options.token_file = folder_ + "/token";
      options.allow_root = true;
    }
    return options;
  }
  absl::Status Start(ServerOptions options) {
    auto ledger = std::make_unique<MemoryLedger>(&disk_, /*commits_itself=*/true);
    ledger_ = ledger.get();
    auto server = Server::StartOn(std::move(ledger), std::move(options));
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    return absl::OkStatus();
  }
  std::unique_ptr<CoordinatorChannel> Connect(const std::string& address,
                                              const std::string& token_file = "") {
    auto channel = CoordinatorChannel::Create(address, token_file);
    EXPECT_TRUE(channel.ok()) << channel.status();
    return *std::move(channel);
  }
  std::string Tcp() const { return absl::StrCat("127.0.0.1:", server_->port()); }

  static absl::Status Synchronize(CoordinatorChannel& channel,
                                  const wire::SynchronizeRequest& request,
                                  wire::SynchronizeResponse& response) {
    auto stub = wire::WorkQueue::NewStub(channel.channel());
    grpc::ClientContext context;
    channel.Prepare(context, kDeadline);
    return channel.ToStatus(stub->Synchronize(&context, request, &response));
  }
  static absl::Status GetStudy(CoordinatorChannel& channel, wire::Study& study) {
    auto stub = wire::StudyAdmin::NewStub(channel.channel());
    grpc::ClientContext context;
    channel.Prepare(context, kDeadline);
    return channel.ToStatus(stub->GetStudy(&context, {}, &study));
  }
  static wire::SynchronizeRequest Word(uint64_t number) {
    wire::SynchronizeRequest request;
    request.set_protocol_version(kProtocolVersion);
    request.set_instance_id("instance");
    request.set_sync_number(number);
    request.mutable_worker()->set_name("w");
    request.mutable_worker()->set_host("h");
    request.mutable_worker()->add_slots();
    request.add_free_slots(0);
    request.mutable_wait()->set_seconds(10);
    return request;
  }
  void SubmitOne(const std::string& name) {
    PlannedTrial trial;
    trial.text = "{}";
    trial.fingerprint = name;
    trial.spec.steps = 10;
    wire::SubmitHeader header;
    header.set_study_name(name);
    std::promise<void> done;
    server_->coordinator().SubmitPlan(header, {trial}, [&](auto) { done.set_value(); });
    done.get_future().wait();
  }

  std::string folder_;
  MemoryDisk disk_;
  MemoryLedger* ledger_ = nullptr;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, ServesAWorkerAndAPersonOverAUnixSocketOfMode0600) {
  ASSERT_TRUE(Start(Options(false)).ok());
  struct stat info;
  ASSERT_EQ(stat(server_->socket_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((folder_ + "/home").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  SubmitOne("s");
  auto channel = Connect(server_->socket_path());
  wire::SynchronizeResponse response;
  ASSERT_TRUE(Synchronize(*channel, Word(1), response).ok());
  ASSERT_EQ(response.desired_size(), 1);
  EXPECT_EQ(response.desired(0).assignment().trial_json(), "{}");
  wire::Study study;
  ASSERT_TRUE(GetStudy(*channel, study).ok());
  EXPECT_EQ(study.name(), "s");
  EXPECT_EQ(study.trials().leased(), 1);
  EXPECT_EQ(study.slots_total(), 1);
}

TEST_F(ServerTest, TcpNeedsTheTokenAndNoErrorTextHoldsIt) {
  ASSERT_TRUE(Start(Options(true)).ok());
  ASSERT_NE(server_->port(), 0);
  SubmitOne("s");
  const auto tokens = ReadTokenFile(folder_ + "/token");
  ASSERT_TRUE(tokens.ok());
  wire::Study study;
  EXPECT_TRUE(GetStudy(*Connect(Tcp(), folder_ + "/token"), study).ok());

  ASSERT_TRUE(CreateTokenFile(folder_ + "/other").ok());
  const absl::Status wrong = GetStudy(*Connect(Tcp(), folder_ + "/other"), study);
  EXPECT_EQ(wrong.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(wrong.ToString(), HasSubstr("cure:"));
  EXPECT_THAT(wrong.ToString(), Not(HasSubstr(tokens->front())));

  // A client of ours does not even try without one; one of somebody else's does.
  EXPECT_EQ(CoordinatorChannel::Create(Tcp(), "").status().code(),
            absl::StatusCode::kUnauthenticated);
  auto plain = grpc::CreateChannel(Tcp(), grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  wire::SynchronizeResponse response;
  const grpc::Status none =
      wire::WorkQueue::NewStub(plain)->Synchronize(&context, Word(1), &response);
  EXPECT_EQ(none.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  // Streams are guarded too, and nothing was changed.
  grpc::ClientContext stream_context;
  auto reader = wire::StudyAdmin::NewStub(plain)->ListTrials(&stream_context, {});
  wire::Trial trial;
  EXPECT_FALSE(reader->Read(&trial));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(disk_.live.empty());
}

TEST_F(ServerTest, TwoTokensAreValidWhileOneIsBeingChanged) {
  ASSERT_TRUE(CreateTokenFile(folder_ + "/old").ok());
  ASSERT_TRUE(CreateTokenFile(folder_ + "/new").ok());
  std::ofstream both(folder_ + "/token");
  both << ReadTokenFile(folder_ + "/new")->front() << "\n"
       << ReadTokenFile(folder_ + "/old")->front() << "\n";
  both.close();
  ASSERT_EQ(chmod((folder_ + "/token").c_str(), 0600), 0);
  ASSERT_TRUE(Start(Options(true)).ok());
  SubmitOne("s");
  wire::Study study;
  EXPECT_TRUE(GetStudy(*Connect(Tcp(), folder_ + "/old"), study).ok());
  EXPECT_TRUE(GetStudy(*Connect(Tcp(), folder_ + "/new"), study).ok());
}

TEST_F(ServerTest, RefusesWhatIsNotSafeToListenOnAndNamesTheCure) {
  ServerOptions beyond = Options(true);
  beyond.listen = "0.0.0.0:8264";
  const absl::Status refused = Start(beyond);
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("listen 0.0.0.0:8264: plain text beyond loopback is refused; cure:"));
  ServerOptions without_token = Options(true);
  without_token.token_file.clear();
  EXPECT_THAT(Start(without_token).ToString(), HasSubstr("a token is needed; cure:"));

  ASSERT_TRUE(CreateTokenFile(folder_ + "/token").ok());
  ASSERT_EQ(chmod((folder_ + "/token").c_str(), 0644), 0);
  const absl::Status readable = Start(Options(true));
  EXPECT_EQ(readable.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(readable.ToString(), HasSubstr("chmod 600"));
}

TEST_F(ServerTest, RefusesASocketFolderThatOthersCanWriteOrThatIsALink) {
  ServerOptions options = Options(false);
  std::filesystem::create_directory(folder_ + "/home");
  ASSERT_EQ(chmod((folder_ + "/home").c_str(), 0777), 0);
  const absl::Status writable = Start(options);
  EXPECT_EQ(writable.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(writable.ToString(), HasSubstr("others may write into it; cure: chmod 700"));
  std::filesystem::create_directory(folder_ + "/real");
  std::filesystem::create_symlink(folder_ + "/real", folder_ + "/link");
  options.socket_path = folder_ + "/link/coordinator.sock";
  EXPECT_EQ(Start(options).code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(ServerTest, AnotherProtocolVersionReachesTheWorkerAsFailedPrecondition) {
  ASSERT_TRUE(Start(Options(false)).ok());
  wire::SynchronizeRequest request = Word(1);
  request.set_protocol_version(2);
  wire::SynchronizeResponse response;
  const absl::Status status = Synchronize(*Connect(server_->socket_path()), request, response);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.ToString(), HasSubstr("speaks version 1, the worker version 2"));
}

TEST_F(ServerTest, CancelReachesAHangingRequestAtOnceAndAShutdownEndsTheRest) {
  ASSERT_TRUE(Start(Options(false)).ok());
  SubmitOne("s");
  auto channel = Connect(server_->socket_path());
  wire::SynchronizeResponse response;
  ASSERT_TRUE(Synchronize(*channel, Word(1), response).ok());
  const int64_t lease = response.desired(0).lease_id();
  wire::SynchronizeRequest busy = Word(2);
  busy.clear_free_slots();
  busy.add_held()->set_lease_id(lease);
  busy.mutable_held(0)->set_phase(wire::LEASE_PHASE_RUNNING);
  busy.mutable_wait()->set_seconds(30);
  auto hanging = std::async(std::launch::async, [&] {
    wire::SynchronizeResponse answer;
    EXPECT_TRUE(Synchronize(*channel, busy, answer).ok());
    return answer;
  });
  auto admin = wire::StudyAdmin::NewStub(channel->channel());
  wire::ControlRequest cancel;
  cancel.set_action(wire::CONTROL_ACTION_CANCEL);
  cancel.set_study_name("s");
  wire::ControlReply reply;
  // Until the request is there: a cancel before it would be told in it as well.
  grpc::ClientContext context;
  channel->Prepare(context, kDeadline);
  ASSERT_TRUE(admin->Control(&context, cancel, &reply).ok());
  ASSERT_EQ(hanging.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(hanging.get().desired(0).wish(), wire::WISH_STOP);

  wire::SynchronizeRequest stopping = busy;
  stopping.set_sync_number(3);
  stopping.mutable_held(0)->set_phase(wire::LEASE_PHASE_STOPPING);
  auto last = std::async(std::launch::async, [&] {
    wire::SynchronizeResponse answer;
    return Synchronize(*channel, stopping, answer);
  });
  const absl::Time before = absl::Now();
  server_->Shutdown();
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
  ASSERT_EQ(last.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  const absl::Status ended = last.get();
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable) << ended;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/home/coordinator.sock"));
}

TEST_F(ServerTest, AShutdownUnderAFullDiskAcknowledgesNothingAndDoesNotHang) {
  ASSERT_TRUE(Start(Options(false)).ok());
  SubmitOne("s");
  auto channel = Connect(server_->socket_path());
  ledger_->set_health("disk full");
  auto word = std::async(std::launch::async, [&] {
    wire::SynchronizeResponse answer;
    return Synchronize(*channel, Word(1), answer);
  });
  // It is taken (an event for the worker that joined waits for its commit).
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (server_->coordinator().DebugString().find("worker w ") == std::string::npos &&
         absl::Now() < deadline) {
    std::this_thread::yield();
  }
  server_->Shutdown();
  ASSERT_EQ(word.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(word.get().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ServerTest, ASecondServerOnTheAddressIsRefused) {
  ASSERT_TRUE(Start(Options(true)).ok());
  ServerOptions second = Options(true);
  second.socket_path.clear();
  second.listen = Tcp();
  MemoryDisk other;
  const auto refused =
      Server::StartOn(std::make_unique<MemoryLedger>(&other, true), std::move(second));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ServerTest, WatchStreamsAndAQueryCarriesNamesTypesAndItsLimit) {
  ASSERT_TRUE(Start(Options(false)).ok());
  SubmitOne("s");
  auto channel = Connect(server_->socket_path());
  auto admin = wire::StudyAdmin::NewStub(channel->channel());
  {
    grpc::ClientContext context;
    channel->Prepare(context, kDeadline);
    wire::WatchRequest request;
    request.set_follow(true);
    auto events = admin->Watch(&context, request);
    wire::Event event;
    ASSERT_TRUE(events->Read(&event));
    EXPECT_EQ(event.kind(), "submitted");
    wire::SynchronizeResponse response;
    ASSERT_TRUE(Synchronize(*channel, Word(1), response).ok());
    ASSERT_TRUE(events->Read(&event));
    EXPECT_EQ(event.kind(), "worker_joined");
    ASSERT_TRUE(events->Read(&event));
    EXPECT_EQ(event.kind(), "leased");
    context.TryCancel();
    EXPECT_EQ(events->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  grpc::ClientContext context;
  channel->Prepare(context, kDeadline);
  wire::QueryRequest query;
  query.set_sql("SELECT 1");
  query.set_max_rows(300);
  auto rows = admin->Query(&context, query);
  wire::QueryRows part;
  ASSERT_TRUE(rows->Read(&part));
  ASSERT_EQ(part.column_names_size(), 2);
  EXPECT_EQ(part.column_types(1), "INTEGER");
  int count = part.rows_size();
  bool truncated = false;
  while (rows->Read(&part)) {
    count += part.rows_size();
    truncated = truncated || part.truncated();
  }
  EXPECT_TRUE(rows->Finish().ok());
  EXPECT_EQ(count, 300);
  EXPECT_TRUE(truncated);
}

TEST_F(ServerTest, HealthIsServed) {
  ASSERT_TRUE(Start(Options(false)).ok());
  auto channel = Connect(server_->socket_path());
  // grpc.health.v1.Health/Check by hand: an empty request, field 1 of the
  // answer is 1 (SERVING).
  grpc::GenericStub stub(channel->channel());
  grpc::ClientContext context;
  channel->Prepare(context, kDeadline);
  const grpc::Slice nothing;
  grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&](grpc::Status status) { done.set_value(std::move(status)); });
  ASSERT_TRUE(done.get_future().get().ok());
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(response.Dump(&slices).ok());
  ASSERT_EQ(slices.size(), 1u);
  EXPECT_EQ(std::string(slices[0].begin(), slices[0].end()), "\x08\x01");
}

TEST(AuthenticationTest, LoopbackIsRecognisedByAddress) {
  for (const char* good : {"127.0.0.1:8264", "127.8.8.8:1", "[::1]:0", "localhost:80"}) {
    EXPECT_TRUE(CheckListenAddress(good).ok()) << good;
  }
  for (const char* bad : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.0.0.1.example.com:1", "node7:1",
                          "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ""}) {
    EXPECT_EQ(CheckListenAddress(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(AuthenticationTest, ComparesWholeTokens) {
  const Authentication authentication({"abcd"});
  const auto code = [&](const char* said) {
    return authentication.Check("ipv4:127.0.0.1:1", said).code();
  };
  EXPECT_EQ(code("Bearer abcd"), absl::StatusCode::kOk);
  for (const char* wrong : {"", "Bearer ", "Bearer abc", "Bearer abcde", "Bearer abce", "abc"}) {
    EXPECT_EQ(code(wrong), absl::StatusCode::kUnauthenticated) << wrong;
  }
  EXPECT_TRUE(Authentication({}).Check("unix:", "").ok());
  EXPECT_FALSE(Authentication({}).Check("ipv4:127.0.0.1:1", "Bearer x").ok());
}

}  // namespace
}  // namespace isoflop
