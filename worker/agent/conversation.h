// The rules of the worker's side of Synchronize: when it may speak, which answer
// counts, when to try again, and when to give up.
//
// Pure: time comes in as `now`, no socket is here. Not thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_CONVERSATION_H_
#define ISOFLOP_WORKER_AGENT_CONVERSATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace isoflop {

namespace wire {
class SynchronizeRequest;
class SynchronizeResponse;
}  // namespace wire

class Conversation {
 public:
  // `previous`: predecessors, the eldest first; the coordinator knows one.
  Conversation(std::string instance_id, std::vector<std::string> previous,
               uint32_t protocol_version);

  // Whether a request may leave now: none that brought news is unanswered, and
  // no back-off runs. A hanging request that brought none is superseded.
  bool MaySpeak(absl::Time now) const;
  // Whether no request is out: then one should leave at `retry_at()`.
  bool IsSilent() const { return in_flight_ == 0; }
  absl::Time retry_at() const { return retry_at_; }

  // Fills in identity and number. `brings_news`: the coordinator answers it as
  // soon as that is committed.
  void Begin(wire::SynchronizeRequest& request, bool brings_news);
  uint64_t number() const { return number_; }
  // Whether the next request must introduce the worker.
  bool MustIntroduce() const { return !introduced_; }
  void IntroduceAgain() { introduced_ = false; }

  enum class Verdict {
    kIgnore,  // an older number, or one that was superseded
    kTake,    // the answer counts
    kRetry,   // no answer; after the back-off again
    kEnd,     // no waiting cures it
  };
  // The end of request `number`; `introduced`: it introduced the worker.
  Verdict OnAnswer(uint64_t number, bool introduced, const absl::Status& status,
                   const wire::SynchronizeResponse& response, absl::Time now);

  // Says nothing for the next back-off: the answer could not be followed.
  void Pause(absl::Time now);

  // When the last answer came that counted; InfinitePast: none did.
  absl::Time last_heard() const { return last_heard_; }

 private:
  // Constant after construction.
  const std::string instance_id_;
  const std::vector<std::string> previous_;
  const uint32_t protocol_version_;

  size_t previous_index_ = 0;
  std::string store_id_;
  int64_t epoch_ = 0;
  uint64_t number_ = 0;
  uint64_t in_flight_ = 0;  // number of the newest that is unanswered; 0: none
  bool in_flight_news_ = false;
  bool introduced_ = false;
  int failures_ = 0;
  absl::Time retry_at_ = absl::InfinitePast();
  absl::Time last_heard_ = absl::InfinitePast();
  absl::BitGen random_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_CONVERSATION_H_
