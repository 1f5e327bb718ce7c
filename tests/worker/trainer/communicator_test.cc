// Ranks are processes: the test starts itself again in a role, once a rank, and
// looks at what each printed and how it ended.
#include "worker/trainer/communicator.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/worker/trainer/child_process.h"
#include "tests/worker/trainer/trial_harness.h"
#include "worker/trainer/gradient_buckets.h"
#include "worker/trainer/rank_agreement.h"
#include "worker/trainer/transformer.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// -- Roles of a rank ---------------------------------------------------------

constexpr int kExitComm = 75;

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// The bits of `tensor`, so that "the same" means the same.
std::string Bits(const at::Tensor& tensor) {
  std::string text;
  const auto* bytes = static_cast<const unsigned char*>(tensor.data_ptr());
  for (size_t i = 0; i < tensor.nbytes(); ++i) absl::StrAppend(&text, absl::Hex(bytes[i], absl::kZeroPad2));
  return text;
}

// Numbers whose sum depends on its order.
at::Tensor Numbers(int rank, int64_t count, at::ScalarType type) {
  return (at::arange(count, at::kDouble) * 0.37 + rank * 1.7).sin().to(type);
}

int RunCalls(Communicator& group) {
  const int rank = group.rank(), world = group.world_size();
  at::Tensor sums[] = {Numbers(rank, 5, at::kFloat), Numbers(rank, 30'011, at::kFloat), Numbers(rank, 7, at::kDouble)};
  std::vector<std::unique_ptr<Pending>> pending;
  for (const at::Tensor& sum : sums) pending.push_back(group.AllReduceSum(sum));
  for (auto it = pending.rbegin(); it != pending.rend(); ++it) (*it)->Wait();
  double worst = 0;
  for (const at::Tensor& sum : sums) {
    at::Tensor expected = at::zeros_like(sum, at::kDouble);
    for (int other = 0; other < world; ++other) expected += Numbers(other, sum.numel(), sum.scalar_type()).to(at::kDouble);
    worst = std::max(worst, (sum.to(at::kDouble) - expected).abs().max().item<double>());
    Say("sum " + Bits(sum.narrow(0, 0, 5)) + " " + Bits(sum.sum(at::kDouble)));
  }
  Say(worst < 1e-5 ? "sums right" : absl::StrCat("sums wrong by ", worst));

  at::Tensor word = at::full({3}, rank, at::kLong);
  group.Broadcast(word, world - 1);
  Say("broadcast " + absl::StrCat(word[0].item<int64_t>(), " ", word[2].item<int64_t>()));
  for (int64_t value : {int64_t{10} - rank, int64_t{5} + rank, -(int64_t{1} << 62) + rank}) Say(absl::StrCat("min ", group.Min(value)));
  return 0;
}

// Rank 1 is killed, or stopped, after the first sum; the others sum on.
int RunLoses(Communicator& group, int signal) {
  at::Tensor one = at::ones({1000});
  group.AllReduceSum(one)->Wait();
  Say("together");
  if (group.rank() == 1) std::raise(signal);
  group.AllReduceSum(one)->Wait();
  return 0;
}

int RunLosesInMin(Communicator& group) {
  group.Min(1);
  Say("together");
  if (group.rank() == 0) std::raise(SIGKILL);
  group.Min(1);
  return 0;
}

int RunAborts(Communicator& group) {
  group.Min(1);
  if (group.rank() != 0) {
    pause();  // takes no part in the sum, and is killed by the test
    return 1;
  }
  at::Tensor one = at::ones({1000});
  auto pending = group.AllReduceSum(one);
  std::thread aborter([&] { group.Abort(); });
  int code = 1;
  try {
    pending->Wait();
  } catch (const CommunicationError& error) {
    Say(error.what());
    code = 0;
  }
  aborter.join();
  try {
    group.Min(1);
    code = 2;
  } catch (const CommunicationError& error) {
    Say(error.what());
  }
  return code;
}

// Rank 0 leaves by an error of its own while a sum is under way.
int RunLeaves(Communicator& group) {
  at::Tensor one = at::ones({1000}), two = at::ones({1000});
  group.AllReduceSum(one)->Wait();
  if (group.rank() == 0) {
    auto pending = group.AllReduceSum(two);
    throw std::runtime_error("out of memory, say");
  }
  group.Min(1);  // rank 0 has left, and its store with it
  return 0;
}

int RunAgrees(Communicator& group, const std::string& odd) {
  ModelShape shape;
  shape.d_model = 16;
  shape.n_layer = 1;
  shape.n_head = 2;
  shape.d_ff = 64;
  shape.vocab_size = 11;
  Parameters parameters(LayOutParameters(shape, 8), at::kCPU);
  const bool is_odd = group.rank() == 1;
  InitializeParameters(shape, is_odd && odd == "parameters" ? 2 : 1, parameters);
  const absl::Status status = CheckRanksAgree(group, is_odd && odd == "trial" ? "{\"seed\":2}" : "{\"seed\":1}", parameters,
                                              is_odd && odd == "code" ? "0.2" : "0.1");
  Say(status.ok() ? "agreed" : std::string(status.message()));
  return status.ok() ? 0 : 78;
}

// The gradient of the whole batch, here and as the sum over ranks.
int RunBuckets(Communicator& group) {
  ModelShape shape;
  shape.d_model = 16;
  shape.n_layer = 2;
  shape.n_head = 2;
  shape.d_ff = 64;
  shape.vocab_size = 11;
  constexpr int64_t kSequences = 12, kLength = 8;
  Parameters alone(LayOutParameters(shape, kLength), at::kCPU), shared(LayOutParameters(shape, kLength), at::kCPU);
  InitializeParameters(shape, 1, alone);
  InitializeParameters(shape, 1, shared);
  const Transformer alone_model(shape, kLength, alone, Precision::kFp32), shared_model(shape, kLength, shared, Precision::kFp32);
  const at::Tensor tokens = (at::arange(kSequences * kLength + 1) * 7).remainder(11);
  const at::Tensor inputs = tokens.narrow(0, 0, kSequences * kLength).view({kSequences, kLength}).contiguous();
  const at::Tensor targets = tokens.narrow(0, 1, kSequences * kLength).view({kSequences, kLength}).contiguous();
  const at::Tensor scale = at::scalar_tensor(1.0 / (kSequences * kLength), at::kFloat);
  torch::autograd::backward({alone_model.SummedLoss(inputs, targets, true)}, {scale});

  GradientBuckets buckets(shared, group);
  const int64_t share = kSequences / group.world_size();
  double worst = 0;
  for (int step = 0; step < 2; ++step) {  // twice: what a step leaves behind must not matter
    shared.ZeroGradients();
    for (int64_t micro = 0; micro < 2; ++micro) {
      if (micro == 1) buckets.Arm();
      const int64_t first = group.rank() * share + micro * share / 2;
      torch::autograd::backward(
          {shared_model.SummedLoss(inputs.narrow(0, first, share / 2), targets.narrow(0, first, share / 2), true)}, {scale});
    }
    {
      at::NoGradGuard no_grad;
      shared.gradients_with_riders().narrow(0, shared.size(), 3).fill_(group.rank() + 1);
    }
    buckets.Finish();
    const double norm = alone.gradients().norm().item<double>();
    worst = std::max(worst, (shared.gradients() - alone.gradients()).norm().item<double>() / norm);
  }
  Say("gradient " + Bits(shared.gradients().sum(at::kDouble)));
  Say(absl::StrCat("riders ", shared.gradients_with_riders()[shared.size() + 2].item<double>()));
  Say(absl::StrCat("sent in backward ", buckets.sent_in_backward(), " of ", buckets.buckets().size()));
  Say(absl::StrCat(worst < 1e-6 ? "gradient right: " : "gradient wrong: ", worst));
  return 0;
}

// argv: --role NAME RANK WORLD PORT LEASE TIMEOUT_SECONDS
int RunRole(char** argv) {
  const std::string role = argv[2];
  Rendezvous rendezvous;
  rendezvous.rank = std::stoi(argv[3]);
  rendezvous.world_size = std::stoi(argv[4]);
  rendezvous.master_port = std::stoi(argv[5]);
  rendezvous.lease = std::stoll(argv[6]);
  rendezvous.timeout = absl::Seconds(std::stod(argv[7]));
  at::set_num_threads(1);
  try {
    const std::unique_ptr<Communicator> group = MakeGlooCommunicator(rendezvous);
    if (role == "calls") return RunCalls(*group);
    if (role == "killed") return RunLoses(*group, SIGKILL);
    if (role == "stopped") return RunLoses(*group, SIGSTOP);
    if (role == "killed_in_min") return RunLosesInMin(*group);
    if (role == "aborts") return RunAborts(*group);
    if (role == "leaves") return RunLeaves(*group);
    if (role == "buckets") return RunBuckets(*group);
    return RunAgrees(*group, role);
  } catch (const CommunicationError& error) {
    Say(absl::StrCat("comm: ", error.what()));
    return kExitComm;
  } catch (const std::runtime_error& error) {
    Say(error.what());
    return 86;
  }
}

// -- The tests -----------------------------------------------------------------

class GlooTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/isoflop-gloo-" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    ranks_.clear();
    std::filesystem::remove_all(folder_);
  }

  ChildProcess& Start(const std::string& role, int rank, int world, int64_t lease = 7, double timeout = 60) {
    ranks_.emplace_back(std::vector<std::string>{OwnPath(), "--role", role, absl::StrCat(rank), absl::StrCat(world),
                                                 absl::StrCat(port_), absl::StrCat(lease), absl::StrCat(timeout)},
                        std::map<std::string, std::string>{}, absl::StrCat(folder_, "/", ranks_.size()));
    return ranks_.back();
  }
  void StartAll(const std::string& role, int world, double timeout = 60) {
    ranks_.reserve(static_cast<size_t>(world));
    for (int rank = 0; rank < world; ++rank) Start(role, rank, world, 7, timeout);
  }

  const int port_ = FreePort();
  std::string folder_;
  std::vector<ChildProcess> ranks_;
};

