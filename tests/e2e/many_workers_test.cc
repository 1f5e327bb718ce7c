// A study of 60 trials of known truth on real processes, with the coordinator,
// agents and trainers killed -9 at random: one result a trial, no acknowledged
// point lost, the law recovered.
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/query.h"
#include "store/result_store.h"
#include "tests/e2e/cluster.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

constexpr int kTrials = 60;
constexpr int kKills = 10;
constexpr absl::Duration kStudyDeadline = absl::Minutes(8);
const std::map<std::string, double> kTruth = {
    {"E", 1.7}, {"A", 40}, {"B", 60}, {"alpha", 0.35}, {"beta", 0.3}};

// Six sizes by five D by two seeds.
std::string StudyYaml(const std::string& folder) {
  std::string ladder;
  for (const int params : {20000, 40000, 80000, 160000, 320000, 640000}) {
    absl::StrAppend(&ladder, "    - {id: n", params, ", params_blocks: ", params - 4096,
                    ", params_embedding: 4096, params_head: 4096}\n");
  }
  return absl::StrCat(
      "name: many-workers\n"
      "data: {synthetic: \"zipf-markov:64,1.1,0.3,7,8M\"}\n"
      "model:\n  family: custom\n  sequence_length: 64\n  ladder:\n", ladder,
      "grid: {kind: product, params: all, tokens: [0.2M, 0.5M, 1M, 2M, 5M]}\n"
      "seeds: [1, 2]\n"
      "schedule: {kind: cosine}\n"
      "optimizer: {lr_peak: 1e-3}\n"
      "batch: {tokens: 512}\n"
      "precision: fp32\n"
      "resources: {slot: cpu, slots_per_trial: 1}\n"
      "retry: {lost: 20, crashed: 20}\n"
      "trainer:\n"
      "  command: [", ISOFLOP_SCRIPTED_TRAINER, "]\n"
      "  env: {SCRIPTED_TRAINER: \"record=", folder, "/record\"}\n"
      "  options: {E: 1.7, A: 40, B: 60, alpha: 0.35, beta: 0.3, sigma: 0.005, total_ms: 600, points: 20, checkpoints: 5}\n");
}

int64_t CountCompleted(const std::string& db) {
  int64_t count = 0;
  const absl::Status status = RunQuery(
      db, "SELECT count(*) FROM trial WHERE state = 'completed'", absl::Seconds(10), [](const QueryHead&) {},
      [&](std::vector<QueryValue> row) {
        count = std::get<int64_t>(row[0].value);
        return true;
      });
  return status.ok() ? count : -1;
}

// What the trainers said: for each lease, the loss at each step, and the end.
struct Record {
  std::map<int64_t, std::map<int64_t, double>> points;
  std::map<int64_t, double> finals;
};
Record ReadRecord(const std::string& path) {
  Record out;
  std::istringstream in(ReadText(path));
  for (std::string line; std::getline(in, line);) {
    const size_t space = line.find(' ');
    const Json event = Json::parse(line.substr(space + 1), nullptr, false);
    if (!event.is_object()) continue;  // cut by a kill
    const int64_t lease = atoll(line.c_str());
    if (event["event"] == "step") out.points[lease][event["step"]] = event["loss_nats"];
    if (event["event"] == "final") out.finals[lease] = event["final_loss_nats"];
  }
  return out;
}

// "... lease 12: 340 points are stored", the largest for each lease.
void AddAcknowledged(const std::string& log, std::map<int64_t, uint64_t>& acknowledged) {
  std::istringstream in(log);
  for (std::string line; std::getline(in, line);) {
    long long lease = 0;
    unsigned long long points = 0;
    const size_t at = line.find(": lease ");
    if (at != std::string::npos && sscanf(line.c_str() + at, ": lease %lld: %llu points are stored", &lease, &points) == 2) {
      uint64_t& most = acknowledged[lease];
      most = std::max<uint64_t>(most, points);
    }
  }
}

