#include "tests/worker/trainer/trial_harness.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "corpus/dataset.h"
#include "corpus/prepare.h"
#include "nlohmann/json.hpp"
#include "study/status_macros.h"
#include "study/trial_text.h"
#include "worker/trainer/safetensors.h"

namespace isoflop {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// The folder of this suite, this process and this test.
int folders_made = 0;

}  // namespace

double EventFields::Number(const std::string& name) const {
  const std::string& text = fields.at(name);
  return text == "null" ? std::nan("") : std::stod(text);
}

std::vector<EventFields> ParseEvents(const std::string& output) {
  std::vector<EventFields> events;
  for (size_t at = 0; at < output.size();) {
    const size_t end = output.find('\n', at);
    if (end == std::string::npos) break;
    const auto json = nlohmann::json::parse(output.substr(at, end - at), nullptr, /*allow_exceptions=*/false);
    at = end + 1;
    if (!json.is_object() || !json.contains("event")) continue;
    EventFields event;
    for (const auto& [name, value] : json.items()) event.fields[name] = value.is_string() ? value.get<std::string>() : value.dump();
    event.event = event.fields.at("event");
    events.push_back(std::move(event));
  }
  return events;
}

std::vector<EventFields> EventsOf(const std::string& output, const std::string& event) {
  std::vector<EventFields> found;
  for (EventFields& one : ParseEvents(output)) {
    if (one.event == event) found.push_back(std::move(one));
  }
  return found;
}

std::map<int64_t, std::string> LossTrace(const std::string& output) {
  std::map<int64_t, std::string> trace;
  for (const EventFields& step : EventsOf(output, "step")) trace[std::stoll(step["step"])] = step["loss_nats"];
  return trace;
}

void ExpectOnTrace(const std::string& output, const std::map<int64_t, std::string>& reference) {
  for (const auto& [step, loss] : LossTrace(output)) {
    ASSERT_TRUE(reference.count(step)) << step;
    EXPECT_EQ(loss, reference.at(step)) << "step " << step;
  }
}

std::string FinalLoss(const std::string& output) {
  const std::vector<EventFields> final = EventsOf(output, "final");
  return final.size() == 1 ? final[0]["final_loss_nats"] : "no final";
}

void ReportRow(const std::string& test, const std::string& required, const std::string& reached) {
  std::printf("| %s | %s | %s |\n", test.c_str(), required.c_str(), reached.c_str());
  std::fflush(stdout);
}

std::vector<ExitStatus> Attempt::Wait(absl::Duration deadline) {
  const absl::Time end = absl::Now() + deadline;
  std::vector<ExitStatus> statuses;
  for (ChildProcess& rank : ranks) {
    const auto status = rank.Wait(std::max(absl::ZeroDuration(), end - absl::Now()));
    EXPECT_TRUE(status.has_value()) << "a rank still runs after " << absl::FormatDuration(deadline) << "\n" << Everything();
    statuses.push_back(status.value_or(-1));
  }
  return statuses;
}

std::string Attempt::Everything() const {
  std::string text;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    absl::StrAppend(&text, "--- rank ", rank, "\n", ranks[rank].Output(), ranks[rank].Errors());
  }
  return text;
}

std::string TrialTest::folder_;
std::string TrialTest::dataset_path_;
std::string TrialTest::dataset_sha256_;
std::string TrialTest::eval_sha256_;
int64_t TrialTest::train_tokens_;
int64_t TrialTest::eval_tokens_;

void TrialTest::SetUpTestSuite() {
  folder_ = absl::StrCat(testing::TempDir(), "/isoflop-trial-", getpid(), "-", folders_made++);
  fs::create_directories(folder_);
  PrepareOptions options;
  options.synthetic = "zipf-markov:61,1.1,0.6,1,200000";
  options.split.max_tokens = 4000;
  const auto prepared = PrepareDataset(options, folder_ + "/data");
  ISOFLOP_CHECK(prepared.ok(), std::string(prepared.status().message()));
  dataset_path_ = prepared->path;
  const auto dataset = Dataset::Open(dataset_path_);
  ISOFLOP_CHECK(dataset.ok(), std::string(dataset.status().message()));
  dataset_sha256_ = dataset->dataset_sha256();
  eval_sha256_ = dataset->eval_sha256();
  train_tokens_ = dataset->train_tokens();
  eval_tokens_ = dataset->eval_tokens();
}

void TrialTest::TearDownTestSuite() { fs::remove_all(folder_); }

bool TrialTest::OnGpu() {
  const char* device = getenv("ISOFLOP_TEST_DEVICE");
  return device != nullptr && std::string(device) == "cuda";
}

void TrialTest::SetUp() {
  if (OnGpu() && !fs::exists("/dev/nvidiactl")) {
    GTEST_SKIP() << "ISOFLOP_WHOLE_TEST_SKIPPED: no GPU on this machine (no /dev/nvidiactl)";
  }
  // A lease's number is used once, over all tests of the suite.
  static int64_t leases = 1;
  next_lease_ = leases;
  leases += 1000;
}

