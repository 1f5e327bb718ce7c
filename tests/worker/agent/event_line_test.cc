#include "worker/agent/event_line.h"

#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace isoflop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
T Parse(const std::string& line) {
  const auto event = ParseEventLine(line);
  EXPECT_TRUE(event.ok()) << event.status();
  EXPECT_TRUE(event.ok() && std::holds_alternative<T>(event->what)) << line;
  return event.ok() && std::holds_alternative<T>(event->what) ? std::get<T>(event->what) : T{};
}

TEST(EventLineTest, ReadsEveryEventOfTheContract) {
  const auto started = Parse<StartedEvent>(
      R"({"event":"started","contract":1,"params_total":124439808,"resumed_step":7,"device":"cpu",
          "precision":"fp32","program":"p 1","dataset_sha256":"aa","tokenizer_sha256":"bb"})");
  EXPECT_EQ(started.params_total, 124439808);
  EXPECT_EQ(started.resumed_step, 7);
  EXPECT_EQ(started.program, "p 1");

  const auto probe =
      Parse<ProbeEvent>(R"({"event":"probe","micro_batch_sequences":8,"accumulation_steps":4})");
  EXPECT_EQ(probe.micro_batch_sequences, 8);

  const auto step = Parse<PointEvent>(
      R"({"event":"step","step":10,"tokens":40960,"loss_nats":2.5,"lr":0.001,"grad_norm":0.7})");
  EXPECT_EQ(step.point.kind, LossKind::kTrain);
  EXPECT_EQ(step.point.tokens, 40960);
  EXPECT_EQ(step.point.loss_nats, 2.5);
  EXPECT_EQ(step.point.grad_norm, 0.7);

  const auto eval = Parse<PointEvent>(
      R"({"event":"eval","step":10,"tokens":40960,"loss_nats":2.5,"eval_tokens":1000})");
  EXPECT_EQ(eval.point.kind, LossKind::kEval);
  EXPECT_EQ(eval.point.eval_tokens, 1000);

  const auto checkpoint = Parse<CheckpointEvent>(
      R"({"event":"checkpoint","step":10,"tokens":40960,"path":"/c/step-00000010","reason":"branch"})");
  EXPECT_EQ(checkpoint.path, "/c/step-00000010");
  EXPECT_EQ(checkpoint.reason, "branch");

  const auto final = Parse<FinalEvent>(
      R"({"event":"final","step":10,"tokens_trained":40960,"final_loss_nats":2.25,
          "eval_tokens":1000,"final_loss_se":0.01,"resumed_exact":true})");
  EXPECT_EQ(final.final_loss_nats, 2.25);
  EXPECT_EQ(final.resumed_exact, true);
  EXPECT_EQ(final.bits_per_byte, std::nullopt);

  const auto error = Parse<ErrorEvent>(
      R"({"event":"error","kind":"oom","message":"needs 91 GiB","step":3,"rank":1})");
  EXPECT_EQ(error.kind, "oom");
  EXPECT_EQ(error.rank, 1);
  EXPECT_EQ(Parse<NoteEvent>(R"({"event":"note","text":"compiling"})").text, "compiling");
}

TEST(EventLineTest, ALossThatIsNotFiniteIsNull) {
  EXPECT_EQ(Parse<PointEvent>(R"({"event":"step","step":1,"tokens":2,"loss_nats":null})")
                .point.loss_nats,
            std::nullopt);
}

TEST(EventLineTest, WhatVersionOneDoesNotKnowGoesToTheHistory) {
  EXPECT_THAT(Parse<NoteEvent>(R"({"event":"weather","text":"fine"})").text,
              HasSubstr(R"(unknown event: {"event":"weather")"));
  const auto event =
      ParseEventLine(R"({"event":"step","step":1,"tokens":2,"loss_nats":1,"colour":"red"})");
  ASSERT_TRUE(event.ok());
  EXPECT_THAT(event->unknown_fields, ElementsAre("step.colour"));
}

