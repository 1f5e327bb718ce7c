#include "analysis/envelope_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/power_law.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr size_t kFewestVertices = 3;
constexpr size_t kNearestShare = 16;      // one candidate in so many bounds the hull of a draw
constexpr double kClearlyAbove = 1e-9;    // in ln L: far over rounding

// The lower convex hull of the points that come in by rising x, then y: Andrew's
// monotone chain. Of points of one x only the lowest counts; collinear ones are
// left out.
class LowerHull {
 public:
  LowerHull(absl::Span<const double> x, absl::Span<const double> y) : x_(x), y_(y) {}

  void Add(size_t i) {
    if (!hull_.empty() && x_[i] == x_[hull_.back()]) return;
    while (hull_.size() >= 2 && !TurnsLeft(hull_[hull_.size() - 2], hull_.back(), i)) hull_.pop_back();
    hull_.push_back(i);
  }
  const std::vector<size_t>& vertices() const { return hull_; }
  // The vertices up to the lowest one: on a lower hull L falls until there and
  // rises behind it.
  std::vector<size_t> FallingPart() {
    size_t kept = hull_.empty() ? 0 : 1;
    while (kept < hull_.size() && y_[hull_[kept]] < y_[hull_[kept - 1]]) ++kept;
    hull_.resize(kept);
    return std::move(hull_);
  }

 private:
  bool TurnsLeft(size_t a, size_t b, size_t c) const {
    return (x_[b] - x_[a]) * (y_[c] - y_[a]) - (y_[b] - y_[a]) * (x_[c] - x_[a]) > 0;
  }
  const absl::Span<const double> x_, y_;
  std::vector<size_t> hull_;
};

// The height over a lower hull at points that come in by rising x.
class HeightOver {
 public:
  HeightOver(absl::Span<const double> x, absl::Span<const double> y, absl::Span<const size_t> hull)
      : x_(x), y_(y), hull_(hull) {}

  // Negative infinity to the left and to the right of the hull.
  double At(size_t i) {
    while (next_ < hull_.size() && x_[hull_[next_]] < x_[i]) {
      ++next_;
      if (next_ == hull_.size()) break;
      const size_t a = hull_[next_ - 1], b = hull_[next_];
      slope_ = (y_[b] - y_[a]) / (x_[b] - x_[a]);
      from_x_ = x_[a];
      from_y_ = y_[a];
    }
    if (next_ == hull_.size()) return -std::numeric_limits<double>::infinity();
    if (next_ == 0) {
      const size_t first = hull_[0];
      return x_[i] < x_[first] ? -std::numeric_limits<double>::infinity() : y_[i] - y_[first];
    }
    return y_[i] - (from_y_ + slope_ * (x_[i] - from_x_));
  }

 private:
  const absl::Span<const double> x_, y_;
  const absl::Span<const size_t> hull_;
  size_t next_ = 0;  // the first vertex at or behind the last point asked for
  double slope_ = 0, from_x_ = 0, from_y_ = 0;
};

struct TrainPoint {
  double step, tokens, loss;
};

// The mean of the finite train losses at steps within +-`width` of each one's own;
// two pointers, for steps rise.
std::vector<TrainPoint> SmoothedTrainLosses(const std::vector<LossPoint>& curve, double width) {
  std::vector<TrainPoint> points;
  for (const LossPoint& point : curve) {
    if (point.kind != LossKind::kTrain || point.tokens <= 0 || !point.loss_nats) continue;
    if (!std::isfinite(*point.loss_nats) || !(*point.loss_nats > 0)) continue;
    points.push_back({static_cast<double>(point.step), static_cast<double>(point.tokens), *point.loss_nats});
  }
  std::stable_sort(points.begin(), points.end(), [](const auto& x, const auto& y) { return x.step < y.step; });
  std::vector<double> sums = {0};
  for (const TrainPoint& point : points) sums.push_back(sums.back() + point.loss);
  std::vector<TrainPoint> smooth = points;
  size_t first = 0, last = 0;
  for (TrainPoint& point : smooth) {
    while (points[first].step < point.step * (1 - width)) ++first;
    while (last < points.size() && points[last].step <= point.step * (1 + width)) ++last;
    point.loss = (sums[last] - sums[first]) / static_cast<double>(last - first);
  }
  return smooth;
}

// Points a share `width` of their tokens apart, and the last: nearer ones share
// half of their window, and a curve of thousands would cost every draw.
std::vector<TrainPoint> Thinned(const std::vector<TrainPoint>& points, double width) {
  std::vector<TrainPoint> kept;
  for (size_t i = 0; i < points.size(); ++i) {
    const bool apart = kept.empty() || points[i].tokens >= kept.back().tokens * (1 + width) * (1 - 1e-9);
    if (apart || i + 1 == points.size()) kept.push_back(points[i]);
  }
  return kept;
}

