#include "analysis/envelope_fit.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "analysis/frontier.h"
#include "tests/analysis/approach_fits.h"

namespace isoflop {
namespace {

std::vector<Observation> StudyWithCurves(int points, double noise = 0) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 15, 8, noise);
  AddCurves(points, HoffmannLaw(), [](double n, double d, double) { return HoffmannLaw().LossAt(n, d); }, &study);
  return study;
}

LossPoint TrainPoint(int64_t step, int64_t tokens, std::optional<double> loss) {
  LossPoint point;
  point.step = step;
  point.tokens = tokens;
  point.loss_nats = loss;
  return point;
}

// A curve of thousands of points is taken at steps of the window, its end always.
TEST(EnvelopeFitTest, ThinsCurvesToTheSmoothingWindow) {
  Observation row = MakeObservation(1e6, 1e7, 3.0);
  for (int step = 1; step <= 10000; ++step) row.curve.push_back(TrainPoint(step, 1000 * step, 3 + 1.0 / step));
  const EnvelopeCandidates candidates = EnvelopePoints(KeptRowsOf({row}));
  EXPECT_LT(candidates.curve_points, 195);  // ln 10000 / ln 1.05 = 189
  EXPECT_EQ(candidates.points.back().tokens, 1e7);
  EXPECT_TRUE(candidates.points.back().schedule_ended);
  EXPECT_EQ(EnvelopePoints(KeptRowsOf({row}), {.smoothing = 0}).curve_points, 10000);
}

// Had every point of a curve the loss of a run that ends there, the envelope is
// the frontier.
TEST(EnvelopeFitTest, FindsTheFrontierOfFinishedCurves) {
  const double from = OptimumAt(HoffmannLaw(), 1e18).params / 4, to = OptimumAt(HoffmannLaw(), 1e20).params * 4;
  std::vector<EnvelopePoint> points;
  for (size_t run = 0; run < 60; ++run) {
    const double params = from * std::pow(to / from, static_cast<double>(run) / 59);
    for (int k = 0; k <= 80; ++k) {
      const double flops = std::pow(10, 18 + k / 40.0), tokens = flops / (6 * params);
      points.push_back({run, flops, params, tokens, HoffmannLaw().LossAt(params, tokens)});
    }
  }
  const EnvelopeFit fit = FitEnvelope(CandidatesOf(std::move(points)));
  ASSERT_TRUE(fit.params_law);
  EXPECT_EQ(fit.curve_points, 60 * 81);
  EXPECT_NEAR(fit.params_law->exponent.value, HoffmannLaw().a(), 0.005);
  EXPECT_NEAR(fit.tokens_law->exponent.value, HoffmannLaw().b(), 0.005);
  EXPECT_NEAR(std::log(fit.params_law->At(1e19) / OptimumAt(HoffmannLaw(), 1e19).params), 0, 0.03);
  EXPECT_FALSE(fit.ends_at_extreme_sizes);
}

TEST(EnvelopeFitTest, AveragesTrainLossesWithinFivePercentOfTheStep) {
  Observation row = MakeObservation(1e6, 2e4, 3.0);
  row.curve = {TrainPoint(95, 9500, 5), TrainPoint(100, 10000, 4), TrainPoint(105, 10500, 3.3),
               TrainPoint(111, 11100, 3.2), TrainPoint(112, 11200, std::nullopt), TrainPoint(200, 20000, 3)};
  LossPoint evaluation = TrainPoint(200, 20000, 0.5);
  evaluation.kind = LossKind::kEval;
  row.curve.push_back(evaluation);
  const EnvelopeCandidates candidates = EnvelopePoints(KeptRowsOf({row}));
  EXPECT_EQ(candidates.curve_points, 5);  // the evaluation and the loss that was not finite are none
  ASSERT_FALSE(candidates.points.empty());
  for (const EnvelopePoint& point : candidates.points) EXPECT_GE(point.loss, 3);
}

