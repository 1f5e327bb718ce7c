// The small parts of the agent: thinner, slots, environment, log, data, paths.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "study/trial_text.h"
#include "worker/agent/checkpoint_root.h"
#include "worker/agent/datasets.h"
#include "worker/agent/log_file.h"
#include "worker/agent/point_thinner.h"
#include "worker/agent/slots.h"
#include "worker/agent/trial_environment.h"
#include "worker/agent/trial_facts.h"

namespace isoflop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "isoflop-parts-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

// ---- thinner ----

LossPoint Train(int64_t step, double loss) {
  LossPoint point;
  point.step = step;
  point.tokens = step * 10;
  point.loss_nats = loss;
  return point;
}

TEST(PointThinnerTest, ASlowTrainerIsNeverThinned) {
  PointThinner thinner;
  std::vector<LossPoint> out;
  absl::Time now = absl::UnixEpoch();
  for (int i = 1; i <= 200; ++i, now += absl::Milliseconds(25)) thinner.Add(Train(i, i), now, out);
  EXPECT_THAT(out, SizeIs(200));
  EXPECT_EQ(thinner.NextFlush(), absl::InfiniteFuture());
}

TEST(PointThinnerTest, AFastOneIsAveragedToFiftyASecondAndNothingIsLost) {
  PointThinner thinner;
  std::vector<LossPoint> out;
  absl::Time now = absl::UnixEpoch();
  // 1,000 a second for 4 s: a burst of 50 passes, then 50 a second.
  for (int i = 1; i <= 4000; ++i, now += absl::Milliseconds(1)) thinner.Add(Train(i, i), now, out);
  thinner.Flush(now, out);
  EXPECT_GE(out.size(), 240u);
  EXPECT_LE(out.size(), 255u);
  EXPECT_EQ(out.back().step, 4000);
  // Each point is the mean of the steps since the one before.
  int64_t before = 0;
  for (const LossPoint& point : out) {
    EXPECT_NEAR(*point.loss_nats, static_cast<double>(before + 1 + point.step) / 2, 1e-9);
    before = point.step;
  }
}

TEST(PointThinnerTest, ALossThatIsNotFiniteStaysVisibleAndAnEvalPassesAsItIs) {
  PointThinner thinner;
  std::vector<LossPoint> out;
  const absl::Time now = absl::UnixEpoch();
  for (int i = 1; i <= 50; ++i) thinner.Add(Train(i, 1), now, out);  // uses up the burst
  out.clear();
  LossPoint bad = Train(51, 0);
  bad.loss_nats.reset();
  thinner.Add(bad, now, out);
  thinner.Add(Train(52, 1), now, out);
  EXPECT_THAT(out, IsEmpty());
  EXPECT_EQ(thinner.NextFlush(), now + absl::Milliseconds(20));
  LossPoint eval = Train(53, 2);
  eval.kind = LossKind::kEval;
  thinner.Add(eval, now, out);
  ASSERT_THAT(out, SizeIs(2));
  EXPECT_EQ(out[0].step, 52);
  EXPECT_EQ(out[0].loss_nats, std::nullopt);
  EXPECT_EQ(out[1], eval);
}

// ---- slots ----

TEST(SlotsTest, ReadsCoresAndGpus) {
  const auto all = ParseSlots("cpu", {4, 5, 9});
  ASSERT_TRUE(all.ok());
  ASSERT_THAT(*all, SizeIs(3));
  EXPECT_THAT((*all)[2].cores, ElementsAre(9));
  // Fewer than there are, or more: not pinned.
  EXPECT_THAT((*ParseSlots("cpu:2", {4, 5, 9}))[0].cores, IsEmpty());
  EXPECT_THAT((*ParseSlots("cpu:5", {4, 5, 9}))[4].cores, IsEmpty());
  const auto gpus = ParseSlots("gpu:1,3", {0, 1, 2, 3});
  ASSERT_TRUE(gpus.ok());
  EXPECT_EQ((*gpus)[1].device_index, 3);
  EXPECT_EQ((*gpus)[1].index, 1u);
  EXPECT_THAT((*gpus)[1].cores, ElementsAre(1, 3));
}

