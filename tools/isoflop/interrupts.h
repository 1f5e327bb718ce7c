// Ctrl-C and SIGTERM, counted: the first asks a command to end well, the second
// to end at once. The handler counts and wakes, nothing else.
//
// One object at a time, from construction to destruction; then the signals do
// what they did before.
#ifndef ISOFLOP_TOOLS_ISOFLOP_INTERRUPTS_H_
#define ISOFLOP_TOOLS_ISOFLOP_INTERRUPTS_H_

#include "absl/time/time.h"

namespace isoflop {

class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // Signals that came so far.
  int count() const;

  // Sleeps until there are more than `known` of them or `timeout` has passed;
  // returns how many there are.
  int WaitBeyond(int known, absl::Duration timeout) const;
};

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_INTERRUPTS_H_
