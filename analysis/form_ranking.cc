#include "analysis/form_ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/bootstrap.h"
#include "analysis/law_fit.h"
#include "analysis/subset_fit.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr int kNestedDraws = 999;
constexpr uint64_t kSeedOffset = 7001;  // of the nested tests' streams
constexpr double kCollinear = 0.98;

bool IsRepeated(const KeptRow& row) {
  const std::optional<double>& unique = row.observation.unique_tokens;
  return unique && *unique > 0 && row.tokens > *unique * (1 + 1e-12);
}

LawFitOptions OptionsOf(const AnalysisOptions& options, LawForm form) {
  return {form == LawForm::kGadre ? FitObjective::kMseRaw : options.spec.objective, options.spec.delta, form};
}

// With U of each row; one that does not say saw no token twice.
FitRows ColumnsOf(absl::Span<const KeptRow> rows, absl::Span<const size_t> subset) {
  FitRows columns = FitRowsOfSubset(rows, subset);
  columns.ln_unique.clear();
  for (const size_t row : subset) {
    columns.ln_unique.push_back(
        std::log(IsRepeated(rows[row]) ? *rows[row].observation.unique_tokens
                                       : std::max(rows[row].tokens, rows[row].observation.unique_tokens.value_or(0))));
  }
  return columns;
}

// --- the score -----------------------------------------------------------------------------

// The mean over (row, |relative error|); its SE from the rows' sums of deviations.
Estimate MeanOverRows(const std::vector<std::pair<size_t, double>>& errors) {
  Estimate estimate;
  for (const auto& [row, error] : errors) estimate.value += error / static_cast<double>(errors.size());
  std::map<size_t, double> by_row;
  for (const auto& [row, error] : errors) by_row[row] += error - estimate.value;
  if (by_row.size() < 2) return estimate;
  double squares = 0;
  for (const auto& [row, sum] : by_row) squares += sum * sum;
  const double clusters = static_cast<double>(by_row.size()), m = static_cast<double>(errors.size());
  estimate.se = std::sqrt(squares * clusters / (clusters - 1)) / m;
  return estimate;
}

// --- nested pairs ---------------------------------------------------------------------------

double Statistic(const Refit& smaller, const Refit& larger) {
  return smaller.f > 1e-20 ? (smaller.f - larger.f) / std::max(larger.f, 1e-300) : 0;
}

NestedTest TestNested(const FitRows& rows, const AnalysisOptions& options, const LossLaw& small_law,
                      const LossLaw& large_law, uint64_t seed) {
  NestedTest test;
  test.smaller = small_law.form;
  test.larger = large_law.form;
  test.draws = kNestedDraws;
  const LawFitOptions small_options = OptionsOf(options, test.smaller), large_options = OptionsOf(options, test.larger);
  // The smaller law is a point of the larger form: a start of every refit.
  LossLaw embedded = small_law;
  embedded.form = test.larger;
  const std::vector<Theta> small_starts = {ThetaOf(rows, small_law)};
  const std::vector<Theta> large_starts = {ThetaOf(rows, large_law), ThetaOf(rows, embedded)};
  const auto statistic = [&](const FitRows& on) {
    return Statistic(RefitLossLaw(on, small_options, small_starts), RefitLossLaw(on, large_options, large_starts));
  };
  test.statistic = statistic(rows);

  std::vector<double> predicted, residual;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double params = std::exp(rows.n[i] + rows.n0), tokens = std::exp(rows.d[i] + rows.d0);
    predicted.push_back(std::log(small_law.LossAt(params, tokens, std::exp(rows.ln_unique[i]))));
    residual.push_back(rows.ln_loss[i] - predicted.back());
  }
  std::mt19937 generator(static_cast<uint32_t>(seed));
  std::vector<uint32_t> picks(rows.size() * kNestedDraws);
  for (uint32_t& pick : picks) pick = DrawIndex(&generator, static_cast<uint32_t>(rows.size()));
  std::vector<char> as_large(kNestedDraws, 0);
  ParallelFor(kNestedDraws, options.threads, [&](int first, int last) {
    FitRows drawn = rows;
    for (int draw = first; draw < last; ++draw) {
      for (size_t i = 0; i < rows.size(); ++i) {
        drawn.ln_loss[i] = predicted[i] + residual[picks[static_cast<size_t>(draw) * rows.size() + i]];
        drawn.loss[i] = std::exp(drawn.ln_loss[i]);
      }
      as_large[static_cast<size_t>(draw)] = statistic(drawn) >= test.statistic;
    }
  });
  const auto count = std::count(as_large.begin(), as_large.end(), 1);
  test.p = static_cast<double>(1 + count) / (kNestedDraws + 1);
  return test;
}

