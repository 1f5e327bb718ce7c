// Real processes: what starts, what is told of it, and that nothing is left.
#include "worker/agent/process_group.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kDeadline = absl::Seconds(30);

const auto kNoNote = [](const ProcessNote&) { return absl::OkStatus(); };

RankCommand Shell(const std::string& script) {
  return {{"/bin/sh", "-c", script}, {{"PATH", "/usr/bin:/bin"}}, "", {}};
}

std::unique_ptr<ProcessGroup> Start(const RankCommand& command) {
  auto group = ProcessGroup::Start(command, kNoNote);
  EXPECT_TRUE(group.ok()) << group.status();
  return group.ok() ? *std::move(group) : nullptr;
}

// Reads until `fd` is closed at the other end, or until `until` has come.
std::string ReadAll(int fd, const std::string& until = "") {
  std::string out;
  const absl::Time deadline = absl::Now() + kDeadline;
  while (absl::Now() < deadline) {
    pollfd wait{fd, POLLIN, 0};
    poll(&wait, 1, 100);
    char chunk[4096];
    const ssize_t got = read(fd, chunk, sizeof chunk);
    if (got == 0) return out;
    if (got > 0) out.append(chunk, static_cast<size_t>(got));
    if (!until.empty() && out.find(until) != std::string::npos) return out;
  }
  ADD_FAILURE() << "nothing more after '" << out << "'";
  return out;
}

void WaitUntilGone(ProcessGroup& group) {
  const absl::Time deadline = absl::Now() + kDeadline;
  while (!group.IsGone() && absl::Now() < deadline) {
    pollfd wait{group.exit_fd(), POLLIN, 0};
    poll(&wait, 1, 5);
    group.Reap();
  }
  EXPECT_TRUE(group.IsGone());
}

bool IsAlive(pid_t pid) {
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  std::getline(stat, text);
  const size_t close = text.rfind(')');
  return close != std::string::npos && text[close + 2] != 'Z';
}

TEST(ProcessGroupTest, OutputEventsAndTheExitCodeComeBackAndNothingElseIsOpen) {
  auto group = Start(Shell("echo out; echo err >&2; echo '{\"event\":1}' >&3; ls /proc/self/fd | "
                           "tr '\\n' ' '; exit 86"));
  const std::string output = ReadAll(group->output_fd());
  EXPECT_THAT(output, HasSubstr("out\nerr\n"));
  // 3 is the event pipe, 4 is ls reading the folder.
  EXPECT_THAT(output, HasSubstr("0 1 2 3 4 "));
  EXPECT_EQ(output.find(" 5 "), std::string::npos) << output;
  EXPECT_EQ(ReadAll(group->events_fd()), "{\"event\":1}\n");
  WaitUntilGone(*group);
  ASSERT_TRUE(group->leader_status().has_value());
  EXPECT_EQ(WEXITSTATUS(*group->leader_status()), 86);
}

TEST(ProcessGroupTest, TheEnvironmentIsTheOneThatWasGivenAndTheFolderToo) {
  RankCommand command = Shell("pwd; env | sort");
  command.env["ISOFLOP_X"] = "a b";
  command.directory = "/tmp";
  auto group = Start(command);
  const std::string output = ReadAll(group->output_fd());
  EXPECT_THAT(output, HasSubstr("/tmp\n"));
  EXPECT_THAT(output, HasSubstr("ISOFLOP_X=a b\n"));
  EXPECT_EQ(output.find("HOME="), std::string::npos);
}