class GlooWorldTest : public GlooTest, public testing::WithParamInterface<int> {};

TEST_P(GlooWorldTest, SumsBroadcastsAndFindsTheSmallest) {
  StartAll("calls", GetParam());
  for (ChildProcess& rank : ranks_) ASSERT_EQ(rank.Wait(), 0) << rank.Output() << rank.Errors();
  EXPECT_THAT(ranks_[0].Output(),
              AllOf(HasSubstr("sums right\n"), HasSubstr(absl::StrCat("broadcast ", GetParam() - 1, " ", GetParam() - 1, "\n")),
                    HasSubstr(absl::StrCat("min ", 11 - GetParam(), "\nmin 5\nmin -4611686018427387904\n"))));
  // The sums have the same bits on all ranks.
  for (ChildProcess& rank : ranks_) EXPECT_EQ(rank.Output(), ranks_[0].Output());
  if (!HasFailure()) {
    ReportRow(absl::StrCat("Gloo, ", GetParam(), " processes: sums, broadcast, min"), "right to 1e-5, the same bits on every rank", "so it is");
  }
}

TEST_P(GlooWorldTest, BucketsGiveTheGradientOfTheWholeBatch) {
  StartAll("buckets", GetParam());
  for (ChildProcess& rank : ranks_) ASSERT_EQ(rank.Wait(), 0) << rank.Output() << rank.Errors();
  EXPECT_THAT(ranks_[0].Output(), AllOf(HasSubstr("gradient right: "), HasSubstr("sent in backward 2 of 3\n"),
                                        HasSubstr(absl::StrCat("riders ", GetParam() * (GetParam() + 1) / 2, "\n"))));
  for (ChildProcess& rank : ranks_) EXPECT_EQ(rank.Output(), ranks_[0].Output());
  if (HasFailure()) return;
  const std::string output = ranks_[0].Output();
  const size_t at = output.find("gradient right: ") + 16;
  ReportRow(absl::StrCat("buckets on ", GetParam(), " ranks = the gradient of the whole batch"), "1e-6 relative (L2)",
            absl::StrCat(output.substr(at, output.find('\n', at) - at), ", 2 of 3 buckets sent during backward"));
}