TEST(EnvelopeFitTest, WindowReachesFivePercentToEachSide) {
  Observation row = MakeObservation(1e6, 2e4, 3.0);
  row.curve = {TrainPoint(95, 9500, 5), TrainPoint(100, 10000, 4), TrainPoint(105, 10500, 3)};
  row.curve[0].loss_nats = 9;
  const EnvelopeCandidates candidates = EnvelopePoints(KeptRowsOf({row}));
  // step 95: alone (99.75 < 100); step 100: all three; step 105: 100 and 105.
  ASSERT_EQ(candidates.points.size(), 3u);
  EXPECT_DOUBLE_EQ(candidates.points[0].loss, 9);
  EXPECT_DOUBLE_EQ(candidates.points[1].loss, (9 + 4 + 3) / 3.0);
  EXPECT_DOUBLE_EQ(candidates.points[2].loss, 3.5);
}

TEST(EnvelopeFitTest, TakesTheFinalPointWhereThereIsNoCurve) {
  const EnvelopeCandidates candidates = EnvelopePoints(KeptRowsOf({MakeObservation(1e6, 2e7, 3.0)}));
  ASSERT_EQ(candidates.points.size(), 1u);
  EXPECT_DOUBLE_EQ(candidates.points[0].flops, 1.2e14);
  EXPECT_DOUBLE_EQ(candidates.points[0].loss, 3.0);
  EXPECT_TRUE(candidates.points[0].schedule_ended);
}

TEST(EnvelopeFitTest, CurvesTakeTheUnitOfTheFinalLoss) {
  Observation row = MakeObservation(1e6, 2e4, 3.0);
  row.curve = {TrainPoint(100, 10000, 4)};
  std::vector<KeptRow> rows = KeptRowsOf({row});
  rows[0].loss = 1.5;  // bits per byte
  EXPECT_DOUBLE_EQ(EnvelopePoints(rows).points[0].loss, 2);
}

TEST(EnvelopeFitTest, ExactFlopsPriceTheTokensOfACurve) {
  Observation row = MakeObservation(1e6, 2e4, 3.0);
  row.flops_exact = 2e4 * 8e6;
  row.curve = {TrainPoint(100, 10000, 4)};
  EXPECT_DOUBLE_EQ(EnvelopePoints(KeptRowsOf({row}, FlopsConvention::kExact)).points[0].flops, 8e10);
}

// Cutting each curve down to its own hull changes no envelope, whatever rows are
// drawn: against a plain scan of all pairs.
TEST(EnvelopeFitTest, EveryDrawEqualsTheHullOfItsOwnPoints) {
  std::mt19937 generator(7);
  const auto uniform = [&] { return (static_cast<double>(generator()) + 0.5) / 4294967296.0; };
  for (int round = 0; round < 50; ++round) {
    std::vector<EnvelopePoint> points;
    for (size_t row = 0; row < 8; ++row) {
      for (int k = 0; k < 12; ++k) {
        const double flops = std::exp(40 + 6 * uniform());
        const double loss = 2 + 3 * uniform() + std::pow(flops / 1e17, -0.1);
        points.push_back({row, flops, 1e6 * std::exp(static_cast<double>(row)), flops / 1e7, loss});
      }
    }
    std::vector<double> weights(8);
    for (double& weight : weights) weight = static_cast<double>(generator() % 3);
    std::vector<double> c, n;
    std::vector<EnvelopePoint> drawn;
    for (const EnvelopePoint& point : points) {
      if (weights[point.row] > 0) drawn.push_back(point);
    }
    std::sort(drawn.begin(), drawn.end(), [](const auto& x, const auto& y) { return x.flops < y.flops; });
    double lowest = INFINITY;
    for (size_t j = 0; j < drawn.size(); ++j) {
      bool vertex = true;  // no chord from a point on its left to one on its right passes below
      for (size_t i = 0; i < j && vertex; ++i) {
        for (size_t k = j + 1; k < drawn.size() && vertex; ++k) {
          const double t = std::log(drawn[j].flops / drawn[i].flops) / std::log(drawn[k].flops / drawn[i].flops);
          vertex = (1 - t) * std::log(drawn[i].loss) + t * std::log(drawn[k].loss) > std::log(drawn[j].loss);
        }
      }
      if (!vertex || drawn[j].loss >= lowest) continue;
      lowest = drawn[j].loss;
      c.push_back(std::log(drawn[j].flops));
      n.push_back(std::log(drawn[j].params));
    }
    const std::optional<EnvelopeLaws> laws = RefitEnvelope(CandidatesOf(points), weights);
    if (c.size() < 3 || *std::min_element(n.begin(), n.end()) == *std::max_element(n.begin(), n.end())) {
      EXPECT_FALSE(laws) << round;
      continue;
    }
    ASSERT_TRUE(laws) << round;
    double cm = 0, nm = 0, cc = 0, cn = 0;
    for (size_t i = 0; i < c.size(); ++i) {
      cm += c[i] / static_cast<double>(c.size());
      nm += n[i] / static_cast<double>(c.size());
    }
    for (size_t i = 0; i < c.size(); ++i) {
      cc += (c[i] - cm) * (c[i] - cm);
      cn += (c[i] - cm) * (n[i] - nm);
    }
    EXPECT_NEAR(laws->params_exponent, cn / cc, 1e-9) << round;
  }
}