TEST(SlotsTest, RefusesOtherTextAndSaysWhatItTakes) {
  for (const char* bad : {"", "cpu:", "cpu:0", "cpu:-1", "cpu:x", "cpu:99999", "gpu", "gpu:",
                          "gpu:1,1", "gpu:-1", "tpu:1", "cpu:1,2"}) {
    const auto slots = ParseSlots(bad, {0});
    EXPECT_EQ(slots.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(slots.status().ToString(), HasSubstr("is none of auto, cpu, cpu:4, gpu:0,1")) << bad;
  }
}

// ---- environment ----

AttemptPlace Place() {
  AttemptPlace place;
  place.trial_path = "/c/trial.json";
  place.checkpoint_dir = "/c";
  place.lease_id = 95;
  place.attempt = 2;
  place.checkpoint_period = absl::Seconds(600);
  place.grace = absl::Seconds(60);
  place.slots.resize(2);
  place.slots[0].cores = {3};
  place.slots[1].cores = {4};
  place.master_port = 4711;
  place.command = {"train"};
  return place;
}

TEST(TrialEnvironmentTest, EachRankFindsWhatTheContractNames) {
  AttemptPlace place = Place();
  place.resume_path = "/r/step-00000007";
  place.dataset_path = "/d/dataset.json";
  place.micro_batch_limit = 4;
  place.extra_env = {{"MY", "own"}};
  const auto ranks = RankCommands(place, {{"PATH", "/bin"}, {"RANK", "9"}});
  ASSERT_THAT(ranks, SizeIs(2));
  const std::map<std::string, std::string> wanted = {
      {"ISOFLOP_TRIAL", "/c/trial.json"}, {"ISOFLOP_EVENTS_FD", "3"},
      {"ISOFLOP_CHECKPOINT_DIR", "/c"},   {"ISOFLOP_RESUME", "/r/step-00000007"},
      {"ISOFLOP_DATA", "/d/dataset.json"}, {"ISOFLOP_CHECKPOINT_SECONDS", "600"},
      {"ISOFLOP_GRACE_SECONDS", "60"},    {"ISOFLOP_MICRO_BATCH_LIMIT", "4"},
      {"ISOFLOP_LEASE", "95"},            {"ISOFLOP_ATTEMPT", "2"},
      {"RANK", "1"},                      {"LOCAL_RANK", "1"},
      {"WORLD_SIZE", "2"},                {"LOCAL_WORLD_SIZE", "2"},
      {"MASTER_ADDR", "127.0.0.1"},       {"MASTER_PORT", "4711"},
      {"OMP_NUM_THREADS", "1"},           {"CUDA_VISIBLE_DEVICES", ""},
      {"NCCL_RAS_ENABLE", "0"},           {"NCCL_ALGO", "Ring"},
      {"MY", "own"},                      {"PATH", "/bin"}};
  for (const auto& [name, value] : wanted) {
    ASSERT_EQ(ranks[1].env.count(name), 1u) << name;
    EXPECT_EQ(ranks[1].env.at(name), value) << name;
  }
  EXPECT_THAT(ranks[1].cores, ElementsAre(4));
}

TEST(TrialEnvironmentTest, NothingSecretAndNothingOfAnotherAttemptIsInIt) {
  const auto ranks = RankCommands(
      Place(), {{"ISOFLOP_TOKEN_FILE", "/t"}, {"ISOFLOP_SERVER", "s"}, {"ISOFLOP_TLS_KEY", "k"},
                {"ISOFLOP_RESUME", "/old"}, {"ISOFLOP_MICRO_BATCH_LIMIT", "1"}});
  for (const char* name : {"ISOFLOP_TOKEN_FILE", "ISOFLOP_SERVER", "ISOFLOP_TLS_KEY",
                           "ISOFLOP_RESUME", "ISOFLOP_MICRO_BATCH_LIMIT"}) {
    EXPECT_EQ(ranks[0].env.count(name), 0u) << name;
  }
}

TEST(TrialEnvironmentTest, LaunchOnceIsOneCommandWithAllCores) {
  AttemptPlace place = Place();
  place.launch_once = true;
  const auto ranks = RankCommands(place, {});
  ASSERT_THAT(ranks, SizeIs(1));
  EXPECT_EQ(ranks[0].env.count("RANK"), 0u);
  EXPECT_EQ(ranks[0].env.at("WORLD_SIZE"), "2");
  EXPECT_THAT(ranks[0].cores, ElementsAre(3, 4));
}

TEST(TrialEnvironmentTest, GpusOfTheTrialAreVisibleInItsOrder) {
  AttemptPlace place = Place();
  for (AgentSlot& slot : place.slots) slot.kind = AgentSlotKind::kGpu;
  place.slots[0].device_index = 5;
  place.slots[1].device_index = 2;
  EXPECT_EQ(RankCommands(place, {})[0].env.at("CUDA_VISIBLE_DEVICES"), "5,2");
}

TEST(TrialFactsTest, ReadsWhatTheAgentNeedsAndForgivesTheRest) {
  const auto facts = ReadTrialFacts(
      R"({"steps":7,"deterministic":false,"data":{"dataset_sha256":"ab"},"later":{"x":1}})");
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->steps, 7);
  EXPECT_FALSE(facts->deterministic);
  EXPECT_EQ(facts->dataset_sha256, "ab");
  for (const char* bad : {"", "[]", "{}", R"({"steps":0})", R"({"steps":"7"})", R"({"steps":7)"}) {
    EXPECT_EQ(ReadTrialFacts(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

// ---- log ----

using LogFileTest = FolderTest;

TEST_F(LogFileTest, RotatesOnceAndReadsByOffsetsFromTheFirstByte) {
  LogFile log(folder_ + "/log.txt", 100);
  std::string all;
  for (int i = 0; i < 25; ++i) {
    const std::string line = absl::StrCat("line ", i + 100, "\n");  // 9 bytes
    log.Append(line);
    all += line;
  }
  EXPECT_EQ(log.size(), 225);
  int64_t offset = 0;
  std::string got = log.Read(offset, 1000);
  EXPECT_GT(offset, 0);  // the oldest were rotated out
  while (offset + static_cast<int64_t>(got.size()) < log.size()) {
    int64_t next = offset + static_cast<int64_t>(got.size());
    const std::string more = log.Read(next, 1000);
    ASSERT_FALSE(more.empty());
    got += more;
  }
  EXPECT_EQ(got, all.substr(static_cast<size_t>(offset)));
  int64_t tail = -1;
  EXPECT_EQ(log.Read(tail, 18), "line 123\nline 124\n");
  EXPECT_EQ(log.LastLine(), "line 124");
  int64_t beyond = 9999;
  EXPECT_EQ(log.Read(beyond, 10), "");
}

TEST_F(LogFileTest, WhereNothingCanBeWrittenTheTailRemains) {
  LogFile log(folder_ + "/no/such/folder/log.txt");
  log.Append("oh no\n\n");
  EXPECT_EQ(log.LastLine(), "oh no");
}

// ---- data ----

using DatasetsTest = FolderTest;

TEST_F(DatasetsTest, FindsByTheHashOfTheManifestAndNoticesChanges) {
  std::filesystem::create_directories(folder_ + "/one");
  std::ofstream(folder_ + "/one/dataset.json") << "{\"a\":1}";
  std::ofstream(folder_ + "/dataset.json") << "{\"b\":2}";
  Datasets datasets({folder_, folder_ + "/nowhere"});
  EXPECT_TRUE(datasets.Scan());
  EXPECT_FALSE(datasets.Scan());
  EXPECT_THAT(datasets.hashes(), SizeIs(2));
  EXPECT_EQ(datasets.Find(Sha256Hex("{\"a\":1}")), folder_ + "/one/dataset.json");
  EXPECT_EQ(datasets.Find(Sha256Hex("other")), "");
  std::ofstream(folder_ + "/one/dataset.json") << "{\"a\":11}";
  EXPECT_TRUE(datasets.Scan());
  EXPECT_EQ(datasets.Find(Sha256Hex("{\"a\":1}")), "");
}

// ---- checkpoints ----

TEST(CheckpointPathTest, OnlyItsOwnFormIsAPath) {
  const auto path = CheckpointPath::Parse("trial-17/lease-95/step-00000800");
  ASSERT_TRUE(path.has_value());
  EXPECT_EQ(path->trial_id, 17);
  EXPECT_EQ(path->step, 800);
  for (const char* bad :
       {"", "trial-17/lease-95", "trial-17/lease-95/step-800", "/trial-17/lease-95/step-00000800",
        "trial-17/lease-95/step-00000800/", "trial-17/lease-95/step-00000800/../x",
        "trial-017/lease-95/step-00000800", "trial--1/lease-95/step-00000800",
        "trial-17/../lease-95/step-00000800", "trial-17/lease-95/step-00000000"}) {
    EXPECT_FALSE(CheckpointPath::Parse(bad).has_value()) << bad;
  }
}

using CheckpointRootTest = FolderTest;

TEST_F(CheckpointRootTest, TwoWorkersOnOneFolderRecogniseIt) {
  const auto one = CheckpointRoot::Open(folder_ + "/c");
  const auto two = CheckpointRoot::Open(folder_ + "/c");
  const auto other = CheckpointRoot::Open(folder_ + "/d");
  ASSERT_TRUE(one.ok() && two.ok() && other.ok());
  EXPECT_THAT(one->store_id(), SizeIs(16));
  EXPECT_EQ(one->store_id(), two->store_id());
  EXPECT_NE(one->store_id(), other->store_id());
  std::ofstream(folder_ + "/c/checkpoint_store_id") << "garbage\n";
  EXPECT_EQ(CheckpointRoot::Open(folder_ + "/c").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CheckpointRootTest, ALeaseFolderIsMadeOnceAndDeletesFollowNoLinks) {
  const auto root = CheckpointRoot::Open(folder_ + "/c");
  ASSERT_TRUE(root.ok());
  const auto lease = root->MakeLeaseFolder(1, 2);
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(root->MakeLeaseFolder(1, 2).status().code(), absl::StatusCode::kAlreadyExists);
  const CheckpointPath path{1, 2, 3};
  EXPECT_EQ(root->Find(path).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_directories(*lease + "/step-00000003");
  std::ofstream(*lease + "/step-00000003/weights") << "w";
  EXPECT_EQ(*root->Find(path), *lease + "/step-00000003");
  EXPECT_TRUE(root->Delete(path).ok());
  EXPECT_FALSE(std::filesystem::exists(*lease + "/step-00000003"));
  EXPECT_TRUE(root->Delete(path).ok());  // gone is gone

  std::filesystem::create_directories(folder_ + "/precious/lease-3/step-00000003");
  std::filesystem::create_symlink(folder_ + "/precious", folder_ + "/c/trial-9");
  EXPECT_EQ(root->Delete({9, 3, 3}).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(root->MakeLeaseFolder(9, 4).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/precious/lease-3/step-00000003"));
}

}  // namespace
}  // namespace isoflop
