// The spool and the report on it: what was said survives the agent.
#include "worker/agent/spool.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/work_queue.pb.h"
#include "worker/agent/lease_report.h"

namespace isoflop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

LossPoint Point(int64_t step) {
  LossPoint point;
  point.step = step;
  point.tokens = step * 10;
  point.loss_nats = static_cast<double>(step) / 8;
  return point;
}

wire::Outcome OutcomeOf(wire::OutcomeClass outcome_class) {
  wire::Outcome outcome;
  outcome.set_outcome_class(outcome_class);
  outcome.set_log_tail("bytes \xff\x01");
  return outcome;
}

class SpoolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "isoflop-spool-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Spool> Open() {
    auto spool = Spool::Open(folder_ + "/s");
    EXPECT_TRUE(spool.ok()) << spool.status();
    return spool.ok() ? *std::move(spool) : nullptr;
  }
  // The report of lease 7, with points up to `points`, left without an end.
  void LeavePoints(int points) {
    auto spool = Open();
    LeaseReport report(*spool->Create(LeaseId(7)));
    for (int i = 1; i <= points; ++i) ASSERT_TRUE(report.AddPoint(Point(i)).ok());
  }
  std::unique_ptr<LeaseReport> RecoverOnly(Spool& spool) {
    std::vector<Spool::Left> left = spool.TakeLeft();
    EXPECT_THAT(left, SizeIs(1));
    if (left.size() != 1) return nullptr;
    EXPECT_EQ(left[0].lease, LeaseId(7));
    auto report = LeaseReport::Recover(std::move(left[0].spool),
                                       OutcomeOf(wire::OUTCOME_CLASS_LOST));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *std::move(report) : nullptr;
  }
  std::string Lines() const { return folder_ + "/s/7.jsonl"; }

  std::string folder_;
};

// Takes all that `report` tells, as a coordinator does; returns the seqs, and
// the outcome once it came.
std::vector<uint64_t> TakeAll(LeaseReport& report, std::optional<wire::Outcome>& outcome,
                              int per_request = 512) {
  std::vector<uint64_t> seqs;
  for (uint64_t number = 1; number < 1000; ++number) {
    wire::HeldLease held;
    if (!report.Fill(held, per_request, true, number)) break;
    for (int i = 0; i < held.points_size(); ++i) {
      seqs.push_back(held.first_seq() + static_cast<uint64_t>(i));
      EXPECT_EQ(held.points(i).step(), static_cast<int64_t>(seqs.back()));
    }
    report.Acknowledge(number);
    if (!seqs.empty()) report.SetDurable(seqs.back());
    if (held.has_outcome()) {
      outcome = held.outcome();
      break;
    }
  }
  return seqs;
}

TEST_F(SpoolTest, IsOfOneAgentAtATimeAndNamesTheOther) {
  auto first = Open();
  const auto second = Spool::Open(folder_ + "/s");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().ToString(), HasSubstr(absl::StrCat("pid ", getpid())));
  EXPECT_THAT(second.status().ToString(), HasSubstr("cure:"));
  struct stat info;
  ASSERT_EQ(stat((folder_ + "/s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  first.reset();
  EXPECT_TRUE(Spool::Open(folder_ + "/s").ok());
}

TEST_F(SpoolTest, NamesPredecessorsUntilTheCoordinatorKnowsTheInstance) {
  const std::string first = Open()->instance_id();
  auto second = Open();
  EXPECT_THAT(second->previous_instances(), ElementsAre(first));
  EXPECT_NE(second->instance_id(), first);
  const std::string second_id = second->instance_id();
  second.reset();
  auto third = Open();
  EXPECT_THAT(third->previous_instances(), ElementsAre(first, second_id));
  third->ConfirmInstance();
  const std::string third_id = third->instance_id();
  third.reset();
  EXPECT_THAT(Open()->previous_instances(), ElementsAre(third_id));
}

TEST_F(SpoolTest, ASuccessorFindsEverythingThatWasSaid) {
  {
    auto spool = Open();
    LeaseReport report(*spool->Create(LeaseId(7)));
    for (int i = 1; i <= 1000; ++i) ASSERT_TRUE(report.AddPoint(Point(i)).ok());
    wire::Checkpoint checkpoint;
    checkpoint.set_step(500);
    checkpoint.set_path("trial-1/lease-7/step-00000500");
    report.AddCheckpoint(checkpoint);
    report.AddNote("compiling");
    report.SetOutcome(OutcomeOf(wire::OUTCOME_CLASS_COMPLETED));
  }
  auto spool = Open();
  auto report = RecoverOnly(*spool);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->last_seq(), 1000u);
  wire::HeldLease held;
  ASSERT_TRUE(report->Fill(held, 100, true, 1));
  EXPECT_EQ(held.points_size(), 100);
  ASSERT_EQ(held.checkpoints_size(), 1);
  EXPECT_EQ(held.checkpoints(0).path(), "trial-1/lease-7/step-00000500");
  EXPECT_THAT(held.notes(), ElementsAre("compiling"));
  EXPECT_FALSE(held.has_outcome());  // points are still to come
  std::optional<wire::Outcome> outcome;
  EXPECT_THAT(TakeAll(*report, outcome), SizeIs(1000));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->outcome_class(), wire::OUTCOME_CLASS_COMPLETED);
  EXPECT_EQ(outcome->log_tail(), "bytes \xff\x01");
  report->spool().Remove();
  EXPECT_FALSE(std::filesystem::exists(Lines()));
}

