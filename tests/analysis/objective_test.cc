// Derivatives against automatic differentiation and differences.
#include "analysis/objective.h"

#include <ceres/jet.h>
#include <gtest/gtest.h>

#include "analysis/law_fit.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

using Jet = ceres::Jet<double, 5>;
using Vector = ChinchillaForm::Vector;

// The objective once more, written plainly on dual numbers.
Jet PlainObjective(const FitRows& rows, const ChinchillaForm::Vector& theta, double delta) {
  Jet x[5];
  for (int j = 0; j < 5; ++j) x[j] = Jet(theta[j], j);
  Jet f(0.0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Jet loss = exp(x[0] - x[3] * rows.n[i]) + exp(x[1] - x[4] * rows.d[i]) + exp(x[2]);
    const Jet r = rows.ln_loss[i] - log(loss);
    const Jet size = r.a < 0 ? -r : r;
    f += rows.weight[i] * (size.a <= delta ? 0.5 * r * r : delta * (size - 0.5 * delta));
  }
  return f;
}

class ObjectiveTest : public testing::TestWithParam<double> {
 protected:
  ObjectiveTest() {
    rows_ = FitRowsFrom(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 6, 4, 0.02, 7));
    rows_.weight[3] = 2.5;
    theta_ = ChinchillaForm::FromLaw(HoffmannLaw(), rows_.n0, rows_.d0);
    theta_[3] += 0.03;
    theta_[0] -= 0.05;
  }
  FitRows rows_;
  ChinchillaForm::Vector theta_;
};

TEST_P(ObjectiveTest, ValueAndGradientAreThoseOfDualNumbers) {
  const HuberObjective<ChinchillaForm> objective(&rows_, GetParam());
  ChinchillaForm::Vector gradient;
  ChinchillaForm::Matrix hessian;
  const double f = objective.Derivatives(theta_, &gradient, &hessian);
  const Jet plain = PlainObjective(rows_, theta_, GetParam());
  EXPECT_NEAR(f, plain.a, 1e-14 * plain.a);
  EXPECT_DOUBLE_EQ(f, objective.Value(theta_));
  for (int j = 0; j < 5; ++j) EXPECT_NEAR(gradient[j], plain.v[j], 1e-11 * plain.v.norm()) << j;
}

TEST_P(ObjectiveTest, HessianIsTheDifferenceOfGradients) {
  const HuberObjective<ChinchillaForm> objective(&rows_, GetParam());
  ChinchillaForm::Vector gradient, up, down;
  ChinchillaForm::Matrix hessian, ignored;
  objective.Derivatives(theta_, &gradient, &hessian);
  const double step = 1e-7;
  for (int j = 0; j < 5; ++j) {
    ChinchillaForm::Vector x = theta_;
    x[j] += step;
    objective.Derivatives(x, &up, &ignored);
    x[j] -= 2 * step;
    objective.Derivatives(x, &down, &ignored);
    for (int k = 0; k < 5; ++k) {
      EXPECT_NEAR(hessian(k, j), (up[k] - down[k]) / (2 * step), 1e-6 * hessian.norm()) << j << k;
      EXPECT_EQ(hessian(k, j), hessian(j, k));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, ObjectiveTest, testing::Values(1e-3, 3e-2, 1e9));

}  // namespace
}  // namespace isoflop
