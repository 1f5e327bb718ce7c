// Each row of the table of ends: exit codes, signals, the trainer's last words
// and our own stops.
#include "worker/agent/attempt_end.h"

#include <signal.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;

// As waitpid tells them.
constexpr int Exit(int code) { return code << 8; }
constexpr int Killed(int signal) { return signal; }

AttemptFacts Ended(int status) {
  AttemptFacts facts;
  facts.ranks = {status};
  return facts;
}
ErrorEvent Said(const std::string& kind) { return {kind, "where: what", std::nullopt, 0}; }

TEST(AttemptEndTest, AnExitCodeMeansOneClass) {
  const struct {
    int code;
    bool has_final;
    TrialOutcome outcome;
  } rows[] = {
      {0, true, TrialOutcome::kCompleted},   {0, false, TrialOutcome::kCrashed},
      {75, false, TrialOutcome::kLost},      {78, false, TrialOutcome::kConfig},
      {85, false, TrialOutcome::kPreempted}, {86, false, TrialOutcome::kOom},
      {87, false, TrialOutcome::kDiverged},  {1, false, TrialOutcome::kCrashed},
      {1, true, TrialOutcome::kCrashed},     {137, false, TrialOutcome::kCrashed},
  };
  for (const auto& row : rows) {
    AttemptFacts facts = Ended(Exit(row.code));
    facts.has_final = row.has_final;
    const AttemptVerdict verdict = JudgeAttempt(facts);
    EXPECT_EQ(verdict.outcome, row.outcome) << row.code;
    EXPECT_EQ(verdict.exit_code, row.code);
    EXPECT_EQ(verdict.signal, std::nullopt);
  }
}

TEST(AttemptEndTest, ASignalIsACrashAndTheKernelsOomIsNamed) {
  EXPECT_EQ(JudgeAttempt(Ended(Killed(SIGSEGV))).outcome, TrialOutcome::kCrashed);
  EXPECT_THAT(JudgeAttempt(Ended(Killed(SIGSEGV))).detail, HasSubstr("SIGSEGV"));
  EXPECT_EQ(JudgeAttempt(Ended(Killed(SIGABRT))).outcome, TrialOutcome::kCrashed);
  AttemptFacts facts = Ended(Killed(SIGKILL));
  facts.host_ran_out = true;
  EXPECT_EQ(JudgeAttempt(facts).outcome, TrialOutcome::kCrashed);
  EXPECT_THAT(JudgeAttempt(facts).detail, HasSubstr("host_oom"));
}

TEST(AttemptEndTest, TheTrainersLastWordsRefineABadExit) {
  const struct {
    const char* kind;
    int status;
    TrialOutcome outcome;
  } rows[] = {
      {"checkpoint", Exit(75), TrialOutcome::kBadCheckpoint},
      {"io", Exit(75), TrialOutcome::kNodeFault},
      {"io", Exit(1), TrialOutcome::kNodeFault},
      {"comm", Exit(75), TrialOutcome::kLost},
      {"bug", Exit(1), TrialOutcome::kCrashed},
      // Codes of a meaning of their own keep it.
      {"io", Exit(78), TrialOutcome::kConfig},
      {"checkpoint", Exit(86), TrialOutcome::kOom},
  };
  for (const auto& row : rows) {
    AttemptFacts facts = Ended(row.status);
    facts.error = Said(row.kind);
    const AttemptVerdict verdict = JudgeAttempt(facts);
    EXPECT_EQ(verdict.outcome, row.outcome) << row.kind << " " << row.status;
    EXPECT_THAT(verdict.detail, HasSubstr("where: what"));
  }
}

TEST(AttemptEndTest, AnEndAfterOurStopTakesTheStopsCauseButForResults) {
  const StopCause causes[] = {StopCause::kPreempted, StopCause::kCancelled, StopCause::kTimeout,
                              StopCause::kStalled};
  const TrialOutcome taken[] = {TrialOutcome::kPreempted, TrialOutcome::kCancelled,
                                TrialOutcome::kTimeout, TrialOutcome::kLost};
  for (size_t i = 0; i < std::size(causes); ++i) {
    for (const int status : {Exit(85), Exit(1), Exit(75), Killed(SIGKILL), Killed(SIGTERM),
                             Killed(SIGABRT), Exit(0)}) {
      AttemptFacts facts = Ended(status);
      facts.stop = causes[i];
      facts.stop_detail = "why";
      EXPECT_EQ(JudgeAttempt(facts).outcome, taken[i]) << status;
      EXPECT_EQ(JudgeAttempt(facts).detail, "why");
    }
    const struct {
      int code;
      TrialOutcome outcome;
    } kept[] = {{0, TrialOutcome::kCompleted},
                {78, TrialOutcome::kConfig},
                {86, TrialOutcome::kOom},
                {87, TrialOutcome::kDiverged}};
    for (const auto& row : kept) {
      AttemptFacts facts = Ended(Exit(row.code));
      facts.stop = causes[i];
      facts.has_final = row.code == 0;
      EXPECT_EQ(JudgeAttempt(facts).outcome, row.outcome) << row.code;
    }
  }
}

TEST(AttemptEndTest, OfSeveralRanksTheMostSpecificClassWins) {
  const auto judge = [](std::vector<std::optional<int>> ranks, bool has_final = false) {
    AttemptFacts facts;
    facts.ranks = std::move(ranks);
    facts.has_final = has_final;
    return JudgeAttempt(facts).outcome;
  };
  EXPECT_EQ(judge({Exit(75), Exit(86)}), TrialOutcome::kOom);
  EXPECT_EQ(judge({Exit(1), Exit(78), Exit(75)}), TrialOutcome::kConfig);
  EXPECT_EQ(judge({Exit(87), Killed(SIGABRT)}), TrialOutcome::kDiverged);
  EXPECT_EQ(judge({Exit(75), Killed(SIGSEGV)}), TrialOutcome::kCrashed);
  // A collective that aborts beside a dead peer: the peer's end counts.
  EXPECT_EQ(judge({Killed(SIGABRT), Exit(75)}), TrialOutcome::kLost);
  EXPECT_EQ(judge({Killed(SIGABRT), Killed(SIGABRT)}), TrialOutcome::kLost);
  // An abort of its own, the others killed by us.
  EXPECT_EQ(judge({Killed(SIGABRT), std::nullopt}), TrialOutcome::kCrashed);
  // Part 0's result stands, whatever the others do at the end.
  EXPECT_EQ(judge({Exit(0), Exit(1)}, true), TrialOutcome::kCompleted);
  EXPECT_EQ(judge({Exit(0), std::nullopt}, true), TrialOutcome::kCompleted);
  EXPECT_EQ(judge({Exit(85), Exit(85)}), TrialOutcome::kPreempted);
}

TEST(AttemptEndTest, ACrashShowsTheLastLineOfTheLog) {
  AttemptFacts facts = Ended(Exit(1));
  facts.last_line = "ValueError: no such file";
  EXPECT_EQ(JudgeAttempt(facts).detail, "exit code 1: ValueError: no such file");
  facts = Ended(Exit(0));
  EXPECT_EQ(JudgeAttempt(facts).detail, "exit code 0 without a final line");
}

}  // namespace
}  // namespace isoflop
