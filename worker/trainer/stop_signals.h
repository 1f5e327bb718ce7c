// The two signals that a trainer heeds, as flags that the loop reads.
//
//   SIGUSR1  write a checkpoint at the next agreed step and go on
//   SIGTERM  the same, then end with exit code 85 within the grace
//
// No Torch here.
#ifndef ISOFLOP_WORKER_TRAINER_STOP_SIGNALS_H_
#define ISOFLOP_WORKER_TRAINER_STOP_SIGNALS_H_

#include "absl/time/time.h"

namespace isoflop {

// What the ranks were asked for.
struct StopFlags {
  bool stop = false;        // SIGTERM
  bool checkpoint = false;  // SIGUSR1
  friend bool operator==(const StopFlags&, const StopFlags&) = default;
};

// Process-wide, for signals are. Every call is safe at any time on any thread.
class StopSignals {
 public:
  // Takes over SIGTERM and SIGUSR1 and ignores SIGPIPE and SIGXFSZ, so that a lost
  // reader (EPIPE) and a file at its limit (EFBIG) are errors of a write. Call
  // once, before threads are started. A second SIGTERM is as the first.
  static void Install();

  // What came since the last call. `stop`, once set, stays; `checkpoint` is
  // taken: the next call says false until another SIGUSR1.
  static StopFlags Take();

  // The same without taking.
  static StopFlags Peek();

  // Since the first SIGTERM; zero if none came.
  static absl::Duration SinceStop();

  static void ResetForTesting();
};

// What the ranks were asked for rides as floats behind the gradient of step s, is
// summed by its all-reduce, and is obeyed after step s + 2 on all ranks alike: by
// then the sums have reached the host without a sync.
inline constexpr int kFlagDelaySteps = 2;

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_STOP_SIGNALS_H_
