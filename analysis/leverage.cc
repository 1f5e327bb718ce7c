#include "analysis/leverage.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

using Member = double LossLaw::*;
// Members that move together.
using Parameter = std::vector<Member>;

std::vector<Parameter> ParametersOf(LawForm form) {
  switch (form) {
    case LawForm::kChinchilla:
      return {{&LossLaw::E}, {&LossLaw::A}, {&LossLaw::B}, {&LossLaw::alpha}, {&LossLaw::beta}};
    case LawForm::kTied:
    case LawForm::kGadre:
      return {{&LossLaw::E}, {&LossLaw::A}, {&LossLaw::B}, {&LossLaw::alpha, &LossLaw::beta}};
    case LawForm::kKaplan:
      return {{&LossLaw::A}, {&LossLaw::B}, {&LossLaw::alpha}, {&LossLaw::kappa}};
    case LawForm::kMultiplicative:
      return {{&LossLaw::E}, {&LossLaw::A}, {&LossLaw::alpha}, {&LossLaw::beta}};
    case LawForm::kDataConstrained:
      return {{&LossLaw::E},    {&LossLaw::A},    {&LossLaw::B},
              {&LossLaw::alpha}, {&LossLaw::beta}, {&LossLaw::repeat_tokens},
              {&LossLaw::repeat_params}};
  }
  return {};
}

double LnLossAt(const LossLaw& law, const KeptRow& row) { return std::log(PredictedLossOf(law, row)); }

}  // namespace

bool HasSeparateExponents(LawForm form) { return form != LawForm::kTied && form != LawForm::kGadre; }

std::vector<double> Leverages(absl::Span<const KeptRow> rows, absl::Span<const double> weights, const LossLaw& law) {
  constexpr double kStep = 1e-5;  // relative
  const Eigen::Index m = static_cast<Eigen::Index>(rows.size());
  std::vector<Eigen::VectorXd> columns;
  for (const Parameter& parameter : ParametersOf(law.form)) {
    LossLaw up = law, down = law;
    bool free = true;
    for (const Member member : parameter) {
      free = free && law.*member != 0 && std::isfinite(law.*member);
      up.*member *= 1 + kStep;
      down.*member *= 1 - kStep;
    }
    if (!free) continue;
    Eigen::VectorXd column(m);
    for (Eigen::Index i = 0; i < m; ++i) {
      const size_t row = static_cast<size_t>(i);
      column[i] = std::sqrt(weights[row]) * (LnLossAt(up, rows[row]) - LnLossAt(down, rows[row])) / (2 * kStep);
    }
    const double norm = column.norm();
    if (norm > 0 && std::isfinite(norm)) columns.push_back(column / norm);
  }
  std::vector<double> leverages(rows.size(), 0);
  if (columns.empty()) return leverages;
  Eigen::MatrixXd J(m, static_cast<Eigen::Index>(columns.size()));
  for (size_t j = 0; j < columns.size(); ++j) J.col(static_cast<Eigen::Index>(j)) = columns[j];
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(J);
  qr.setThreshold(1e-8);  // above what the differences leave of a column that depends on the others
  const Eigen::MatrixXd Q = qr.householderQ() * Eigen::MatrixXd::Identity(m, qr.rank());
  for (Eigen::Index i = 0; i < m; ++i) leverages[static_cast<size_t>(i)] = std::min(Q.row(i).squaredNorm(), 1.0);
  return leverages;
}

}  // namespace isoflop
