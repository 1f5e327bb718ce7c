// Wrong trials and wrong data end with 78, and the line says where, what, cure.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "study/trial_text.h"
#include "tests/worker/trainer/trial_harness.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;

namespace fs = std::filesystem;

class WrongTrialTest : public TrialTest {
 protected:
  // Ends with 78 and one error of `kind` that says each of `words`.
  void ExpectRefused(const TrialSpec& trial, const RunOptions& options, const std::string& kind, const std::vector<std::string>& words) {
    Attempt attempt = Run(trial, options, 78);
    const std::vector<EventFields> errors = EventsOf(attempt.Output(), "error");
    ASSERT_EQ(errors.size(), 1u) << attempt.Everything();
    EXPECT_EQ(errors[0]["kind"], kind);
    EXPECT_THAT(errors[0]["message"], HasSubstr("cure:"));
    for (const std::string& word : words) EXPECT_THAT(errors[0]["message"], HasSubstr(word));
    ++refused_;
  }

  // A copy of the data set that a test may spoil.
  std::string CopyOfData() {
    const std::string copy = absl::StrCat(folder_, "/data-copy");
    fs::remove_all(copy);
    fs::copy(fs::path(dataset_path_).parent_path(), copy, fs::copy_options::recursive);
    return copy;
  }
  static std::string FirstShard(const std::string& folder) {
    std::string found;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.find("train") != std::string::npos && (found.empty() || entry.path().string() < found)) found = entry.path().string();
    }
    return found;
  }
  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  int refused_ = 0;
};

TEST_F(WrongTrialTest, TheTrialDoesNotFitTheData) {
  TrialSpec trial = SmallTrial();
  trial.steps = 2 + train_tokens_ / trial.batch_tokens();
  trial.branch_steps = {};
  ExpectRefused(trial, {}, "config", {absl::StrCat("tokens_planned ", trial.tokens_planned()), absl::StrCat(train_tokens_)});

  trial = SmallTrial();
  trial.data.dataset_sha256 = std::string(64, 'a');
  ExpectRefused(trial, {}, "config", {std::string(64, 'a'), dataset_sha256_});

  trial = SmallTrial();
  trial.data.eval_sha256 = std::string(64, 'b');
  ExpectRefused(trial, {}, "config", {std::string(64, 'b')});

  trial = SmallTrial();
  trial.model.vocab_size = 60;  // the data have the ids 0 ... 60
  ExpectRefused(trial, {}, "config", {"ids up to 60", "vocab_size is 60"});
  ReportRow("more tokens than data; wrong data set, wrong evaluation set; id >= V", "78 with value and cure", absl::StrCat(refused_, " of 4 refused"));
}

TEST_F(WrongTrialTest, TheTrialIsNotPossible) {
  TrialSpec trial = SmallTrial();
  trial.model.n_head = 5;
  Attempt attempt = Run(trial, {}, 78);
  EXPECT_THAT(attempt.Output(), AllOf(HasSubstr("\"kind\":\"config\""), HasSubstr("n_head")));
}

TEST_F(WrongTrialTest, TheTrialIsNoTrial) {
  const std::string path = folder_ + "/no-trial.json";
  RunOptions options;
  options.environment["ISOFLOP_TRIAL"] = path;
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("{\"seed\":1}"),
                                  TrialText(SmallTrial()).substr(0, 300)}) {
    std::ofstream(path) << text;
    Attempt attempt = Run(SmallTrial(), options, 78);
    EXPECT_THAT(attempt.Output(), AllOf(HasSubstr("\"kind\":\"config\""), HasSubstr("no-trial.json"))) << text;
  }
  fs::remove(path);
  EXPECT_THAT(Run(SmallTrial(), options, 78).Output(), HasSubstr("no-trial.json"));
}

TEST_F(WrongTrialTest, TheDataAreSpoilt) {
  const std::string data = CopyOfData();
  const std::string shard = FirstShard(data);
  ASSERT_NE(shard, "");
  const std::string name = fs::path(shard).filename().string();
  const std::string whole = Read(shard);
  RunOptions options;
  options.environment["ISOFLOP_DATA"] = data + "/dataset.json";
  Run(SmallTrial(10), options);  // the copy is good

  const auto with_shard = [&](const std::string& bytes) { std::ofstream(shard, std::ios::binary) << bytes; };
  std::string other = whole;
  with_shard("");  // empty
  ExpectRefused(SmallTrial(), options, "data", {name});
  with_shard(whole.substr(0, 500));  // a short header
  ExpectRefused(SmallTrial(), options, "data", {name});
  with_shard(whole.substr(0, whole.size() - 1000));  // truncated: the count is beyond the file
  ExpectRefused(SmallTrial(), options, "data", {name});
  with_shard(whole.substr(0, whole.size() - 1));  // odd
  ExpectRefused(SmallTrial(), options, "data", {name});
  other[0] = static_cast<char>(other[0] ^ 1);  // another magic
  with_shard(other);
  ExpectRefused(SmallTrial(), options, "data", {name});
  other = whole;
  other[1024 + 11] = static_cast<char>(0x7f);  // an id >= V
  with_shard(other);
  ExpectRefused(SmallTrial(), options, "data", {name});
  fs::remove(shard);
  ExpectRefused(SmallTrial(), options, "data", {name});
  with_shard(whole);
  fs::remove(data + "/dataset.json");
  ExpectRefused(SmallTrial(), options, "data", {"dataset.json"});
  ReportRow("spoilt data: empty, short header, truncated, odd size, wrong magic, id >= V, missing shard, no dataset.json",
            "78 with file and cure", absl::StrCat(refused_, " of 8 refused"));
}

TEST_F(WrongTrialTest, ARankEndsWithItsAgent) {
  // The reader of the event lines goes away.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(fcntl(ends[0], F_SETFD, FD_CLOEXEC), 0);  // the trainer has the other end only
  RunOptions options;
  options.environment["ISOFLOP_EVENTS_FD"] = absl::StrCat(ends[1]);
  Attempt attempt = Start(SmallTrial(100'000 / 256), options);
  close(ends[1]);
  char first = 0;
  ASSERT_EQ(read(ends[0], &first, 1), 1);  // it has begun to speak
  EXPECT_EQ(first, '{');
  close(ends[0]);
  EXPECT_EQ(attempt.ranks[0].Wait(absl::Seconds(60)), 75) << attempt.Everything();
  EXPECT_THAT(attempt.ranks[0].Errors(), HasSubstr("the agent has ended"));
}

}  // namespace
}  // namespace isoflop