TEST(ProcessGroupTest, WhatCannotStartIsRefusedWithItsReason) {
  const auto error = [](const RankCommand& command) {
    return ProcessGroup::Start(command, kNoNote).status();
  };
  RankCommand command = Shell("true");
  command.argv = {"no-such-program-here"};
  EXPECT_EQ(error(command).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(error(command).ToString(), HasSubstr("no program 'no-such-program-here' on PATH"));
  command.argv = {"/no/such/program"};
  EXPECT_THAT(error(command).ToString(), HasSubstr("/no/such/program"));
  command = Shell("true");
  command.directory = "/no/such/folder";
  EXPECT_THAT(error(command).ToString(), HasSubstr("folder /no/such/folder"));
  command.argv = {};
  EXPECT_EQ(error(command).code(), absl::StatusCode::kInvalidArgument);
}

TEST(ProcessGroupTest, NothingRunsBeforeItIsNoted) {
  const std::string path = ::testing::TempDir() + absl::StrCat("isoflop-ran-", getpid());
  const auto refused = ProcessGroup::Start(
      Shell("touch " + path), [](const ProcessNote&) { return absl::UnavailableError("disk"); });
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(std::filesystem::exists(path));
  ProcessNote note;
  auto group = ProcessGroup::Start(Shell("exec sleep 1000"), [&](const ProcessNote& noted) {
    note = noted;
    return absl::OkStatus();
  });
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(note.pid, (*group)->pid());
  EXPECT_EQ(NoteProcess(note.pid)->start_ticks, note.start_ticks);
}

TEST(ProcessGroupTest, KillingTheGroupReachesGrandchildrenAndIsProven) {
  BecomeSubreaper();
  // The grandchild outlives its parent and ignores SIGTERM.
  auto group = Start(Shell("(trap '' TERM; echo pid $(exec sh -c 'echo $PPID'); "
                           "while true; do sleep 1000; done) & wait"));
  const std::string output = ReadAll(group->output_fd(), "\n");
  pid_t grandchild = 0;
  ASSERT_TRUE(absl::SimpleAtoi(output.substr(4, output.find('\n') - 4), &grandchild)) << output;
  ASSERT_TRUE(IsAlive(grandchild));
  group->SignalLeader(SIGKILL);
  const absl::Time deadline = absl::Now() + kDeadline;
  while (!group->leader_status() && absl::Now() < deadline) group->Reap();
  ASSERT_TRUE(group->leader_status().has_value());
  EXPECT_FALSE(group->IsGone());  // the slot is not free yet
  group->SignalGroup(SIGKILL);
  WaitUntilGone(*group);
  EXPECT_FALSE(IsAlive(grandchild));
}

TEST(ProcessGroupTest, WhoLeavesTheGroupIsFoundByItsEnvironment) {
  BecomeSubreaper();
  const std::string mark = absl::StrCat("ISOFLOP_MARK=", getpid());
  RankCommand command = Shell("setsid sh -c 'echo $$; exec sleep 1000' & wait");
  command.env["ISOFLOP_MARK"] = absl::StrCat(getpid());
  auto group = Start(command);
  pid_t stray = 0;
  const std::string output = ReadAll(group->output_fd(), "\n");
  ASSERT_TRUE(absl::SimpleAtoi(output, &stray)) << output;
  group->SignalGroup(SIGKILL);
  WaitUntilGone(*group);
  EXPECT_TRUE(IsAlive(stray));
  // A longer value is another's.
  EXPECT_TRUE(KillMarked(mark.substr(0, mark.size() - 1)).empty());
  EXPECT_THAT(KillMarked(mark), ::testing::Contains(stray));
  int status = 0;
  EXPECT_EQ(waitpid(stray, &status, 0), stray);
  EXPECT_TRUE(KillMarked(mark).empty());
}

TEST(ProcessGroupTest, DestructionLeavesNobody) {
  auto group = Start(Shell("echo started; exec sleep 1000"));
  ReadAll(group->output_fd(), "started");
  const pid_t pid = group->pid();
  group.reset();
  EXPECT_FALSE(IsAlive(pid));
}

TEST(ProcessGroupTest, ARankDiesWithTheThreadThatStartedIt) {
  std::unique_ptr<ProcessGroup> group;
  std::thread([&] { group = Start(Shell("exec sleep 1000")); }).join();
  WaitUntilGone(*group);
  EXPECT_TRUE(WIFSIGNALED(*group->leader_status()));
}

}  // namespace
}  // namespace isoflop
