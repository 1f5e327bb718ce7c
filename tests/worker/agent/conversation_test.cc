#include "worker/agent/conversation.h"

#include "gtest/gtest.h"
#include "proto/convert.h"
#include "proto/work_queue.pb.h"

namespace isoflop {
namespace {

using Verdict = Conversation::Verdict;

constexpr absl::Time kStart = absl::UnixEpoch();

wire::SynchronizeResponse Answer(int64_t epoch) {
  wire::SynchronizeResponse response;
  response.set_store_id("store");
  response.set_coordinator_epoch(epoch);
  return response;
}
const absl::Status kOk = absl::OkStatus();
const absl::Status kAway = absl::UnavailableError("away");

TEST(ConversationTest, SaysWhoItIsAndCounts) {
  Conversation talk("me", {"mother"}, kProtocolVersion);
  wire::SynchronizeRequest request;
  talk.Begin(request, true);
  EXPECT_EQ(request.protocol_version(), kProtocolVersion);
  EXPECT_EQ(request.instance_id(), "me");
  EXPECT_EQ(request.previous_instance(), "mother");
  EXPECT_EQ(request.sync_number(), 1u);
  EXPECT_EQ(request.store_id(), "");
  EXPECT_EQ(talk.OnAnswer(1, true, kOk, Answer(4), kStart), Verdict::kTake);
  EXPECT_EQ(talk.last_heard(), kStart);
  wire::SynchronizeRequest next;
  talk.Begin(next, false);
  EXPECT_EQ(next.sync_number(), 2u);
  EXPECT_EQ(next.store_id(), "store");
  EXPECT_EQ(next.epoch_seen(), 4);
}

TEST(ConversationTest, NewsWaitForTheirAnswerAndAHangingRequestIsSuperseded) {
  Conversation talk("me", {}, kProtocolVersion);
  wire::SynchronizeRequest request;
  talk.Begin(request, true);
  EXPECT_FALSE(talk.MaySpeak(kStart));
  talk.OnAnswer(1, true, kOk, Answer(1), kStart);
  talk.Begin(request, false);
  EXPECT_FALSE(talk.IsSilent());
  EXPECT_TRUE(talk.MaySpeak(kStart));
  talk.Begin(request, true);
  // The older one's end changes nothing, whatever it is.
  EXPECT_EQ(talk.OnAnswer(2, false, absl::AbortedError("superseded"), {}, kStart), Verdict::kIgnore);
  EXPECT_EQ(talk.OnAnswer(2, false, kOk, Answer(9), kStart), Verdict::kIgnore);
  EXPECT_FALSE(talk.MaySpeak(kStart));
  EXPECT_EQ(talk.OnAnswer(3, false, kOk, Answer(1), kStart), Verdict::kTake);
}

TEST(ConversationTest, ANewEpochHearsTheIntroductionAgain) {
  Conversation talk("me", {}, kProtocolVersion);
  wire::SynchronizeRequest request;
  EXPECT_TRUE(talk.MustIntroduce());
  talk.Begin(request, true);
  talk.OnAnswer(1, true, kOk, Answer(1), kStart);
  EXPECT_FALSE(talk.MustIntroduce());
  talk.Begin(request, true);
  talk.OnAnswer(2, false, kOk, Answer(2), kStart);
  EXPECT_TRUE(talk.MustIntroduce());
}

TEST(ConversationTest, BacksOffWithJitterUpToTenSecondsAndStartsAnew) {
  Conversation talk("me", {}, kProtocolVersion);
  wire::SynchronizeRequest request;
  absl::Time now = kStart;
  absl::Duration most = absl::Milliseconds(100);
  for (int i = 0; i < 30; ++i) {
    talk.Begin(request, true);
    EXPECT_EQ(talk.OnAnswer(talk.number(), true, kAway, {}, now), Verdict::kRetry);
    EXPECT_LE(talk.retry_at() - now, most) << i;
    EXPECT_TRUE(talk.MaySpeak(talk.retry_at()));
    if (talk.retry_at() > now) {
      EXPECT_FALSE(talk.MaySpeak(now));
    }
    now = talk.retry_at();
    most = std::min(absl::Seconds(10), most * 2);
  }
  talk.Begin(request, true);
  talk.OnAnswer(talk.number(), true, kOk, Answer(1), now);
  EXPECT_TRUE(talk.MaySpeak(now));
}

TEST(ConversationTest, WhatNoWaitingCuresEndsIt) {
  for (const absl::Status& status :
       {absl::FailedPreconditionError("version"), absl::UnauthenticatedError("token"),
        absl::PermissionDeniedError("role"), absl::AlreadyExistsError("name"),
        absl::InvalidArgumentError("field")}) {
    Conversation talk("me", {}, kProtocolVersion);
    wire::SynchronizeRequest request;
    talk.Begin(request, true);
    EXPECT_EQ(talk.OnAnswer(1, true, status, {}, kStart), Verdict::kEnd) << status;
  }
  for (const absl::Status& status :
       {kAway, absl::DeadlineExceededError(""), absl::CancelledError(""), absl::AbortedError(""),
        absl::ResourceExhaustedError(""), absl::UnimplementedError(""), absl::InternalError("")}) {
    Conversation talk("me", {}, kProtocolVersion);
    wire::SynchronizeRequest request;
    talk.Begin(request, true);
    EXPECT_EQ(talk.OnAnswer(1, true, status, {}, kStart), Verdict::kRetry) << status;
  }
}

TEST(ConversationTest, NamesOnePredecessorAfterTheOther) {
  Conversation talk("me", {"grandmother", "mother"}, kProtocolVersion);
  wire::SynchronizeRequest request;
  talk.Begin(request, true);
  EXPECT_EQ(request.previous_instance(), "grandmother");
  const absl::Status in_use = absl::AlreadyExistsError("in use");
  EXPECT_EQ(talk.OnAnswer(1, true, in_use, {}, kStart), Verdict::kRetry);
  talk.Begin(request, true);
  EXPECT_EQ(request.previous_instance(), "mother");
  EXPECT_EQ(talk.OnAnswer(2, true, in_use, {}, kStart), Verdict::kEnd);
}

}  // namespace
}  // namespace isoflop
