// F15, what the bootstrap draws of the parameters look like together, and F16, the
// profile of alpha - beta.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr size_t kMostPoints = 500;  // of a scatter

// Mean and covariance of the pairs.
struct Moments {
  double x = 0, y = 0, xx = 0, xy = 0, yy = 0;
};

Moments MomentsOf(const std::vector<double>& x, const std::vector<double>& y) {
  Moments m;
  const double n = static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    m.x += x[i] / n;
    m.y += y[i] / n;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    m.xx += (x[i] - m.x) * (x[i] - m.x) / (n - 1);
    m.xy += (x[i] - m.x) * (y[i] - m.y) / (n - 1);
    m.yy += (y[i] - m.y) * (y[i] - m.y) / (n - 1);
  }
  return m;
}

// The ellipse that holds `share` of a normal distribution with these moments: radius^2
// = -2 ln(1 - share), through the Cholesky factor.
Series Ellipse(const Moments& m, double share) {
  Series ellipse{.line = true, .color = kColorParametric, .line_width = 1.1};
  const double radius = std::sqrt(-2 * std::log1p(-share));
  const double l11 = std::sqrt(m.xx), l21 = m.xy / l11, l22 = std::sqrt(std::max(m.yy - l21 * l21, 0.0));
  for (int k = 0; k <= 72; ++k) {
    const double angle = 2 * M_PI * k / 72, u = radius * std::cos(angle), v = radius * std::sin(angle);
    ellipse.x.push_back(m.x + l11 * u);
    ellipse.y.push_back(m.y + l21 * u + l22 * v);
  }
  return ellipse;
}

double ShareInside(const Moments& m, double share, const std::vector<double>& x, const std::vector<double>& y) {
  const double limit = -2 * std::log1p(-share), determinant = m.xx * m.yy - m.xy * m.xy;
  size_t inside = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double u = x[i] - m.x, v = y[i] - m.y;
    inside += (m.yy * u * u - 2 * m.xy * u * v + m.xx * v * v) / determinant <= limit ? 1 : 0;
  }
  return static_cast<double>(inside) / static_cast<double>(x.size());
}

std::optional<Figure> PairFigure(const AnalysisResult& result, const char* name, const char* number, const char* x_label, const char* y_label,
                                 double (*x_of)(const LossLaw&), double (*y_of)(const LossLaw&)) {
  std::vector<double> x, y;
  for (const LossLaw& law : result.bootstrap.laws) {
    if (!std::isfinite(x_of(law)) || !std::isfinite(y_of(law))) continue;
    x.push_back(x_of(law));
    y.push_back(y_of(law));
  }
  if (x.size() < 20) return std::nullopt;
  const Moments m = MomentsOf(x, y);
  Figure figure{.name = name, .number = number, .title = absl::StrCat("Bootstrap draws: ", x_label, " and ", y_label)};
  figure.x = {.label = x_label};
  figure.y = {.label = y_label};
  figure.width_inches = 3.25;
  figure.height_inches = 2.9;
  Series draws{.label = "a draw", .mark = Glyph::kCircle, .color = "#9aa7b8", .mark_size = 1.2};
  const size_t every = (x.size() + kMostPoints - 1) / kMostPoints;
  for (size_t i = 0; i < x.size(); i += every) {
    draws.x.push_back(x[i]);
    draws.y.push_back(y[i]);
  }
  // Far draws would shrink the picture to a dot.
  draws.ignored_by_range = true;
  figure.series.push_back(std::move(draws));
  std::vector<std::string> shares;
  const bool is_flat = !(m.xx > 0) || !(m.xx * m.yy - m.xy * m.xy > 1e-12 * m.xx * m.yy);
  for (const double level : {80.0, 95.0}) {
    if (is_flat) break;
    Series ellipse = Ellipse(m, level / 100);
    ellipse.label = absl::StrFormat("%g %%", level);
    if (level < 90) ellipse.line_width = 0.7;
    shares.push_back(absl::StrFormat("%.0f %%", 100 * ShareInside(m, level / 100, x, y)));
    figure.series.push_back(std::move(ellipse));
  }
  if (is_flat) figure.series.front().ignored_by_range = false;
  const LossLaw& law = result.parametric->law;
  figure.series.push_back({.label = "estimate", .x = {x_of(law)}, .y = {y_of(law)}, .mark = Glyph::kDiamond, .color = kColorIsoflop, .mark_size = 3});
  const double correlation = m.xx > 0 && m.yy > 0 ? m.xy / std::sqrt(m.xx * m.yy) : 0;
  figure.caption = absl::StrFormat("%d draws (%s)%s, correlation %.3f.", static_cast<int>(x.size()), result.bootstrap.method,
                                   every > 1 ? absl::StrFormat(", one in %d drawn", static_cast<int>(every)) : "", correlation);
  if (!is_flat) {
    absl::StrAppend(&figure.caption, " Ellipses: normal with the draws' covariance at 80 and 95 %; they hold ", absl::StrJoin(shares, " and "),
                    " of the draws.");
  }
  return figure;
}

