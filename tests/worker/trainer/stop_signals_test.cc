#include "worker/trainer/stop_signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace isoflop {
namespace {

class StopSignalsTest : public testing::Test {
 protected:
  void SetUp() override {
    StopSignals::Install();
    StopSignals::ResetForTesting();
  }
};

TEST_F(StopSignalsTest, SaysNothingBeforeASignal) {
  EXPECT_EQ(StopSignals::Take(), StopFlags());
  EXPECT_EQ(StopSignals::SinceStop(), absl::ZeroDuration());
}

TEST_F(StopSignalsTest, ACheckpointIsAskedForOncePerSignal) {
  raise(SIGUSR1);
  EXPECT_EQ(StopSignals::Peek(), (StopFlags{.stop = false, .checkpoint = true}));
  EXPECT_EQ(StopSignals::Take(), (StopFlags{.stop = false, .checkpoint = true}));
  EXPECT_EQ(StopSignals::Take(), StopFlags());
  raise(SIGUSR1);
  EXPECT_TRUE(StopSignals::Take().checkpoint);
}

TEST_F(StopSignalsTest, AStopStaysAndKnowsItsAge) {
  raise(SIGTERM);
  const absl::Duration first = StopSignals::SinceStop();
  raise(SIGTERM);
  EXPECT_TRUE(StopSignals::Take().stop);
  EXPECT_TRUE(StopSignals::Take().stop);
  EXPECT_GE(StopSignals::SinceStop(), first);
  EXPECT_GT(StopSignals::SinceStop(), absl::ZeroDuration());
}

TEST_F(StopSignalsTest, ALostReaderIsNoSignal) {
  raise(SIGPIPE);
  EXPECT_EQ(StopSignals::Take(), StopFlags());
}

}  // namespace
}  // namespace isoflop
