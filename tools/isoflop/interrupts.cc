#include "tools/isoflop/interrupts.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "absl/time/clock.h"

namespace isoflop {
namespace {

std::atomic<int> g_count{0};
std::atomic<int> g_wake_fd{-1};
struct sigaction g_old_interrupt;
struct sigaction g_old_terminate;

void OnSignal(int) {
  const int saved = errno;
  ++g_count;
  const std::uint64_t one = 1;
  // A full counter wakes just as well.
  [[maybe_unused]] const auto written = write(g_wake_fd.load(), &one, sizeof(one));
  errno = saved;
}

}  // namespace

Interrupts::Interrupts() {
  g_count = 0;
  g_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &g_old_interrupt);
  sigaction(SIGTERM, &action, &g_old_terminate);
}

Interrupts::~Interrupts() {
  sigaction(SIGINT, &g_old_interrupt, nullptr);
  sigaction(SIGTERM, &g_old_terminate, nullptr);
  close(g_wake_fd.exchange(-1));
}

int Interrupts::count() const { return g_count.load(); }

int Interrupts::WaitBeyond(int known, absl::Duration timeout) const {
  const absl::Time end = absl::Now() + timeout;
  while (count() <= known) {
    const absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) break;
    pollfd wake{g_wake_fd.load(), POLLIN, 0};
    if (poll(&wake, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) > 0) {
      std::uint64_t ignored = 0;
      [[maybe_unused]] const auto got = read(wake.fd, &ignored, sizeof(ignored));
    }
  }
  return count();
}

}  // namespace isoflop
