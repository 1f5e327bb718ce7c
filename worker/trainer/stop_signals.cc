#include "worker/trainer/stop_signals.h"

#include <time.h>

#include <atomic>
#include <csignal>

#include "study/status_macros.h"

namespace isoflop {
namespace {

// Lock-free, so that a signal handler may touch them.
std::atomic<bool> stop_asked{false};
std::atomic<bool> checkpoint_asked{false};
std::atomic<int64_t> stop_asked_ns{0};  // monotonic; 0: not asked
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

int64_t MonotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void OnTerminate(int) {
  int64_t never = 0;
  stop_asked_ns.compare_exchange_strong(never, MonotonicNanoseconds());
  stop_asked = true;
}

void OnUser1(int) { checkpoint_asked = true; }

void Handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // reads and waits of third parties go on
  sigemptyset(&action.sa_mask);
  ISOFLOP_CHECK(sigaction(signal, &action, nullptr) == 0, "sigaction " + std::to_string(signal));
}

}  // namespace

void StopSignals::Install() {
  Handle(SIGTERM, OnTerminate);
  Handle(SIGUSR1, OnUser1);
  Handle(SIGPIPE, SIG_IGN);
  Handle(SIGXFSZ, SIG_IGN);
}

StopFlags StopSignals::Take() { return {stop_asked.load(), checkpoint_asked.exchange(false)}; }

StopFlags StopSignals::Peek() { return {stop_asked.load(), checkpoint_asked.load()}; }

absl::Duration StopSignals::SinceStop() {
  const int64_t asked = stop_asked_ns.load();
  return asked == 0 ? absl::ZeroDuration() : absl::Nanoseconds(MonotonicNanoseconds() - asked);
}

void StopSignals::ResetForTesting() {
  stop_asked = false;
  checkpoint_asked = false;
  stop_asked_ns = 0;
}

}  // namespace isoflop