// The simplest within one standard error of the best; nullptr where none was scored.
FormScore* SimplestNearBest(std::vector<FormScore>* forms) {
  const FormScore* best = nullptr;
  const auto error = [](const FormScore& score) { return EstimateIn(score.holdout_error); };
  for (const FormScore& score : *forms) {
    if (error(score) != nullptr && (best == nullptr || error(score)->value < error(*best)->value)) best = &score;
  }
  if (best == nullptr) return nullptr;
  const double limit = error(*best)->value + error(*best)->se.value_or(0);
  FormScore* simplest = nullptr;
  for (FormScore& score : *forms) {
    if (error(score) == nullptr || error(score)->value > limit) continue;
    if (simplest == nullptr || score.parameters < simplest->parameters ||
        (score.parameters == simplest->parameters && error(score)->value < error(*simplest)->value)) {
      simplest = &score;
    }
  }
  return simplest;
}

}  // namespace

std::optional<Refusal> RefuseForm(absl::Span<const KeptRow> rows, absl::Span<const size_t> subset, LawForm form) {
  std::vector<size_t> fresh;
  if (form == LawForm::kDataConstrained) {  // its law of fresh data is the chinchilla form
    for (const size_t row : subset) {
      if (!IsRepeated(rows[row])) fresh.push_back(row);
    }
    return RefuseForm(rows, fresh, LawForm::kChinchilla);
  }
  std::set<std::pair<double, double>> cells;
  std::set<double> sizes, tokens;
  double w = 0, n_mean = 0, d_mean = 0;
  for (const size_t i : subset) {
    const KeptRow& row = rows[i];
    if (!(row.weight > 0)) continue;
    cells.emplace(row.params, row.tokens);
    sizes.insert(row.params);
    tokens.insert(row.tokens);
    w += row.weight;
    n_mean += row.weight * std::log(row.params);
    d_mean += row.weight * std::log(row.tokens);
  }
  const int parameters = ParameterCount(form);
  if (static_cast<int>(cells.size()) <= parameters) {
    return Refusal{Code::kUnderdetermined,
                   absl::StrCat(Plural(static_cast<int64_t>(cells.size()), "cell"), " (N, D) for ", parameters, " parameters"),
                   "more sizes and more tokens a size"};
  }
  if (sizes.size() < 3 || tokens.size() < 3) {
    return Refusal{Code::kUnderdetermined,
                   absl::StrCat(sizes.size(), " distinct N and ", tokens.size(), " distinct D, 3 of each are needed"),
                   "more sizes and more tokens a size"};
  }
  if (form == LawForm::kTied || form == LawForm::kGadre) return std::nullopt;
  double nn = 0, dd = 0, nd = 0;
  for (const size_t i : subset) {
    const double n = std::log(rows[i].params) - n_mean / w, d = std::log(rows[i].tokens) - d_mean / w;
    nn += rows[i].weight * n * n;
    dd += rows[i].weight * d * d;
    nd += rows[i].weight * n * d;
  }
  const double correlation = nd / std::sqrt(nn * dd);
  if (correlation > kCollinear) {
    return Refusal{Code::kCollinear,
                   absl::StrCat("ln N and ln D correlate at ", FormatSignificant(correlation, 4),
                                ": the exponents cannot be told apart"),
                   "form: tied, or several D for each N"};
  }
  return std::nullopt;
}