// By ln C, then L. Not by C: budgets that differ in the last bit have one logarithm,
// and of them the lowest loss must come first.
void SortByLnFlops(std::vector<EnvelopePoint>* points, std::vector<double>* ln_flops, std::vector<double>* ln_loss) {
  std::vector<std::tuple<double, double, size_t, size_t>> order;  // ln C, L, row, where it stood
  order.reserve(points->size());
  for (size_t i = 0; i < points->size(); ++i) {
    const EnvelopePoint& point = (*points)[i];
    order.emplace_back(std::log(point.flops), point.loss, point.row, i);
  }
  std::sort(order.begin(), order.end());
  std::vector<EnvelopePoint> sorted;
  sorted.reserve(points->size());
  for (const auto& [x, loss, row, i] : order) {
    sorted.push_back((*points)[i]);
    ln_flops->push_back(x);
    ln_loss->push_back(std::log(loss));
  }
  *points = std::move(sorted);
}

// The part of one curve that can stand on an envelope.
std::vector<EnvelopePoint> OwnHull(std::vector<EnvelopePoint> curve) {
  std::vector<double> x, y;
  SortByLnFlops(&curve, &x, &y);
  LowerHull hull(x, y);
  for (size_t i = 0; i < curve.size(); ++i) hull.Add(i);
  std::vector<EnvelopePoint> kept;
  for (const size_t i : hull.FallingPart()) kept.push_back(curve[i]);
  return kept;
}

std::vector<EnvelopePoint> CurveOf(const KeptRow& row, size_t index, const EnvelopeOptions& options) {
  const Observation& observation = row.observation;
  const double flops_per_token = row.flops / row.tokens;
  // Of the curve's nats in the unit of the final loss; 1 in nats.
  const double unit = row.loss / observation.final_loss_nats;
  std::vector<EnvelopePoint> points;
  const bool ended = observation.schedule_ended == true;
  for (const TrainPoint& point : Thinned(SmoothedTrainLosses(observation.curve, options.smoothing), options.smoothing)) {
    points.push_back({.row = index,
                      .flops = flops_per_token * point.tokens,
                      .params = row.params,
                      .tokens = point.tokens,
                      .loss = unit * point.loss});
  }
  if (points.empty()) {
    points.push_back({.row = index, .flops = row.flops, .params = row.params, .tokens = row.tokens, .loss = row.loss});
  }
  points.back().schedule_ended = ended;
  if (options.finished_schedules_only) {
    if (!ended) return {};
    points = {points.back()};
  }
  return points;
}

void AddCurve(std::vector<EnvelopePoint> curve, EnvelopeCandidates* candidates) {
  candidates->curve_points += static_cast<int>(curve.size());
  for (const EnvelopePoint& point : curve) {
    double& smallest = candidates->smallest_params;
    smallest = smallest > 0 ? std::min(smallest, point.params) : point.params;
    candidates->largest_params = std::max(candidates->largest_params, point.params);
  }
  std::vector<EnvelopePoint> hull = OwnHull(std::move(curve));
  candidates->points.insert(candidates->points.end(), hull.begin(), hull.end());
}

// Fills `nearest`: the candidates least above the hull of all of them.
void FindNearest(EnvelopeCandidates* candidates) {
  const size_t count = candidates->points.size();
  LowerHull hull(candidates->ln_flops, candidates->ln_loss);
  for (size_t i = 0; i < count; ++i) hull.Add(i);
  HeightOver height(candidates->ln_flops, candidates->ln_loss, hull.vertices());
  std::vector<std::pair<double, size_t>> by_height;
  for (size_t i = 0; i < count; ++i) by_height.emplace_back(height.At(i), i);
  std::sort(by_height.begin(), by_height.end());
  by_height.resize((count + kNearestShare - 1) / kNearestShare);
  for (const auto& [over, i] : by_height) candidates->nearest.push_back(i);
  std::sort(candidates->nearest.begin(), candidates->nearest.end());
}

void Sort(EnvelopeCandidates* candidates) {
  SortByLnFlops(&candidates->points, &candidates->ln_flops, &candidates->ln_loss);
  for (const EnvelopePoint& point : candidates->points) candidates->row.push_back(static_cast<uint32_t>(point.row));
  FindNearest(candidates);
}

std::vector<size_t> AllVertices(const EnvelopeCandidates& candidates) {
  LowerHull hull(candidates.ln_flops, candidates.ln_loss);
  for (size_t i = 0; i < candidates.points.size(); ++i) hull.Add(i);
  return hull.FallingPart();
}

// The vertices of the rows of weight > 0. The hull of those among the nearest lies on or
// above theirs: no point clearly above it is a vertex.
std::vector<size_t> Vertices(const EnvelopeCandidates& candidates, absl::Span<const double> weights) {
  const absl::Span<const double> x = candidates.ln_flops, y = candidates.ln_loss;
  LowerHull bound(x, y), hull(x, y);
  for (const size_t i : candidates.nearest) {
    if (weights[candidates.row[i]] > 0) bound.Add(i);
  }
  HeightOver height(x, y, bound.vertices());
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(height.At(i) > kClearlyAbove) && weights[candidates.row[i]] > 0) hull.Add(i);
  }
  return hull.FallingPart();
}

