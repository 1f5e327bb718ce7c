#include "worker/trainer/event_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace isoflop {
namespace {

// A pipe whose read end gives whole lines.
class LinePipe {
 public:
  LinePipe() { EXPECT_EQ(pipe(ends_), 0); }
  ~LinePipe() {
    CloseRead();
    CloseWrite();
  }
  int write_end() const { return ends_[1]; }
  void CloseRead() { Close(ends_[0]); }
  void CloseWrite() { Close(ends_[1]); }
  // Everything until the write end is closed, which this does.
  std::string ReadAll() {
    CloseWrite();
    std::string all;
    char buffer[4096];
    for (ssize_t count; (count = read(ends_[0], buffer, sizeof(buffer))) > 0;) all.append(buffer, static_cast<size_t>(count));
    return all;
  }

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  int ends_[2] = {-1, -1};
};

EventWriterOptions To(int fd, int rank = 0) {
  EventWriterOptions options;
  options.fd = fd;
  options.rank = rank;
  return options;
}

TEST(EventWriterTest, WritesOneObjectALine) {
  LinePipe pipe;
  EventWriter events(To(pipe.write_end()));
  events.Write(TrainerEvent("step").Add("step", 10).Add("tokens", int64_t{40960}).Add("loss_nats", 3.25).Add("lr", 0.003));
  events.Write(TrainerEvent("final").Add("resumed_exact", true).Add("final_loss_se", std::optional<double>()));
  EXPECT_EQ(pipe.ReadAll(),
            "{\"event\":\"step\",\"step\":10,\"tokens\":40960,\"loss_nats\":3.25,\"lr\":0.003}\n"
            "{\"event\":\"final\",\"resumed_exact\":true}\n");
}

TEST(EventWriterTest, WritesNullForALossThatIsNotFinite) {
  for (double loss : {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(TrainerEvent("step").Add("loss_nats", loss).Json(), "{\"event\":\"step\",\"loss_nats\":null}");
  }
}

TEST(EventWriterTest, WritesDoublesThatReadBackExactly) {
  for (double value : {0.1, 1.0 / 3, 5.549076084895227, 1e-300, -2.5e20, 0.0}) {
    const std::string json = TrainerEvent("x").Add("v", value).Json();
    const size_t at = json.find("\"v\":") + 4;
    EXPECT_EQ(std::stod(json.substr(at)), value) << json;
  }
}

TEST(EventWriterTest, EscapesAndMendsText) {
  EXPECT_EQ(TrainerEvent("note").Add("text", "a \"b\" \\ \n\t\x01 é").Json(),
            "{\"event\":\"note\",\"text\":\"a \\\"b\\\" \\\\ \\n\\t\\u0001 é\"}");
  // A lone continuation byte, a cut sequence, an overlong one and a surrogate.
  EXPECT_EQ(TrainerEvent("note").Add("text", std::string("x\x80y\xC3")).Json(),
            "{\"event\":\"note\",\"text\":\"x\xEF\xBF\xBDy\xEF\xBF\xBD\"}");
  EXPECT_EQ(TrainerEvent("note").Add("text", std::string("\xC0\x80")).Json(),
            "{\"event\":\"note\",\"text\":\"\xEF\xBF\xBD\xEF\xBF\xBD\"}");
  EXPECT_EQ(TrainerEvent("note").Add("text", std::string("\xED\xA0\x80")).Json(),
            "{\"event\":\"note\",\"text\":\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"}");
}

TEST(EventWriterTest, OtherRanksSayErrorsOnly) {
  LinePipe pipe;
  EventWriter events(To(pipe.write_end(), 3));
  events.Write(TrainerEvent("step").Add("step", 1));
  events.Note("compiling");
  events.Error("oom", "no room", 7);
  EXPECT_EQ(pipe.ReadAll(), "{\"event\":\"error\",\"kind\":\"oom\",\"message\":\"no room\",\"step\":7,\"rank\":3}\n");
}

TEST(EventWriterTest, KeepsLinesBelowTheContractsLength) {
  // A file, for a pipe holds less than the three lines.
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  EventWriter events(To(fileno(file)));
  events.Note(std::string(200'000, '"'));
  events.Error("bug", std::string(200'000, '\x01'));
  events.Write(TrainerEvent("step").Add("x", std::string(200'000, 'x')));
  std::rewind(file);
  std::vector<std::string> lines(1);
  for (int c; (c = std::fgetc(file)) != EOF;) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += static_cast<char>(c);
    }
  }
  std::fclose(file);
  ASSERT_EQ(lines.size(), 4u);  // the last one empty
  for (const std::string& line : lines) EXPECT_LT(line.size(), EventWriter::kMaxLineBytes);
  EXPECT_THAT(lines[0], testing::HasSubstr("[cut]"));
  EXPECT_THAT(lines[1], testing::HasSubstr("[cut]"));
  EXPECT_THAT(lines[2], testing::AllOf(testing::HasSubstr("\"kind\":\"bug\""), testing::HasSubstr("'step' of 200")));
}

TEST(EventWriterTest, TellsThatItsReaderHasGoneOnce) {
  std::signal(SIGPIPE, SIG_IGN);
  LinePipe pipe;
  std::vector<std::string> lost;
  EventWriterOptions options = To(pipe.write_end());
  options.on_lost = [&](const std::string& why) { lost.push_back(why); };
  EventWriter events(options);
  pipe.CloseRead();
  events.Note("one");
  events.Note("two");
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_THAT(lost[0], testing::HasSubstr("nobody reads"));
}

TEST(EventWriterTest, EndsTheProcessWithItsAgentByDefault) {
  EXPECT_EXIT(
      {
        std::signal(SIGPIPE, SIG_IGN);
        LinePipe pipe;
        EventWriter events(To(pipe.write_end()));
        pipe.CloseRead();
        events.Note("anyone?");
        _exit(0);
      },
      testing::ExitedWithCode(75), "the agent has ended");
}

TEST(EventWriterTest, TellsOfAFullDisk) {
  const int full = open("/dev/full", O_WRONLY);
  if (full < 0) GTEST_SKIP() << "no /dev/full here";
  std::string lost;
  EventWriterOptions options = To(full);
  options.on_lost = [&](const std::string& why) { lost = why; };
  EventWriter events(options);
  events.Note("one");
  EXPECT_THAT(lost, testing::AllOf(testing::HasSubstr("No space left on device"), testing::HasSubstr("cure:")));
  close(full);
}

TEST(EventWriterTest, GoesToStandardOutputBehindAPrefixWhereALauncherClosedTheDescriptor) {
  LinePipe pipe;
  const int kept = dup(STDOUT_FILENO);
  dup2(pipe.write_end(), STDOUT_FILENO);
  {
    EventWriter events(To(999));  // not open
    events.Note("hello");
    EventWriter plain({});
    plain.Note("hello");
  }
  dup2(kept, STDOUT_FILENO);
  close(kept);
  EXPECT_EQ(pipe.ReadAll(), "ISOFLOP {\"event\":\"note\",\"text\":\"hello\"}\n{\"event\":\"note\",\"text\":\"hello\"}\n");
}

TEST(EventWriterTest, LinesOfTwoThreadsStayWhole) {
  LinePipe pipe;
  EventWriter events(To(pipe.write_end()));
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) events.Note("aaaaaaaaaaaaaaaa");
  });
  for (int i = 0; i < 100; ++i) events.Note("bbbbbbbbbbbbbbbb");
  other.join();
  const std::string all = pipe.ReadAll();
  size_t lines = 0;
  for (size_t at = 0; at < all.size(); ++lines) {
    const size_t end = all.find('\n', at);
    const std::string line = all.substr(at, end - at);
    EXPECT_TRUE(line == "{\"event\":\"note\",\"text\":\"aaaaaaaaaaaaaaaa\"}" || line == "{\"event\":\"note\",\"text\":\"bbbbbbbbbbbbbbbb\"}") << line;
    at = end + 1;
  }
  EXPECT_EQ(lines, 200u);
}

}  // namespace
}  // namespace isoflop
