// Averages neighbouring train points when a trainer says more than 50 a second,
// before they are numbered.
//
// Time is handed in. Not thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_POINT_THINNER_H_
#define ISOFLOP_WORKER_AGENT_POINT_THINNER_H_

#include <vector>

#include "absl/time/time.h"
#include "study/observation.h"

namespace isoflop {

class PointThinner {
 public:
  // Takes a point and appends to `out` what is to be numbered now. An eval
  // point passes as it is, after what waits before it.
  void Add(const LossPoint& point, absl::Time now, std::vector<LossPoint>& out);
  // Appends what waits; at the end and when `now` is past NextFlush().
  void Flush(absl::Time now, std::vector<LossPoint>& out);
  // When the points that wait are due; InfiniteFuture: none wait.
  absl::Time NextFlush() const;

  static constexpr int kPointsPerSecond = 50;

 private:
  std::vector<LossPoint> waiting_;
  // Room for a burst of one second: a trainer that is slow on average is
  // never thinned.
  double room_ = kPointsPerSecond;
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_POINT_THINNER_H_
