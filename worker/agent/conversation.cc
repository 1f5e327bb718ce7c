#include "worker/agent/conversation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "proto/work_queue.pb.h"

namespace isoflop {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLongestRetry = absl::Seconds(10);

bool IsForGood(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kInvalidArgument:
      return true;
    default:
      return false;
  }
}

}  // namespace

Conversation::Conversation(std::string instance_id, std::vector<std::string> previous,
                           uint32_t protocol_version)
    : instance_id_(std::move(instance_id)),
      previous_(std::move(previous)),
      protocol_version_(protocol_version) {}

bool Conversation::MaySpeak(absl::Time now) const {
  if (now < retry_at_) return false;
  return in_flight_ == 0 || !in_flight_news_;
}

void Conversation::Begin(wire::SynchronizeRequest& request, bool brings_news) {
  request.set_protocol_version(protocol_version_);
  request.set_store_id(store_id_);
  request.set_epoch_seen(epoch_);
  request.set_instance_id(instance_id_);
  if (previous_index_ < previous_.size()) {
    request.set_previous_instance(previous_[previous_index_]);
  }
  request.set_sync_number(++number_);
  in_flight_ = number_;
  in_flight_news_ = brings_news;
}

Conversation::Verdict Conversation::OnAnswer(uint64_t number, bool introduced,
                                             const absl::Status& status,
                                             const wire::SynchronizeResponse& response,
                                             absl::Time now) {
  if (number != in_flight_) return Verdict::kIgnore;
  in_flight_ = 0;
  if (status.ok()) {
    failures_ = 0;
    retry_at_ = absl::InfinitePast();
    last_heard_ = now;
    store_id_ = response.store_id();
    if (response.coordinator_epoch() != epoch_) {
      // It has started anew and knows no worker.
      introduced_ = false;
      epoch_ = response.coordinator_epoch();
    }
    if (introduced) introduced_ = true;
    return Verdict::kTake;
  }
  if (status.code() == absl::StatusCode::kAlreadyExists &&
      previous_index_ + 1 < previous_.size()) {
    // Not that predecessor is the one that it knows: the next one.
    ++previous_index_;
    return Verdict::kRetry;
  }
  if (IsForGood(status.code())) return Verdict::kEnd;
  Pause(now);
  return Verdict::kRetry;
}

void Conversation::Pause(absl::Time now) {
  // Full jitter: a fleet does not come back in step.
  const absl::Duration most =
      std::min(kLongestRetry, kFirstRetry * std::pow(2.0, std::min(failures_, 10)));
  ++failures_;
  retry_at_ = now + most * absl::Uniform(random_, 0.0, 1.0);
}

}  // namespace isoflop