TEST_F(SpoolTest, ALeaseWithoutAnEndWasCutShort) {
  LeavePoints(3);
  auto spool = Open();
  auto report = RecoverOnly(*spool);
  ASSERT_NE(report, nullptr);
  std::optional<wire::Outcome> outcome;
  EXPECT_THAT(TakeAll(*report, outcome), ElementsAre(1, 2, 3));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->outcome_class(), wire::OUTCOME_CLASS_LOST);
}

TEST_F(SpoolTest, EveryTornTailLosesItsLastLineOnly) {
  LeavePoints(3);
  std::ifstream in(Lines(), std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  const std::string whole = text.str();
  const size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t cut = last; cut < whole.size(); ++cut) {
    std::ofstream(Lines(), std::ios::binary | std::ios::trunc) << whole.substr(0, cut);
    auto spool = Open();
    auto report = RecoverOnly(*spool);
    ASSERT_NE(report, nullptr);
    EXPECT_EQ(report->last_seq(), 2u) << cut;
    EXPECT_FALSE(report->lost_tail()) << cut;
  }
}

TEST_F(SpoolTest, GarbageThatAPowerCutLeftIsCutOffAndTheAgentStarts) {
  LeavePoints(3);
  std::ofstream(Lines(), std::ios::binary | std::ios::app)
      << std::string(40, '\0') << "\n{\"points\":[{\"step\":\"9\"}]}\n";
  {
    auto spool = Open();
    auto report = RecoverOnly(*spool);
    ASSERT_NE(report, nullptr);
    EXPECT_TRUE(report->lost_tail());
    std::optional<wire::Outcome> outcome;
    EXPECT_THAT(TakeAll(*report, outcome), ElementsAre(1, 2, 3));
    EXPECT_EQ(outcome->outcome_class(), wire::OUTCOME_CLASS_LOST);
  }
  // What was recovered is whole now, its end included.
  auto spool = Open();
  auto report = RecoverOnly(*spool);
  ASSERT_NE(report, nullptr);
  EXPECT_FALSE(report->lost_tail());
  EXPECT_TRUE(report->has_outcome());
}

