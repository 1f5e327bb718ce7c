// Trials that are killed at a random step, again and again, end with the bits of the
// unbroken ones.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/worker/trainer/trial_harness.h"

namespace isoflop {
namespace {

namespace fs = std::filesystem;

// `kills` times: SIGKILL to all ranks after a random number of checkpoints, then on
// from the newest one; then to the end.
class KilledTest : public TrialTest {
 protected:
  void KillAndResume(int world, int kills, int64_t steps, uint32_t seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const TrialSpec trial = SmallTrial(steps);
    RunOptions options;
    options.world = world;
    Attempt unbroken = Run(trial, options);
    const std::map<int64_t, std::string> reference = LossTrace(unbroken.Output());
    ASSERT_EQ(reference.size(), static_cast<size_t>(1 + steps / 10));

    std::mt19937 random(seed);
    std::map<int64_t, std::string> seen;
    std::vector<std::string> dirs;
    int done = 0;
    Attempt last;
    options.checkpoint_seconds = 0;
    for (; done <= kills; ++done) {
      Attempt attempt = Start(trial, options);
      dirs.push_back(attempt.checkpoint_dir);
      const bool to_the_end = done == kills;
      if (!to_the_end) {
        const size_t checkpoints = 1 + random() % 6;
        ASSERT_TRUE(attempt.ranks[0].WaitFor([&](const std::string& output) {
          return EventsOf(output, "checkpoint").size() >= checkpoints;
        })) << attempt.Everything();
        // Any moment of a step or of the writing of a checkpoint.
        const absl::Duration later = absl::Microseconds(random() % 5000);
        (void)attempt.ranks[0].Wait(later);
        for (ChildProcess& rank : attempt.ranks) rank.Signal(SIGKILL);
        for (ExitStatus status : attempt.Wait()) ASSERT_EQ(status, -SIGKILL) << attempt.Everything();
      } else {
        for (ExitStatus status : attempt.Wait()) ASSERT_EQ(status, 0) << attempt.Everything();
      }
      ExpectOnTrace(attempt.Output(), reference);
      for (const auto& point : LossTrace(attempt.Output())) seen.insert(point);
      options.resume = Newest(dirs);
      // The agent deletes what is expendable; here all but the newest two.
      while (dirs.size() > 2) {
        fs::remove_all(dirs.front());
        dirs.erase(dirs.begin());
      }
      last = std::move(attempt);
    }
    EXPECT_EQ(seen, reference);
    const EventFields final = EventsOf(last.Output(), "final").at(0);
    EXPECT_EQ(final["resumed_exact"], "true");
    EXPECT_EQ(final["final_loss_nats"], FinalLoss(unbroken.Output()));
    const std::string name = absl::StrCat("/", "step-", std::string(8 - std::to_string(steps).size(), '0'), steps);
    const bool same = TensorBytes(last.checkpoint_dir + name) == TensorBytes(unbroken.checkpoint_dir + name);
    EXPECT_TRUE(same) << "weights or moments differ";
    if (!HasFailure()) {
      ReportRow(absl::StrCat("kill -9 at a random step, resume, world ", world),
                world == 1 ? absl::StrCat(kills, " times: loss trace and weights bitwise") : "the same on several ranks",
                absl::StrCat(kills, " kills in ", steps, " steps: ", seen.size(), " loss points, final loss, weights and moments bitwise"));
    }
  }
};

TEST_F(KilledTest, TwentyKillsLeaveNoTrace) { KillAndResume(1, OnGpu() ? 5 : 20, 600, 17); }

TEST_F(KilledTest, TwoRanksThatAreKilledLeaveNoTrace) { KillAndResume(2, 3, 200, 18); }

}  // namespace
}  // namespace isoflop
