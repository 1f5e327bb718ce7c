#include "worker/agent/point_thinner.h"

#include <algorithm>

namespace isoflop {
namespace {

// One point for `points`: the place of the last, losses averaged. A loss that
// was not finite makes the mean not finite.
LossPoint Mean(const std::vector<LossPoint>& points) {
  LossPoint out = points.back();
  double loss = 0;
  bool finite = true;
  double norm = 0;
  int norms = 0;
  for (const LossPoint& point : points) {
    finite = finite && point.loss_nats.has_value();
    loss += point.loss_nats.value_or(0);
    if (point.grad_norm) {
      norm += *point.grad_norm;
      ++norms;
    }
  }
  out.loss_nats = finite ? std::optional(loss / static_cast<double>(points.size())) : std::nullopt;
  if (norms > 0) out.grad_norm = norm / norms;
  return out;
}

}  // namespace

void PointThinner::Add(const LossPoint& point, absl::Time now, std::vector<LossPoint>& out) {
  if (point.kind == LossKind::kEval) {
    Flush(now, out);
    out.push_back(point);
    return;
  }
  if (last_ != absl::InfinitePast()) {
    room_ = std::min<double>(kPointsPerSecond,
                             room_ + absl::ToDoubleSeconds(now - last_) * kPointsPerSecond);
  }
  last_ = now;
  waiting_.push_back(point);
  if (room_ >= 1) Flush(now, out);
}

void PointThinner::Flush(absl::Time now, std::vector<LossPoint>& out) {
  if (waiting_.empty()) return;
  if (last_ != absl::InfinitePast() && now > last_) {
    room_ = std::min<double>(kPointsPerSecond,
                             room_ + absl::ToDoubleSeconds(now - last_) * kPointsPerSecond);
    last_ = now;
  }
  room_ = std::max(0.0, room_ - 1);
  out.push_back(waiting_.size() == 1 ? waiting_.front() : Mean(waiting_));
  waiting_.clear();
}

absl::Time PointThinner::NextFlush() const {
  return waiting_.empty() ? absl::InfiniteFuture() : last_ + absl::Seconds(1) / kPointsPerSecond;
}

}  // namespace isoflop
