// The walk of tests/e2e/run_test.cc with our own trainer on real text: small
// networks on a slice of the novels, in seconds.
#include <signal.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_folder.h"

namespace isoflop {
namespace {

using testing::HasSubstr;

// 3 sizes, 3 D each: 3 trunks, 9 branches.
constexpr char kStudy[] = R"(
version: 1
name: small-austen
data: {path: $SOURCE/configs/austen.txt.xz, eval: {share: 10%, by: chapter, max_tokens: 30K}}
model: {ladder: [[16, 1, 2], [24, 1, 2], [32, 1, 2]], sequence_length: 32}
grid: {kind: product, params: all, tokens: [20K, 40K, 80K]}
schedule: {warmup: 5 steps}
optimizer: {lr_peak: 1e-2}
batch: {tokens: 512}
resources: {slot: cpu, slots_per_trial: 1}
analysis: {bootstrap: {draws: 100}}
)";

class RunTrainerTest : public testing::Test {
 protected:
  RunTrainerTest() {
    std::string text = kStudy;
    const std::string mark = "$SOURCE";
    folder_.Write("small.yaml", text.replace(text.find(mark), mark.size(), ISOFLOP_SOURCE_DIR));
  }
  // A fit of three sizes may well be refused: then the run ends in part.
  static bool HasEnded(int exit_code) { return exit_code == 0 || exit_code == 4; }

  RunFolder folder_;
};

TEST_F(RunTrainerTest, CtrlCInTheMiddleChangesNoBitOfAnyLoss) {
  {
    Program first(folder_.RunArguments("small.yaml", "broken"), folder_.Env("broken"),
                  folder_.File("first.out"), folder_.File("first.err"));
    ASSERT_TRUE(WaitUntil([&] { return folder_.Completed("broken") >= 2; }, absl::Minutes(5)))
        << ReadText(folder_.File("first.out")) << ReadText(folder_.File("first.err"));
    first.Signal(SIGINT);
    ASSERT_EQ(first.Wait(absl::Minutes(3)), 130) << ReadText(folder_.File("first.err"));
  }
  const std::map<int64_t, size_t> finished = folder_.LeasesOfCompleted("broken");
  ASSERT_LT(finished.size(), 12u) << "it was not interrupted in the middle";

  for (const std::string home : {"broken", "unbroken"}) {
    const ProgramEnd end = folder_.Run("small.yaml", home);
    ASSERT_TRUE(HasEnded(end.exit_code)) << end.exit_code << end.out << end.err;
    EXPECT_EQ(folder_.Completed(home), 12);
    EXPECT_THAT(end.out, HasSubstr("9/9 observations"));
  }
  const std::map<int64_t, size_t> leases = folder_.LeasesOfCompleted("broken");
  for (const auto& [trial, before] : finished) {
    EXPECT_EQ(leases.at(trial), before) << "trial " << trial << " was trained again";
  }
  // Same machine, threads and build: bit for bit.
  EXPECT_EQ(folder_.Losses("broken"), folder_.Losses("unbroken"));
  EXPECT_EQ(folder_.ResultTables("broken"), folder_.ResultTables("unbroken"));
  for (const auto& [fingerprint, loss] : folder_.Losses("broken")) {
    EXPECT_GT(loss, 2) << fingerprint;  // bytes of English after 160 steps at most
    EXPECT_LT(loss, 5.6) << fingerprint;
  }
}

}  // namespace
}  // namespace isoflop