TEST_F(SpoolTest, KillsTheGroupsThatAPredecessorNoted) {
  const pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    while (true) pause();
  }
  setpgid(child, child);
  {
    auto spool = Open();
    auto lease = *spool->Create(LeaseId(7));
    const auto note = NoteProcess(child);
    ASSERT_TRUE(note.ok());
    ASSERT_TRUE(lease->NoteProcess(*note).ok());
    // A number that another process bears by now is let alone.
    ProcessNote stale = *NoteProcess(getpid());
    stale.start_ticks += 1;
    ASSERT_TRUE(lease->NoteProcess(stale).ok());
  }
  auto spool = Open();
  EXPECT_EQ(spool->killed_processes(), 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_F(SpoolTest, AFullDiskHoldsTheReportBackAndLosesNothing) {
  auto spool = Open();
  LeaseReport report(*spool->Create(LeaseId(7)));
  ASSERT_TRUE(report.AddPoint(Point(1)).ok());
  // The limit on a file's size fails writes as a full disk does.
  const struct stat before = [&] {
    struct stat info;
    stat(Lines().c_str(), &info);
    return info;
  }();
  signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  rlimit limit = old_limit;
  limit.rlim_cur = static_cast<rlim_t>(before.st_size) + 20;  // half a line
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  ASSERT_TRUE(report.AddPoint(Point(2)).ok());
  ASSERT_TRUE(report.AddPoint(Point(3)).ok());
  report.SetOutcome(OutcomeOf(wire::OUTCOME_CLASS_COMPLETED));
  EXPECT_TRUE(report.is_stuck());
  EXPECT_FALSE(report.Retry());
  EXPECT_THAT(report.status().ToString(), HasSubstr("7.jsonl"));
  // Nothing is told that is not spooled.
  wire::HeldLease held;
  EXPECT_TRUE(report.Fill(held, 512, true, 1));
  EXPECT_EQ(held.points_size(), 1);
  EXPECT_FALSE(held.has_outcome());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  EXPECT_TRUE(report.Retry());
  std::optional<wire::Outcome> outcome;
  EXPECT_THAT(TakeAll(report, outcome), ElementsAre(1, 2, 3));
  EXPECT_TRUE(outcome.has_value());
  // And the file has no half line in it.
  int64_t offset = 0;
  const auto parts = report.spool().Read(offset, 100);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_THAT(*parts, SizeIs(4));
}

TEST_F(SpoolTest, SendsAgainFromTheDurableSeqAndKeepsBoundedMemory) {
  auto spool = Open();
  LeaseReport report(*spool->Create(LeaseId(7)));
  for (int i = 1; i <= 2000; ++i) ASSERT_TRUE(report.AddPoint(Point(i)).ok());
  EXPECT_TRUE(report.HasManyPoints());
  wire::HeldLease held;
  ASSERT_TRUE(report.Fill(held, 512, true, 1));
  EXPECT_EQ(held.first_seq(), 1u);
  EXPECT_LE(held.points_size(), static_cast<int>(LeaseReport::kMaxPointsInMemory));
  // Lost on the way: the same again. Partly stored: from there on.
  wire::HeldLease again;
  ASSERT_TRUE(report.Fill(again, 512, true, 2));
  EXPECT_EQ(again.first_seq(), 1u);
  report.SetDurable(100);
  report.SetDurable(50);  // an old answer
  wire::HeldLease rest;
  ASSERT_TRUE(report.Fill(rest, 512, true, 3));
  EXPECT_EQ(rest.first_seq(), 101u);
  EXPECT_EQ(rest.points(0).step(), 101);
  report.SetDurable(999999);  // nonsense: more than was ever said
  EXPECT_EQ(report.durable_seq(), 2000u);
  EXPECT_FALSE(report.HasPoints());
}

TEST_F(SpoolTest, AfterAJumpOfTheDurableSeqTheNextPointIsFound) {
  auto spool = Open();
  LeaseReport report(*spool->Create(LeaseId(7)));
  for (int i = 1; i <= 2000; ++i) ASSERT_TRUE(report.AddPoint(Point(i)).ok());
  report.SetDurable(1500);
  std::optional<wire::Outcome> outcome;
  report.SetOutcome(OutcomeOf(wire::OUTCOME_CLASS_COMPLETED));
  const std::vector<uint64_t> seqs = TakeAll(report, outcome);
  ASSERT_FALSE(seqs.empty());
  EXPECT_EQ(seqs.front(), 1501u);
  EXPECT_THAT(seqs, SizeIs(500));
  EXPECT_TRUE(outcome.has_value());
}

TEST_F(SpoolTest, StepsThatFallAreRefused) {
  auto spool = Open();
  LeaseReport report(*spool->Create(LeaseId(7)));
  ASSERT_TRUE(report.AddPoint(Point(10)).ok());
  ASSERT_TRUE(report.AddPoint(Point(10)).ok());
  const absl::Status fell = report.AddPoint(Point(9));
  EXPECT_EQ(fell.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(report.last_seq(), 2u);
}

}  // namespace
}  // namespace isoflop
