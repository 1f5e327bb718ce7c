// Whole trials in tests: a small data set, isoflop-trainer started on it as the
// agent would, its event lines, and the table of what was reached.
#ifndef ISOFLOP_TESTS_WORKER_TRAINER_TRIAL_HARNESS_H_
#define ISOFLOP_TESTS_WORKER_TRAINER_TRIAL_HARNESS_H_

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "study/trial_spec.h"
#include "tests/worker/trainer/child_process.h"

namespace isoflop {

// One event line: its name, and the text of each of its fields, so that equal
// texts are equal bits (numbers are written in the shortest form that reads back).
struct EventFields {
  std::string event;
  std::map<std::string, std::string> fields;
  const std::string& operator[](const std::string& name) const { return fields.at(name); }
  double Number(const std::string& name) const;
};

// The whole lines of `output`, a line that was cut at its end left out.
std::vector<EventFields> ParseEvents(const std::string& output);
std::vector<EventFields> EventsOf(const std::string& output, const std::string& event);
// loss_nats of the `step` lines by step.
std::map<int64_t, std::string> LossTrace(const std::string& output);

// Every loss point of `output` is, bit for bit, the one of `reference`.
void ExpectOnTrace(const std::string& output, const std::map<int64_t, std::string>& reference);
// final_loss_nats of its one `final`, or "no final".
std::string FinalLoss(const std::string& output);

// Prints "| test | required | reached |": the table of docs, by the program itself.
void ReportRow(const std::string& test, const std::string& required, const std::string& reached);

struct RunOptions {
  int world = 1;
  std::string resume;                     // ISOFLOP_RESUME
  double checkpoint_seconds = 3600;       // 0: after each step that finds the writer idle
  std::map<std::string, std::string> environment;
  std::vector<TrialSpec> trial_of_rank;   // where they differ
  int64_t file_size_limit_kib = 0;        // ulimit -f; 0: none
};

// The ranks of one attempt.
struct Attempt {
  std::vector<ChildProcess> ranks;
  std::string checkpoint_dir;
  // Waits for all; the status of each.
  std::vector<ExitStatus> Wait(absl::Duration deadline = absl::Seconds(100));
  std::string Output() const { return ranks[0].Output(); }
  std::string Everything() const;  // for failure messages
};

class TrialTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;

  // ISOFLOP_TEST_DEVICE=cuda: the trials run on the GPU of this machine; else on the
  // CPU, whatever is there. Without a GPU those tests skip themselves.
  static bool OnGpu();

  // d 32, 2 layers, T 32, B 8, 40 steps of a constant rate with a branch point at
  // the last step, whose checkpoint shows the final weights.
  static TrialSpec SmallTrial(int64_t steps = 40);

  // Starts `trial` on `options.world` ranks under a lease of its own.
  Attempt Start(const TrialSpec& trial, const RunOptions& options = {});
  // Starts it and expects all ranks to end with `code`.
  Attempt Run(const TrialSpec& trial, const RunOptions& options = {}, ExitStatus code = 0);

  // The bytes of the three flat buffers in a checkpoint; both files.
  static std::string TensorBytes(const std::string& checkpoint);
  // First moments in order of the file: after one step (1 - beta1) times the
  // clipped gradient.
  static std::vector<float> FirstMoments(const std::string& checkpoint);
  // The complete checkpoint of the highest step in `dirs`, or "".
  static std::string Newest(const std::vector<std::string>& dirs);

  static std::string folder_;
  static std::string dataset_path_;
  static std::string dataset_sha256_, eval_sha256_;
  static int64_t train_tokens_, eval_tokens_;
  int64_t next_lease_ = 1;
};

// The test build of isoflop-trainer.
std::string TrainerPath();

// ||a - b|| / ||b||.
double RelativeDifference(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_WORKER_TRAINER_TRIAL_HARNESS_H_