FormRanking RankFormsOn(absl::Span<const KeptRow> rows, const AnalysisOptions& options,
                        absl::Span<const HoldoutSplit> splits) {
  std::vector<LawForm> forms = {LawForm::kTied, LawForm::kGadre, LawForm::kKaplan, LawForm::kMultiplicative,
                                LawForm::kChinchilla};
  if (std::any_of(rows.begin(), rows.end(), IsRepeated)) forms.push_back(LawForm::kDataConstrained);
  const std::vector<size_t> all = AllRows(rows.size());

  FormRanking ranking;
  std::vector<size_t> carried;  // into ranking.forms
  for (const LawForm form : forms) {
    FormScore& score = ranking.forms.emplace_back();
    score.form = form;
    score.parameters = ParameterCount(form);
    if (std::optional<Refusal> refusal = RefuseForm(rows, all, form)) {
      score.holdout_error = *std::move(refusal);
    } else {
      carried.push_back(ranking.forms.size() - 1);
    }
  }
  std::vector<const HoldoutSplit*> fair;
  for (const HoldoutSplit& split : splits) {
    const bool carries_all = std::none_of(carried.begin(), carried.end(), [&](size_t at) {
      return RefuseForm(rows, split.train, ranking.forms[at].form).has_value();
    });
    if (carries_all && !split.held.empty()) fair.push_back(&split);
  }

  // Job (form, split); the last split of a form is the whole table.
  const int splits_per_form = static_cast<int>(fair.size()) + 1;
  const int jobs = static_cast<int>(carried.size()) * splits_per_form;
  std::vector<LawFit> fits(static_cast<size_t>(jobs));
  ParallelFor(jobs, options.threads, [&](int first, int last) {
    for (int job = first; job < last; ++job) {
      const size_t at = static_cast<size_t>(job % splits_per_form);
      const LawForm form = ranking.forms[carried[static_cast<size_t>(job / splits_per_form)]].form;
      fits[static_cast<size_t>(job)] = FitLossLaw(ColumnsOf(rows, at < fair.size() ? fair[at]->train : all), OptionsOf(options, form));
    }
  });
  std::map<LawForm, LossLaw> laws;
  for (size_t k = 0; k < carried.size(); ++k) {
    FormScore& score = ranking.forms[carried[k]];
    const LawFit* form_fits = fits.data() + k * static_cast<size_t>(splits_per_form);
    const LawFit& whole = form_fits[fair.size()];
    score.law = laws[score.form] = whole.law;
    score.certificate = ToString(whole.certificate.outcome);
    score.f = whole.certificate.f;
    std::vector<std::pair<size_t, double>> errors;
    for (size_t at = 0; at < fair.size(); ++at) {
      for (const size_t row : fair[at]->held) {
        errors.emplace_back(row, std::abs(PredictedLossOf(form_fits[at].law, rows[row]) / rows[row].loss - 1));
      }
    }
    if (errors.empty()) {
      score.holdout_error = Refusal{Code::kUnderdetermined, "no window's rows carry every form", "three budgets or more"};
    } else {
      score.holdout_error = MeanOverRows(errors);
    }
  }

  if (FormScore* recommended = SimplestNearBest(&ranking.forms)) {
    recommended->recommended = true;
    ranking.recommended = recommended->form;
  } else if (laws.count(LawForm::kChinchilla) == 0 && laws.count(LawForm::kTied) > 0) {
    ranking.recommended = LawForm::kTied;
  }
  const std::pair<LawForm, LawForm> nested[] = {{LawForm::kTied, LawForm::kChinchilla},
                                                {LawForm::kChinchilla, LawForm::kDataConstrained}};
  uint64_t seed = options.spec.bootstrap_seed + kSeedOffset;
  for (const auto& [smaller, larger] : nested) {
    if (laws.count(smaller) == 0 || laws.count(larger) == 0) continue;
    ranking.nested.push_back(TestNested(ColumnsOf(rows, all), options, laws[smaller], laws[larger], seed++));
  }
  std::stable_sort(ranking.forms.begin(), ranking.forms.end(), [](const FormScore& x, const FormScore& y) {
    const Estimate* left = EstimateIn(x.holdout_error);
    const Estimate* right = EstimateIn(y.holdout_error);
    if (left == nullptr || right == nullptr) return left != nullptr && right == nullptr;
    return left->value < right->value;
  });
  return ranking;
}

FormRanking RankForms(absl::Span<const KeptRow> rows, const AnalysisOptions& options) {
  return RankFormsOn(rows, options, ExpandingWindows(rows, options.spec.budget_tolerance));
}

}  // namespace isoflop