TEST(EnvelopeFitTest, WarnsOfOpenSchedules) {
  const EnvelopeFit all = FitEnvelope(EnvelopePoints(KeptRowsOf(StudyWithCurves(60))));
  EXPECT_GT(all.open_vertices, 0);
  const auto has = [](const EnvelopeFit& fit, Code code) {
    const std::vector<Warning> warnings = EnvelopeWarnings(fit);
    return std::any_of(warnings.begin(), warnings.end(), [&](const Warning& w) { return w.code == code; });
  };
  EXPECT_TRUE(has(all, Code::kScheduleNotEnded));
  const EnvelopeFit ended =
      FitEnvelope(EnvelopePoints(KeptRowsOf(StudyWithCurves(60)), {.finished_schedules_only = true}));
  EXPECT_EQ(ended.curve_points, 75);
  EXPECT_EQ(ended.open_vertices, 0);
  EXPECT_FALSE(has(ended, Code::kScheduleNotEnded));
}

TEST(EnvelopeFitTest, RowsOfUnknownScheduleAreOpen) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 5, 4);
  for (Observation& row : study) row.schedule_ended = std::nullopt;
  const EnvelopeFit fit = FitEnvelope(EnvelopePoints(KeptRowsOf(study)));
  EXPECT_EQ(fit.open_vertices, static_cast<int>(fit.hull.size()));
  EXPECT_TRUE(EnvelopePoints(KeptRowsOf(study), {.finished_schedules_only = true}).points.empty());
}

TEST(EnvelopeFitTest, TellsWhenOneSizeHoldsAThirdAndExtremeSizesTheEnds) {
  // Three sizes, each the lowest for a stretch.
  const std::vector<EnvelopePoint> points = {{0, 1e10, 1e3, 1e6, 5},   {0, 2e10, 1e3, 2e6, 4.5}, {1, 1e11, 1e4, 1e6, 4},
                                             {1, 2e11, 1e4, 2e6, 3.8}, {2, 1e12, 1e5, 1e6, 3.5}, {2, 4e12, 1e5, 4e6, 3.3}};
  const EnvelopeFit fit = FitEnvelope(CandidatesOf(points));
  ASSERT_FALSE(fit.refusal);
  EXPECT_TRUE(fit.ends_at_extreme_sizes);
  EXPECT_GE(fit.largest_share, 1 / 3.0);
  EXPECT_EQ(EnvelopeWarnings(fit).size(), 3u);
}

