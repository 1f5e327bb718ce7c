#include "analysis/minimize.h"

#include <gtest/gtest.h>

namespace isoflop {
namespace {

struct Rosenbrock {
  double Derivatives(const Eigen::Vector2d& x, Eigen::Vector2d* g, Eigen::Matrix2d* H) const {
    const double u = x[1] - x[0] * x[0], v = 1 - x[0];
    *g << -400 * x[0] * u - 2 * v, 200 * u;
    *H << 1200 * x[0] * x[0] - 400 * x[1] + 2, -400 * x[0], -400 * x[0], 200;
    return 100 * u * u + v * v;
  }
};

TEST(MinimizeTest, NewtonFindsTheValleysEnd) {
  Eigen::Vector2d x(-1.2, 1);
  const NewtonSummary summary = MinimizeNewton<2>(Rosenbrock(), &x);
  EXPECT_EQ(summary.end, NewtonEnd::kConverged);
  EXPECT_NEAR(x[0], 1, 1e-12);
  EXPECT_NEAR(x[1], 1, 1e-12);
  EXPECT_LE(summary.max_step, 1e-10);
}

TEST(MinimizeTest, NewtonLeavesFrozenParametersAlone) {
  Eigen::Vector2d x(0.5, 1);
  const NewtonSummary summary = MinimizeNewton<2>(Rosenbrock(), &x, {}, 1u << 0);
  EXPECT_EQ(summary.end, NewtonEnd::kConverged);
  EXPECT_EQ(x[0], 0.5);
  EXPECT_NEAR(x[1], 0.25, 1e-12);
}

TEST(MinimizeTest, NewtonSaysWhenItWasStopped) {
  Eigen::Vector2d x(-1.2, 1);
  NewtonOptions options;
  options.max_iterations = 2;
  EXPECT_EQ(MinimizeNewton<2>(Rosenbrock(), &x, options).end, NewtonEnd::kMaxIterations);
}

struct Saddle {
  double Derivatives(const Eigen::Vector2d& x, Eigen::Vector2d* g, Eigen::Matrix2d* H) const {
    *g << 2 * x[0], -2 * x[1];
    *H << 2, 0, 0, -2;
    return x[0] * x[0] - x[1] * x[1];
  }
};

TEST(MinimizeTest, NewtonNeverCallsASaddleAnOptimum) {
  Eigen::Vector2d x(1, 0);
  EXPECT_NE(MinimizeNewton<2>(Saddle(), &x).end, NewtonEnd::kConverged);
}

TEST(MinimizeTest, BrentFindsMinimumAndRoot) {
  const auto f = [](double x) { return std::cosh(x - 0.3) + 0.1 * x; };
  EXPECT_NEAR(BrentMinimum(f, -2, 3), 0.3 - std::asinh(0.1), 1e-7);
  const auto edge = [](double x) { return x; };
  EXPECT_NEAR(BrentMinimum(edge, 1, 2), 1, 1e-6);
  EXPECT_NEAR(BrentRoot([](double x) { return std::exp(x) - 3; }, -10, 10), std::log(3), 1e-12);
  EXPECT_EQ(BrentRoot([](double x) { return x; }, 0, 5), 0);
}

}  // namespace
}  // namespace isoflop