TEST(ManyWorkersTest, TenKillsCostNoResultAndNoAcknowledgedPoint) {
  unsigned seed = std::random_device()();
  if (const char* given = getenv("ISOFLOP_TEST_SEED")) seed = static_cast<unsigned>(atoll(given));
  std::printf("seed %u (ISOFLOP_TEST_SEED)\n", seed);
  SCOPED_TRACE(absl::StrCat("ISOFLOP_TEST_SEED=", seed));
  std::mt19937 random(seed);

  Cluster cluster;
  const std::string yaml = cluster.Write("study.yaml", StudyYaml(cluster.folder()));
  ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
  const ProgramEnd submitted = cluster.Isoflop({"submit", yaml, "-y"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.out << submitted.err;
  const std::vector<std::string> worker_flags = {"--slots", "cpu:2", "--beat", "200ms", "--grace", "5s"};
  const std::vector<std::string> names = {"w1", "w2"};
  const absl::Time began = absl::Now();
  for (const std::string& name : names) cluster.StartWorker(name, worker_flags);

  // Three of each kind and one more, in any order, at any time while trials end.
  std::string kills = "ccaaatttca";
  std::shuffle(kills.begin(), kills.end(), random);
  std::vector<int64_t> when;
  for (int i = 0; i < kKills; ++i) when.push_back(std::uniform_int_distribution<int64_t>(1, kTrials - 10)(random));
  std::sort(when.begin(), when.end());
  absl::Duration slowest_start;
  for (int i = 0; i < kKills; ++i) {
    ASSERT_TRUE(WaitUntil([&] { return CountCompleted(cluster.db()) >= when[static_cast<size_t>(i)]; }, kStudyDeadline))
        << CountCompleted(cluster.db()) << " completed\n" << cluster.CoordinatorLog();
    switch (kills[static_cast<size_t>(i)]) {
      case 'c': {
        cluster.KillCoordinator();
        const absl::Time before = absl::Now();
        ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
        slowest_start = std::max(slowest_start, absl::Now() - before);
        break;
      }
      case 'a': {
        const std::string& name = names[random() % names.size()];
        cluster.KillWorker(name);
        cluster.StartWorker(name, worker_flags);
        break;
      }
      default: {
        std::vector<pid_t> trainers;
        ASSERT_TRUE(WaitUntil([&] { return !(trainers = cluster.Trainers()).empty(); }));
        kill(trainers[random() % trainers.size()], SIGKILL);
      }
    }
  }
  ASSERT_TRUE(WaitUntil([&] { return CountCompleted(cluster.db()) == kTrials; }, kStudyDeadline))
      << cluster.Isoflop({"status", "--trials"}).out << cluster.Isoflop({"explain"}).out;
  const absl::Duration took = absl::Now() - began;
  const ProgramEnd status = cluster.Isoflop({"status", "--json"});
  ASSERT_EQ(status.exit_code, 0) << status.err;
  const Json told = Json::parse(status.out);
  EXPECT_EQ(told["study"]["state"], "done");
  EXPECT_EQ(told["study"]["observations_done"], kTrials);
  for (const std::string& name : names) {
    cluster.worker(name)->Signal(SIGTERM);
    EXPECT_EQ(cluster.worker(name)->Wait(), 0) << cluster.WorkerLog(name);
  }
  cluster.coordinator()->Signal(SIGTERM);
  EXPECT_EQ(cluster.coordinator()->Wait(), 0) << cluster.CoordinatorLog();

  // One result a trial, and the one that its last attempt said.
  const Record record = ReadRecord(cluster.folder() + "/record");
  auto store = ResultStore::Open(cluster.db());
  ASSERT_TRUE(store.ok()) << store.status();
  const auto trials = (*store)->Trials(StudyId(1));
  ASSERT_TRUE(trials.ok());
  ASSERT_EQ(trials->size(), static_cast<size_t>(kTrials));
  int attempts = 0;
  std::map<std::string, int> ends;
  for (const StoredTrial& trial : *trials) {
    const auto leases = (*store)->Leases(trial.id);
    ASSERT_TRUE(leases.ok());
    int results = 0;
    for (const StoredLease& lease : *leases) {
      ++attempts;
      ++ends[lease.outcome];
      EXPECT_TRUE(lease.ended_at.has_value()) << "lease " << lease.id.value();
      if (lease.outcome != "completed") continue;
      ++results;
      ASSERT_TRUE(trial.result && trial.result->final_loss_nats);
      ASSERT_EQ(record.finals.count(lease.id.value()), 1u);
      EXPECT_EQ(*trial.result->final_loss_nats, record.finals.at(lease.id.value()));
    }
    EXPECT_EQ(results, 1) << "trial " << trial.id.value();
  }

  // Every point that a worker was told to be stored is, with the value that the
  // trainer said; the numbers have no gap.
  std::map<int64_t, uint64_t> acknowledged;
  for (const std::string& name : names) AddAcknowledged(cluster.WorkerLog(name), acknowledged);
  std::map<int64_t, uint64_t> stored;
  int wrong = 0;
  ASSERT_TRUE(RunQuery(cluster.db(), "SELECT lease_id, seq, step, loss_nats FROM loss_point ORDER BY lease_id, seq",
                       absl::Seconds(60), [](const QueryHead&) {},
                       [&](std::vector<QueryValue> row) {
                         const int64_t lease = std::get<int64_t>(row[0].value);
                         if (static_cast<int64_t>(++stored[lease]) != std::get<int64_t>(row[1].value)) ++wrong;
                         const auto said = record.points.find(lease);
                         if (said == record.points.end()) return ++wrong < 100;
                         const auto point = said->second.find(std::get<int64_t>(row[2].value));
                         if (point == said->second.end() || point->second != std::get<double>(row[3].value)) ++wrong;
                         return true;
                       })
                  .ok());
  EXPECT_EQ(wrong, 0);
  uint64_t points_acknowledged = 0, points_stored = 0, lost = 0;
  for (const auto& [lease, count] : stored) points_stored += count;
  for (const auto& [lease, count] : acknowledged) {
    points_acknowledged += count;
    if (stored[lease] < count) lost += count - stored[lease];
  }
  EXPECT_GT(points_acknowledged, 100u);
  EXPECT_EQ(lost, 0u);

  // The law, from the store alone.
  const ProgramEnd fitted = cluster.Isoflop({"fit", "many-workers", "--json"});
  ASSERT_EQ(fitted.exit_code, 0) << fitted.out << fitted.err;
  const Json fit = Json::parse(fitted.out);
  std::string law;
  for (const auto& [name, truth] : kTruth) {
    const Json& estimate = fit["parametric"][name];
    double lo = 0, hi = 0;
    for (const Json& interval : estimate["intervals"]) {
      if (interval["level"] == 95) lo = interval["lo"], hi = interval["hi"];
    }
    EXPECT_LE(lo, truth) << name;
    EXPECT_GE(hi, truth) << name;
    absl::StrAppend(&law, "  ", name, " ", estimate["value"].get<double>(), " [", lo, ", ", hi, "] truth ", truth, "\n");
  }
  std::printf("%d trials, %d attempts, %d kills, %s; slowest restart of the coordinator %s\n", kTrials, attempts, kKills,
              absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(100))).c_str(),
              absl::FormatDuration(absl::Trunc(slowest_start, absl::Milliseconds(1))).c_str());
  for (const auto& [outcome, count] : ends) std::printf("  %s %d\n", outcome.c_str(), count);
  std::printf("%llu points stored, %llu acknowledged to workers, %llu lost\n%s", static_cast<unsigned long long>(points_stored),
              static_cast<unsigned long long>(points_acknowledged), static_cast<unsigned long long>(lost), law.c_str());
}

}  // namespace
}  // namespace isoflop