TrialSpec TrialTest::SmallTrial(int64_t steps) {
  TrialSpec trial;
  trial.model.d_model = 32;
  trial.model.n_layer = 2;
  trial.model.n_head = 2;
  trial.model.d_ff = 128;
  trial.model.vocab_size = 61;
  trial.sequence_length = 32;
  trial.batch_sequences = 8;
  trial.steps = steps;
  trial.schedule.warmup_steps = 5;
  trial.optimizer.lr_peak = 0.01;
  trial.data.dataset_sha256 = dataset_sha256_;
  trial.data.eval_sha256 = eval_sha256_;
  trial.data.unique_tokens = train_tokens_;
  trial.eval_sequence_length = 32;
  trial.branch_steps = {steps};
  return trial;
}

Attempt TrialTest::Start(const TrialSpec& trial, const RunOptions& options) {
  const int64_t lease = next_lease_++;
  Attempt attempt;
  attempt.checkpoint_dir = absl::StrCat(folder_, "/lease-", lease);
  fs::create_directories(attempt.checkpoint_dir);
  const int port = options.world > 1 ? FreePort() : 0;
  for (int rank = 0; rank < options.world; ++rank) {
    const std::string trial_path = absl::StrCat(attempt.checkpoint_dir, "/trial-", rank, ".json");
    std::ofstream(trial_path) << TrialText(options.trial_of_rank.empty() ? trial : options.trial_of_rank[static_cast<size_t>(rank)]);
    std::map<std::string, std::string> environment = {
        {"ISOFLOP_TRIAL", trial_path},
        {"ISOFLOP_DATA", dataset_path_},
        {"ISOFLOP_CHECKPOINT_DIR", attempt.checkpoint_dir},
        {"ISOFLOP_RESUME", options.resume},
        {"ISOFLOP_EVENTS_FD", ""},
        {"ISOFLOP_CHECKPOINT_SECONDS", absl::StrCat(options.checkpoint_seconds)},
        {"ISOFLOP_COLLECTIVE_SECONDS", "60"},
        {"ISOFLOP_LEASE", absl::StrCat(lease)},
        {"ISOFLOP_MICRO_BATCH_LIMIT", ""},
        {"ISOFLOP_FAULT", ""},
        {"RANK", absl::StrCat(rank)},
        {"WORLD_SIZE", absl::StrCat(options.world)},
        {"LOCAL_RANK", absl::StrCat(rank)},
        {"LOCAL_WORLD_SIZE", absl::StrCat(options.world)},
        {"MASTER_ADDR", "127.0.0.1"},
        {"MASTER_PORT", absl::StrCat(port)},
        {"OMP_NUM_THREADS", "1"},
        {"ISOFLOP_CUDA_GRAPHS", ""}};
    if (!OnGpu()) environment["CUDA_VISIBLE_DEVICES"] = "-1";
    for (const auto& [name, value] : options.environment) environment[name] = value;
    std::vector<std::string> argv = {ISOFLOP_FAULTY_TRAINER};
    if (options.file_size_limit_kib > 0) {
      argv = {"/bin/bash", "-c", absl::StrCat("ulimit -f ", options.file_size_limit_kib, "; exec ", ISOFLOP_FAULTY_TRAINER)};
    }
    attempt.ranks.emplace_back(argv, environment, absl::StrCat(attempt.checkpoint_dir, "/output-", rank));
  }
  return attempt;
}

Attempt TrialTest::Run(const TrialSpec& trial, const RunOptions& options, ExitStatus code) {
  Attempt attempt = Start(trial, options);
  for (ExitStatus status : attempt.Wait()) EXPECT_EQ(status, code) << attempt.Everything();
  return attempt;
}

std::string TrialTest::TensorBytes(const std::string& checkpoint) {
  return ReadFile(checkpoint + "/model.safetensors") + ReadFile(checkpoint + "/optimizer.safetensors");
}

std::vector<float> TrialTest::FirstMoments(const std::string& checkpoint) {
  const std::string bytes = ReadFile(checkpoint + "/optimizer.safetensors");
  const auto header = ParseSafetensorsHeader(bytes, static_cast<int64_t>(bytes.size()));
  ISOFLOP_CHECK(header.ok(), std::string(header.status().message()));
  std::vector<float> moments;
  for (const SafetensorsEntry& entry : header->entries) {
    if (!absl::StartsWith(entry.name, "m.")) continue;
    const size_t count = static_cast<size_t>(entry.end - entry.begin) / sizeof(float), before = moments.size();
    moments.resize(before + count);
    std::memcpy(moments.data() + before, bytes.data() + header->data_offset + entry.begin, count * sizeof(float));
  }
  return moments;
}

std::string TrialTest::Newest(const std::vector<std::string>& dirs) {
  std::string name, newest;
  for (const std::string& dir : dirs) {
    for (const auto& entry : fs::directory_iterator(dir)) {
      const std::string found = entry.path().filename().string();
      if (!absl::StartsWith(found, "step-") || absl::EndsWith(found, ".tmp") || found <= name) continue;
      name = found;
      newest = entry.path().string();
    }
  }
  return newest;
}

double RelativeDifference(const std::vector<float>& a, const std::vector<float>& b) {
  ISOFLOP_CHECK(a.size() == b.size() && !a.empty(), "two gradients of one network");
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    norm += double{b[i]} * b[i];
  }
  return std::sqrt(difference / norm);
}

std::string TrainerPath() { return ISOFLOP_FAULTY_TRAINER; }

}  // namespace isoflop
