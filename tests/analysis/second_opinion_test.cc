// Ceres as a second opinion: its solver on the published tables, its dual numbers on
// the derivatives of every form.
#include <ceres/ceres.h>
#include <ceres/jet.h>
#include <gtest/gtest.h>

#include "analysis/form_fit.h"
#include "analysis/law_fit.h"
#include "tests/analysis/form_worlds.h"
#include "tests/analysis/published_table.h"

namespace isoflop {
namespace {

// --- derivatives -----------------------------------------------------------------------

// ln L once more, written plainly.
template <class Form, class T>
T PlainLnLoss(const T* x, double n, double d) {
  using std::exp;
  using std::log;
  if constexpr (Form::kForm == LawForm::kChinchilla) return log(exp(x[0] - x[3] * n) + exp(x[1] - x[4] * d) + exp(x[2]));
  if constexpr (Form::kForm == LawForm::kTied) return log(exp(x[0] - x[3] * n) + exp(x[1] - x[3] * d) + exp(x[2]));
  if constexpr (Form::kForm == LawForm::kMultiplicative) return log(exp(x[0] - x[2] * n - x[3] * d) + exp(x[1]));
  if constexpr (Form::kForm == LawForm::kKaplan) return x[3] * log(exp((x[0] - x[2] * n) / x[3]) + exp(x[1] / x[3] - d));
}

template <class Form>
class DerivativesTest : public testing::Test {};
using Forms = testing::Types<ChinchillaForm, TiedForm, KaplanForm, MultiplicativeForm>;
TYPED_TEST_SUITE(DerivativesTest, Forms);

struct Width {
  double delta;
  bool on_loss;
};
constexpr Width kWidths[] = {{1e-3, false}, {3e-2, false}, {1e9, false}, {1e9, true}};

template <class Form>
typename Form::Vector AwayFromTheOptimum(const FitRows& rows) {
  typename Form::Vector theta = Form::FromLaw(WorldOf(Form::kForm), rows.n0, rows.d0);
  theta[Form::kParams - 1] *= 1.1;
  theta[0] -= 0.05;
  theta[2] *= 1.05;
  return theta;
}

TYPED_TEST(DerivativesTest, ValueAndGradientAreThoseOfDualNumbers) {
  using Jet = ceres::Jet<double, TypeParam::kParams>;
  FitRows rows = WorldRows(TypeParam::kForm, 0.02, 7);
  rows.weight[3] = 2.5;
  const auto theta = AwayFromTheOptimum<TypeParam>(rows);
  Jet x[TypeParam::kParams];
  for (int j = 0; j < TypeParam::kParams; ++j) x[j] = Jet(theta[j], j);
  double value = 0, slope = 0;  // the largest differences, relative
  for (const Width width : kWidths) {
    Jet f(0.0);
    for (size_t i = 0; i < rows.size(); ++i) {
      const Jet ln_loss = PlainLnLoss<TypeParam>(x, rows.n[i], rows.d[i]);
      const Jet r = width.on_loss ? rows.loss[i] - exp(ln_loss) : rows.ln_loss[i] - ln_loss;
      const Jet size = r.a < 0 ? -r : r;
      f += rows.weight[i] * (size.a <= width.delta ? 0.5 * r * r : width.delta * (size - 0.5 * width.delta));
    }
    const HuberObjective<TypeParam> objective(&rows, width.delta, width.on_loss);
    typename TypeParam::Vector gradient;
    typename TypeParam::Matrix hessian;
    value = std::max({value, std::abs(objective.Derivatives(theta, &gradient, &hessian) - f.a) / f.a,
                      std::abs(objective.Value(theta) - f.a) / f.a});
    for (int j = 0; j < TypeParam::kParams; ++j) slope = std::max(slope, std::abs(gradient[j] - f.v[j]) / f.v.norm());
  }
  DemandBelow("dual", std::string(ToString(TypeParam::kForm)) + ", f", 1e-13, value);
  DemandBelow("dual", std::string(ToString(TypeParam::kForm)) + ", gradient", 1e-11, slope);
  // The Jacobian alone.
  const Jet ln_loss = PlainLnLoss<TypeParam>(x, rows.n[7], rows.d[7]);
  const auto J = HuberObjective<TypeParam>::Jacobian(theta, rows.n[7], rows.d[7]);
  for (int j = 0; j < TypeParam::kParams; ++j) EXPECT_NEAR(J[j], ln_loss.v[j], 1e-12 * ln_loss.v.norm()) << j;
}

TYPED_TEST(DerivativesTest, HessianIsTheDifferenceOfGradients) {
  const FitRows rows = WorldRows(TypeParam::kForm, 0.02, 7);
  const auto theta = AwayFromTheOptimum<TypeParam>(rows);
  double apart = 0;
  for (const Width width : kWidths) {
    const HuberObjective<TypeParam> objective(&rows, width.delta, width.on_loss);
    typename TypeParam::Vector gradient, up, down;
    typename TypeParam::Matrix hessian, ignored;
    objective.Derivatives(theta, &gradient, &hessian);
    const double step = 1e-7;
    for (int j = 0; j < TypeParam::kParams; ++j) {
      auto x = theta;
      x[j] += step;
      objective.Derivatives(x, &up, &ignored);
      x[j] -= 2 * step;
      objective.Derivatives(x, &down, &ignored);
      for (int k = 0; k < TypeParam::kParams; ++k) {
        apart = std::max(apart, std::abs(hessian(k, j) - (up[k] - down[k]) / (2 * step)) / hessian.norm());
        EXPECT_EQ(hessian(k, j), hessian(j, k));
      }
    }
  }
  DemandBelow("dual", std::string(ToString(TypeParam::kForm)) + ", Hessian, differences of gradients", 1e-6, apart);
}

// --- the same optimum by another solver ---------------------------------------------------

// r = ln L - ln L(theta); ceres::HuberLoss(delta) of r^2 is 2 rho, and ceres' cost is
// half the sum: Sum rho, our f.
struct ChinchillaResidual {
  template <class T>
  bool operator()(const T* x, T* residual) const {
    residual[0] = ln_loss - PlainLnLoss<ChinchillaForm>(x, n, d);
    return true;
  }
  double n, d, ln_loss;
};

double CeresOptimum(const FitRows& rows, const Theta& start, double delta) {
  double x[5];
  std::copy(start.values.begin(), start.values.begin() + 5, x);
  ceres::Solver::Options options;
  options.max_num_iterations = 5000;
  options.function_tolerance = options.gradient_tolerance = options.parameter_tolerance = 1e-18;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  ceres::LossFunctionWrapper loss(new ceres::HuberLoss(1e-1), ceres::TAKE_OWNERSHIP);
  ceres::Problem::Options problem_options;
  problem_options.loss_function_ownership = ceres::DO_NOT_TAKE_OWNERSHIP;
  ceres::Problem problem(problem_options);
  for (size_t i = 0; i < rows.size(); ++i) {
    problem.AddResidualBlock(new ceres::AutoDiffCostFunction<ChinchillaResidual, 1, 5>(
                                   new ChinchillaResidual{rows.n[i], rows.d[i], rows.ln_loss[i]}),
                               &loss, x);
  }
  for (const double width : {1e-1, 1e-2, delta}) {
    loss.Reset(new ceres::HuberLoss(width), ceres::TAKE_OWNERSHIP);
    ceres::Solve(options, &problem, &summary);
  }
  return summary.final_cost;
}

void CompareWithCeres(const char* id, const FitRows& rows) {
  const LawFit fit = FitLossLaw(rows, {});
  // From another place than the optimum.
  LossLaw start = HoffmannLaw();
  const double theirs = CeresOptimum(rows, ThetaOf(rows, start), 1e-3);
  Demand(id, "f by Ceres", fit.certificate.f, theirs, 1e-8);
  EXPECT_LE(fit.certificate.f, theirs * (1 + 1e-12));
}

TEST(SecondOpinionTest, CeresFindsTheSameOptima) {
  std::vector<Observation> epoch = ReadPublished("epoch_chinchilla_svg_extracted_data.csv");
  CompareWithCeres("E2", FitRowsFrom(epoch));
  epoch.erase(epoch.begin(), epoch.begin() + 5);
  CompareWithCeres("E1", FitRowsFrom(epoch));
  CompareWithCeres("G3", FitRowsFrom(ReadPublished("gemstones_hot_220.csv")));
}

}  // namespace
}  // namespace isoflop