INSTANTIATE_TEST_SUITE_P(Worlds, GlooWorldTest, testing::Values(2, 3));

TEST_F(GlooTest, TheOthersEndWithinSecondsWhenARankIsKilled) {
  StartAll("killed", 3);
  for (ChildProcess& rank : ranks_) ASSERT_TRUE(rank.WaitForText("together")) << rank.Output() << rank.Errors();
  const absl::Time killed = absl::Now();
  EXPECT_EQ(ranks_[1].Wait(), -SIGKILL);
  for (size_t other : {size_t{0}, size_t{2}}) {
    EXPECT_EQ(ranks_[other].Wait(absl::Seconds(30)), kExitComm) << ranks_[other].Output() << ranks_[other].Errors();
    EXPECT_THAT(ranks_[other].Output(), HasSubstr("comm: rank"));
  }
  const absl::Duration took = absl::Now() - killed;
  EXPECT_LT(took, absl::Seconds(20));  // the timeout is 60 s: it was the lost connection
  if (!HasFailure()) {
    ReportRow("one of three Gloo ranks killed", "the others end within seconds", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))));
  }
}

TEST_F(GlooTest, AMinEndsWhenTheRankOfTheStoreIsKilled) {
  StartAll("killed_in_min", 2);
  EXPECT_EQ(ranks_[0].Wait(), -SIGKILL);
  EXPECT_EQ(ranks_[1].Wait(absl::Seconds(30)), kExitComm) << ranks_[1].Output() << ranks_[1].Errors();
}