struct Columns {
  std::vector<double> flops, params, tokens;
  bool one_size = true;
};
Columns ColumnsOf(const EnvelopeCandidates& candidates, absl::Span<const size_t> vertices) {
  Columns columns;
  for (const size_t i : vertices) {
    const EnvelopePoint& point = candidates.points[i];
    columns.flops.push_back(point.flops);
    columns.params.push_back(point.params);
    columns.tokens.push_back(point.tokens);
    columns.one_size = columns.one_size && point.params == columns.params.front();
  }
  return columns;
}

}  // namespace

EnvelopeCandidates EnvelopePoints(absl::Span<const KeptRow> rows, const EnvelopeOptions& options) {
  EnvelopeCandidates candidates;
  for (size_t i = 0; i < rows.size(); ++i) AddCurve(CurveOf(rows[i], i, options), &candidates);
  Sort(&candidates);
  return candidates;
}

EnvelopeCandidates CandidatesOf(std::vector<EnvelopePoint> points) {
  std::map<size_t, std::vector<EnvelopePoint>> by_row;
  for (EnvelopePoint& point : points) by_row[point.row].push_back(point);
  EnvelopeCandidates candidates;
  for (auto& [row, curve] : by_row) AddCurve(std::move(curve), &candidates);
  Sort(&candidates);
  return candidates;
}

EnvelopeFit FitEnvelope(const EnvelopeCandidates& candidates) {
  EnvelopeFit fit;
  fit.curve_points = candidates.curve_points;
  const std::vector<size_t> vertices = AllVertices(candidates);
  std::map<double, int> by_size;
  for (const size_t i : vertices) {
    const EnvelopePoint& point = candidates.points[i];
    fit.hull.push_back(point);
    fit.open_vertices += !point.schedule_ended;
    ++by_size[point.params];
  }
  for (const auto& [params, count] : by_size) {
    fit.largest_share = std::max(fit.largest_share, count / static_cast<double>(vertices.size()));
  }
  if (!fit.hull.empty()) {
    fit.ends_at_extreme_sizes = fit.hull.front().params == candidates.smallest_params &&
                                fit.hull.back().params == candidates.largest_params;
  }
  const Columns columns = ColumnsOf(candidates, vertices);
  if (vertices.size() < kFewestVertices || columns.one_size) {
    fit.refusal = Refusal{Code::kTooFewPoints,
                          absl::StrCat("the envelope has ", vertices.size(), vertices.size() == 1 ? " vertex" : " vertices",
                                       " of ", Plural(static_cast<int64_t>(by_size.size()), "size"),
                                       "; a power law needs ", kFewestVertices, " of 2 sizes"),
                          "more sizes and budgets, with their training curves"};
    return fit;
  }
  fit.params_law = FitPowerLaw(columns.flops, columns.params);
  fit.tokens_law = FitPowerLaw(columns.flops, columns.tokens);
  return fit;
}

std::vector<Warning> EnvelopeWarnings(const EnvelopeFit& fit) {
  std::vector<Warning> warnings;
  if (fit.refusal || fit.hull.empty()) return warnings;
  const size_t vertices = fit.hull.size();
  if (fit.open_vertices > 0) {
    warnings.push_back({Code::kScheduleNotEnded,
                        absl::StrFormat("approach 1: at %d of %d vertices of the envelope the schedule had not ended, "
                                        "or is not known to have",
                                        fit.open_vertices, vertices)});
  }
  if (fit.ends_at_extreme_sizes) {
    warnings.push_back({Code::kMinimumAtEdge,
                        "approach 1: the smallest and the largest N hold the ends of the envelope; sizes beyond "
                        "them may lie lower"});
  }
  if (3 * fit.largest_share >= 1) {
    warnings.push_back({Code::kTooFewPoints, absl::StrFormat("approach 1: one N holds %.0f%% of the envelope's %d "
                                                             "vertices",
                                                             100 * fit.largest_share, vertices)});
  }
  return warnings;
}

std::optional<EnvelopeLaws> RefitEnvelope(const EnvelopeCandidates& candidates, absl::Span<const double> weights) {
  const std::vector<size_t> vertices = Vertices(candidates, weights);
  const Columns columns = ColumnsOf(candidates, vertices);
  if (vertices.size() < kFewestVertices || columns.one_size) return std::nullopt;
  const PowerLaw params = FitPowerLaw(columns.flops, columns.params);
  const PowerLaw tokens = FitPowerLaw(columns.flops, columns.tokens);
  return EnvelopeLaws{params.ln_coefficient.value, params.exponent.value, tokens.ln_coefficient.value,
                      tokens.exponent.value};
}

}  // namespace isoflop