double AlphaOf(const LossLaw& law) { return law.alpha; }
double BetaOf(const LossLaw& law) { return law.beta; }
double LnAOf(const LossLaw& law) { return law.A > 0 ? std::log(law.A) : NAN; }

std::string EndWords(const std::optional<double>& end, const char* side) {
  return end.has_value() ? absl::StrFormat("%.3f", *end) : absl::StrCat("open ", side);
}

}  // namespace

std::vector<Figure> DrawFigures(const AnalysisResult& result) {
  if (!result.parametric.has_value()) return {};
  std::vector<Figure> figures;
  if (std::optional<Figure> pair = PairFigure(result, "fig15a_alpha_beta", "F15a", "alpha", "beta", AlphaOf, BetaOf)) {
    // a = 1/2 where the two are equal; the frontier turns on which side the draws lie.
    Series equal{.label = "alpha = beta", .line = true, .color = "#999999", .line_width = 0.8};
    const Range x = RangeOf(*pair, true), y = RangeOf(*pair, false);
    const double lo = std::max(x.lo, y.lo), hi = std::min(x.hi, y.hi);
    if (hi > lo) {
      equal.x = {lo, hi};
      equal.y = {lo, hi};
      equal.ignored_by_range = true;
      pair->series.insert(pair->series.begin(), std::move(equal));
      pair->caption += " On the line alpha = beta N* grows as C^0.5.";
    }
    figures.push_back(std::move(*pair));
  }
  if (std::optional<Figure> pair = PairFigure(result, "fig15b_lnA_alpha", "F15b", "alpha", "ln A", AlphaOf, LnAOf)) {
    pair->caption += " A and alpha move together; A N0^-alpha (T8) is what the data determine.";
    figures.push_back(std::move(*pair));
  }
  return figures;
}

std::optional<Figure> ProfileFigure(const AnalysisResult& result) {
  const auto at = std::find_if(result.profiles.begin(), result.profiles.end(), [](const Profile& p) { return p.name == "alpha - beta"; });
  if (at == result.profiles.end() || at->value.size() < 2 || at->value.size() != at->statistic.size()) return std::nullopt;
  const Profile& profile = *at;
  Figure figure{.name = "fig16_profile", .number = "F16", .title = "Profile of alpha − beta"};
  figure.x = {.label = "alpha − beta, all else refitted"};
  const double highest = *std::max_element(profile.statistic.begin(), profile.statistic.end());
  figure.y = {.label = "robust likelihood ratio", .hi = std::clamp(1.05 * highest, 1.3 * profile.threshold, 3.2 * profile.threshold)};
  figure.y.lo = -0.04 * *figure.y.hi;  // the best fit's mark at 0 stands whole
  figure.width_inches = 3.25;
  figure.height_inches = 2.9;
  Series line{.label = "profile", .x = profile.value, .y = profile.statistic, .line = true, .mark = Glyph::kCircle, .color = kColorParametric, .mark_size = 1.4};
  // The axis shows the neighbourhood of the threshold, not the far ends.
  std::vector<double> near;
  for (size_t i = 0; i < profile.value.size(); ++i) {
    if (profile.statistic[i] <= 3.2 * profile.threshold) near.push_back(profile.value[i]);
  }
  if (near.size() > 1 && near.back() > near.front()) {
    const double margin = 0.04 * (near.back() - near.front());
    figure.x.lo = near.front() - margin;
    figure.x.hi = near.back() + margin;
  }
  const double left = figure.x.lo.value_or(profile.value.front()), right = figure.x.hi.value_or(profile.value.back());
  figure.series.push_back({.label = absl::StrFormat("threshold %.3f", profile.threshold), .x = {left, right}, .y = {profile.threshold, profile.threshold}, .line = true,
                           .color = kColorIsoflop, .line_width = 0.9});
  Series ends{.label = "95 % interval", .line = true, .color = kColorReference, .line_width = 0.9};
  for (const std::optional<double>& end : {profile.lo, profile.hi}) {
    if (!end.has_value()) continue;
    ends.x.insert(ends.x.end(), {*end, *end, NAN});
    ends.y.insert(ends.y.end(), {0, profile.threshold, NAN});
  }
  if (!ends.x.empty()) figure.series.push_back(std::move(ends));
  figure.series.push_back(std::move(line));
  figure.series.push_back({.label = "best fit", .x = {profile.at_best}, .y = {0}, .mark = Glyph::kDiamond, .color = kColorParametric, .mark_size = 3});
  const bool is_open = !profile.lo.has_value() || !profile.hi.has_value();
  figure.caption = absl::StrCat(FitWords(result), absl::StrFormat(". Best %.3f, 95 %% interval [", profile.at_best), EndWords(profile.lo, "below"), ", ",
                                EndWords(profile.hi, "above"), "] by the robust likelihood ratio (Huber and Ronchetti 2009)",
                                is_open ? "; an open end: the data do not bound it" : "", ". 0 means equal exponents, N* as C^0.5.");
  return figure;
}

}  // namespace isoflop