TEST_F(GlooTest, AStoppedRankIsDeadAfterTheTimeout) {
  StartAll("stopped", 2, 3);
  EXPECT_EQ(ranks_[0].Wait(absl::Seconds(40)), kExitComm) << ranks_[0].Output() << ranks_[0].Errors();
  EXPECT_TRUE(ranks_[1].running());  // the agent's SIGKILL is what ends it
}

TEST_F(GlooTest, AbortEndsWhatIsUnderWay) {
  StartAll("aborts", 2);
  EXPECT_EQ(ranks_[0].Wait(absl::Seconds(40)), 0) << ranks_[0].Output() << ranks_[0].Errors();
  EXPECT_THAT(ranks_[0].Output(), HasSubstr("the group was aborted"));
}

TEST_F(GlooTest, AnErrorOfOneRankDoesNotWaitForItsSums) {
  StartAll("leaves", 2);
  EXPECT_EQ(ranks_[0].Wait(absl::Seconds(30)), 86) << ranks_[0].Output() << ranks_[0].Errors();
  EXPECT_EQ(ranks_[1].Wait(absl::Seconds(30)), kExitComm) << ranks_[1].Output() << ranks_[1].Errors();
}

TEST_F(GlooTest, ARankOfAnOlderLeaseNeverJoins) {
  ranks_.reserve(3);
  ChildProcess& first = Start("calls", 0, 2, 8);
  ChildProcess& older = Start("calls", 1, 2, 7);
  EXPECT_EQ(older.Wait(absl::Seconds(30)), kExitComm) << older.Output() << older.Errors();
  EXPECT_THAT(older.Output(), HasSubstr("is of lease 7, but at 127.0.0.1:" + absl::StrCat(port_) + " lease 8 meets"));
  ChildProcess& second = Start("calls", 1, 2, 8);
  EXPECT_EQ(first.Wait(), 0) << first.Output() << first.Errors();
  EXPECT_EQ(second.Wait(), 0) << second.Output() << second.Errors();
}

TEST_F(GlooTest, ATakenPortIsTransient) {
  ranks_.reserve(2);
  ChildProcess& first = Start("calls", 0, 2, 8);
  // Turned away: so the store of the first is up.
  ChildProcess& other = Start("calls", 1, 2, 7);
  EXPECT_EQ(other.Wait(), kExitComm);
  ChildProcess again({OwnPath(), "--role", "calls", "0", "2", absl::StrCat(port_), "9", "60"}, {}, folder_ + "/again");
  EXPECT_EQ(again.Wait(absl::Seconds(30)), kExitComm) << again.Output() << again.Errors();
  EXPECT_THAT(again.Output(), AllOf(HasSubstr("cannot meet the others"), HasSubstr(absl::StrCat(port_))));
  EXPECT_TRUE(first.running());
}

TEST_F(GlooTest, ANewLeasesRankIsNotTrappedByAnOldStore) {
  ranks_.reserve(2);
  Start("calls", 0, 2, 7);  // still holds the port
  ChildProcess& newer = Start("calls", 1, 2, 8);
  EXPECT_EQ(newer.Wait(absl::Seconds(30)), kExitComm);
  EXPECT_THAT(newer.Output(), HasSubstr("lease 8, but at"));
}

class AgreementTest : public GlooTest, public testing::WithParamInterface<const char*> {};