TEST(EventLineTest, RefusesWhatBreaksTheContractAndNamesTheField) {
  const struct {
    std::string line, why;
  } cases[] = {
      {"", "is not a JSON object"},
      {"[]", "is not a JSON object"},
      {"loss 2.5", "is not a JSON object"},
      {R"({"event":"step","step":)", "is not a JSON object"},
      {"{\"event\":\"note\",\"text\":\"\xff\"}", "is not a JSON object"},
      {R"({"step":1})", "has no text field 'event'"},
      {R"({"event":7})", "has no text field 'event'"},
      {R"({"event":"step","tokens":2,"loss_nats":1})", "'step': step is missing"},
      {R"({"event":"step","step":-1,"tokens":2,"loss_nats":1})", "step is not a whole number"},
      {R"({"event":"step","step":1.5,"tokens":2,"loss_nats":1})", "step is not a whole number"},
      {R"({"event":"step","step":"1","tokens":2,"loss_nats":1})", "step is not a whole number"},
      {R"({"event":"step","step":1e300,"tokens":2,"loss_nats":1})", "step is not a whole number"},
      {R"({"event":"step","step":1,"tokens":2})", "loss_nats is missing"},
      {R"({"event":"step","step":1,"tokens":2,"loss_nats":NaN})", "is not a JSON object"},
      {R"({"event":"step","step":1,"tokens":2,"loss_nats":1e999})", "is not a JSON object"},
      {R"({"event":"step","step":1,"tokens":2,"loss_nats":"low"})", "loss_nats is not a finite"},
      {R"({"event":"eval","step":1,"tokens":2,"loss_nats":1})", "eval_tokens is missing"},
      {R"({"event":"started","contract":2,"params_total":1})", "contract is not 1"},
      {R"({"event":"final","step":1,"tokens_trained":2,"final_loss_nats":1})",
       "eval_tokens is missing"},
      {R"({"event":"final","step":1,"tokens_trained":2,"eval_tokens":1})",
       "final_loss_nats is missing"},
      {R"({"event":"checkpoint","step":1,"tokens":2,"path":""})", "path is missing"},
      {R"({"event":"checkpoint","step":1,"tokens":2,"path":"p","sha256":"XY"})", "sha256 is not 64"},
      {R"({"event":"error","kind":"fatal","message":"m"})", "kind is none of config data oom"},
      {R"({"event":"error","kind":"oom"})", "message is missing"},
      {R"({"event":"note"})", "text is missing"},
      {R"({"event":"note","text":")" + std::string(kMaxEventLineBytes, 'x') + R"("})",
       "is longer than 64 KiB"},
  };
  for (const auto& c : cases) {
    const auto event = ParseEventLine(c.line);
    ASSERT_FALSE(event.ok()) << c.line.substr(0, 100);
    EXPECT_EQ(event.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(event.status().message()), HasSubstr(c.why)) << c.line.substr(0, 100);
  }
}

TEST(EventLineTest, DeepNestingIsNoStackOverflow) {
  std::string line = R"({"event":"note","text":"deep","x":)";
  line += std::string(30000, '[') + std::string(30000, ']') + "}";
  EXPECT_TRUE(ParseEventLine(line).ok());
}

// Mutations of good lines: never a crash, and what passes is within its ranges.
TEST(EventLineTest, MutatedLinesAreEventsOrErrors) {
  const std::string seeds[] = {
      R"({"event":"started","contract":1,"params_total":10,"device":"cpu"})",
      R"({"event":"step","step":10,"tokens":40960,"loss_nats":2.5,"lr":0.001})",
      R"({"event":"checkpoint","step":10,"tokens":40960,"path":"/c/step-00000010","bytes":7})",
      R"({"event":"final","step":10,"tokens_trained":4,"final_loss_nats":2.25,"eval_tokens":10})",
      R"({"event":"error","kind":"oom","message":"needs 91 GiB","step":3})",
  };
  const std::string alphabet = "{}[]\",:0123456789eE+-.nulltruefalse\\u\xff\xc3 \t";
  std::mt19937 random(20260725);
  int accepted = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string line = seeds[random() % std::size(seeds)];
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int k = 0; k < changes && !line.empty(); ++k) {
      const size_t at = random() % line.size();
      switch (random() % 3) {
        case 0: line[at] = alphabet[random() % alphabet.size()]; break;
        case 1: line.erase(at, 1 + random() % 5); break;
        default: line.insert(at, 1, alphabet[random() % alphabet.size()]);
      }
    }
    const auto event = ParseEventLine(line);
    if (!event.ok()) {
      ASSERT_EQ(event.status().code(), absl::StatusCode::kInvalidArgument) << line;
      continue;
    }
    ++accepted;
    if (const auto* point = std::get_if<PointEvent>(&event->what)) {
      ASSERT_GE(point->point.step, 0) << line;
      ASSERT_LE(point->point.step, int64_t{1} << 53) << line;
      ASSERT_TRUE(!point->point.loss_nats || std::isfinite(*point->point.loss_nats)) << line;
    }
  }
  EXPECT_GT(accepted, 1000);
}

TEST(EventLineTest, CleanTextIsValidUtf8WithinItsLimit) {
  EXPECT_EQ(CleanText("na\xc3\xafve", 100), "na\xc3\xafve");
  EXPECT_EQ(CleanText("na\xc3\xafve", 3), "na");  // no half a letter
  EXPECT_EQ(CleanText("a\xff\xc3(b", 100), "a?" "?(b");
  EXPECT_EQ(CleanText("\xed\xa0\x80", 100), "???");  // a surrogate
  EXPECT_EQ(CleanText(absl::string_view("a\0b", 3), 100), "a?b");
}

}  // namespace
}  // namespace isoflop