TEST(EnvelopeFitTest, RefusesTwoVerticesAndOneSize) {
  EXPECT_TRUE(FitEnvelope(CandidatesOf({})).refusal);
  EXPECT_TRUE(FitEnvelope(CandidatesOf({{0, 1e10, 1e3, 1e6, 5}, {1, 1e11, 1e4, 1e6, 4}})).refusal);
  const std::vector<EnvelopePoint> one_size = {{0, 1e10, 1e3, 1e6, 5}, {0, 1e11, 1e3, 1e7, 4}, {0, 1e12, 1e3, 1e8, 3.5}};
  const EnvelopeFit fit = FitEnvelope(CandidatesOf(one_size));
  ASSERT_TRUE(fit.refusal);
  EXPECT_EQ(fit.refusal->code, Code::kTooFewPoints);
  EXPECT_FALSE(RefitEnvelope(CandidatesOf(one_size), {1.0}));
  EXPECT_TRUE(EnvelopeWarnings(fit).empty());
}

// Equal points and points of one C and several losses (branches of one trunk share
// their points).
TEST(EnvelopeFitTest, TakesTheLowestOfEqualFlops) {
  const std::vector<EnvelopePoint> points = {{0, 1e10, 1e3, 1e6, 5}, {1, 1e10, 2e3, 5e5, 6}, {2, 1e11, 1e4, 1e6, 4},
                                             {3, 1e11, 1e4, 1e6, 4}, {4, 1e12, 1e5, 1e6, 3.5}};
  const EnvelopeFit fit = FitEnvelope(CandidatesOf(points));
  ASSERT_EQ(fit.hull.size(), 3u);
  EXPECT_EQ(fit.hull[0].params, 1e3);
}

// C = 6 N (C / 6N) differs from its budget in the last bit, which the logarithm does not
// see: the lowest loss of the budget counts, whichever C is the smaller.
TEST(EnvelopeFitTest, TakesTheLowestOfFlopsThatDifferInTheLastBit) {
  std::vector<EnvelopePoint> points;
  for (int i = 0; i < 3; ++i) {
    const double flops = std::pow(10, 18 + i), above = std::nextafter(flops, 2 * flops), loss = 2 + 3 * std::pow(0.5, i);
    ASSERT_EQ(std::log(flops), std::log(above));
    points.push_back({static_cast<size_t>(2 * i), flops, 1e3, flops / 6e3, loss + 0.3});
    points.push_back({static_cast<size_t>(2 * i + 1), above, 1e4 * (i + 1), above / 6e4, loss});
  }
  const EnvelopeFit fit = FitEnvelope(CandidatesOf(points));
  ASSERT_EQ(fit.hull.size(), 3u);
  for (const EnvelopePoint& vertex : fit.hull) EXPECT_NE(vertex.params, 1e3);
}

// 1000 curves of 2000 points: printed, not demanded.
TEST(EnvelopeFitTest, ADrawIsAPassOverTheHullsOfTheCurves) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 25, 40, 8, 0.005);
  AddCurves(2000, HoffmannLaw(), [](double n, double d, double) { return HoffmannLaw().LossAt(n, d); }, &study);
  const std::vector<KeptRow> rows = KeptRowsOf(study);
  const std::clock_t start = std::clock();
  const EnvelopeCandidates candidates = EnvelopePoints(rows);
  const std::clock_t collected = std::clock();
  const std::vector<double> weights(rows.size(), 1);
  for (int draw = 0; draw < 20; ++draw) ASSERT_TRUE(RefitEnvelope(candidates, weights));
  const std::clock_t drawn = std::clock();
  std::printf("speed      %d points of %zu curves: %.2f s to %zu candidates, 2000 draws %.2f s of one core\n",
              candidates.curve_points, rows.size(), static_cast<double>(collected - start) / CLOCKS_PER_SEC,
              candidates.points.size(), 100 * static_cast<double>(drawn - collected) / CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace isoflop