TEST_P(AgreementTest, RanksThatDifferAreTurnedDown) {
  StartAll(GetParam(), 2);
  const std::string what = GetParam() == std::string("code") ? "the code version" : absl::StrCat("the ", GetParam());
  for (ChildProcess& rank : ranks_) {
    EXPECT_EQ(rank.Wait(), 78) << rank.Output() << rank.Errors();
    EXPECT_THAT(rank.Output(), AllOf(HasSubstr(what + " differs between the ranks"), HasSubstr("cure:")));
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, AgreementTest, testing::Values("trial", "parameters", "code"));

TEST_F(GlooTest, RanksThatAreAlikeAgree) {
  StartAll("alike", 2);
  for (ChildProcess& rank : ranks_) EXPECT_EQ(rank.Wait(), 0) << rank.Output() << rank.Errors();
}

TEST(NcclTest, SaysClearlyThatThereIsNoGpu) {
  if (at::hasCUDA()) GTEST_SKIP() << "this machine has a GPU";
  try {
    MakeNcclCommunicator({}, 0);
    FAIL();
  } catch (const CommunicationError& error) {
    const std::string what = error.what();
    EXPECT_THAT(what, AllOf(HasSubstr("no GPUs found"), HasSubstr("cure:")));
    ReportRow("NCCL without a GPU", "says so clearly", what.substr(0, what.find('\n')));
  }
}

TEST(SoloTest, IsAWorldOfOne) {
  const std::unique_ptr<Communicator> solo = MakeSoloCommunicator();
  at::Tensor numbers = at::ones({3});
  solo->AllReduceSum(numbers)->Wait();
  solo->Broadcast(numbers, 0);
  EXPECT_EQ(numbers.sum().item<double>(), 3);
  EXPECT_EQ(solo->Min(-5), -5);
  EXPECT_EQ(solo->world_size(), 1);
}

// -- How the gradient is cut ----------------------------------------------------

TEST(CutBucketsTest, FollowsBackwardAndCoversEachFloatOnce) {
  ModelShape shape;
  shape.d_model = 64;
  shape.n_layer = 3;
  shape.n_head = 2;
  shape.d_ff = 256;
  shape.vocab_size = 257;
  for (bool tied : {false, true}) {
    shape.tied_head = tied;
    const ParameterLayout layout = LayOutParameters(shape, 32);
    for (int64_t bytes : {int64_t{4}, int64_t{40'000}, int64_t{100'000}, int64_t{1} << 30}) {
      const std::vector<Bucket> buckets = CutBuckets(layout, 3, bytes / 2, bytes);
      std::vector<int> seen(static_cast<size_t>(layout.total) + 3);
      for (const Bucket& bucket : buckets) {
        for (int64_t i = bucket.offset; i < bucket.offset + bucket.count; ++i) ++seen[static_cast<size_t>(i)];
        for (int entry : bucket.entries) {
          const ParameterEntry& at = layout.entries[static_cast<size_t>(entry)];
          EXPECT_GE(at.offset, bucket.offset);
          EXPECT_LE(at.offset + at.count, bucket.offset + bucket.count);
        }
      }
      EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<int64_t>(seen.size())) << bytes;
      EXPECT_EQ(buckets.back().offset + buckets.back().count, layout.total + 3);
      if (!tied) {
        EXPECT_EQ(buckets.front().offset, 0);  // the head
      }
    }
    // The last layer's matrices before the first's.
    const std::vector<Bucket> fine = CutBuckets(layout, 3, 4, 4);
    EXPECT_GT(fine[tied ? 0 : 1].offset, fine[tied ? 1 : 2].offset);
  }
}

TEST(CutBucketsTest, KeepsTheFirstBucketSmall) {
  ModelShape shape;
  shape.d_model = 512;
  shape.n_layer = 8;
  shape.n_head = 8;
  shape.d_ff = 2048;
  shape.vocab_size = 257;
  shape.tied_head = true;
  const std::vector<Bucket> buckets = CutBuckets(LayOutParameters(shape, 128), 3);
  const int64_t matrix_bytes = 512 * 2048 * 4;  // the largest: where a bucket may go over
  EXPECT_LE(buckets[0].count * 4, kFirstBucketBytes + matrix_bytes);
  for (size_t i = 1; i + 2 < buckets.size(); ++i) {
    EXPECT_GE(buckets[i].count * 4, kBucketBytes);
    EXPECT_LE(buckets[i].count * 4, kBucketBytes + matrix_bytes);
  }
}

}  // namespace
}  // namespace isoflop

int main(int argc, char** argv) {
  if (argc == 8 && std::string(argv[1]) == "--role") return isoflop::RunRole(argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
