// F20, F21 and T11-T13: the study beside counted models and beside other families.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr const char* kFamilyColors[] = {kColorIsoflop, kColorEnvelope, "#7b4fa3", "#a37f1c"};

std::string NameOf(int64_t order, std::string smoothing) {
  if (smoothing == "kneser_ney") smoothing = "Kneser-Ney";
  if (smoothing == "absolute_discount") smoothing = "absolute discounting";
  if (smoothing == "add_k") smoothing = "add-k";
  return absl::StrCat(order, "-gram, ", smoothing);
}

std::string NameOf(const ReportBaseline& baseline) { return NameOf(baseline.order, baseline.smoothing); }

// `baselines` by loss from the worst, and so is what comes back: one line an order, where
// a study may count dozens.
std::vector<ReportBaseline> BestOfEachOrder(const std::vector<ReportBaseline>& baselines) {
  std::vector<ReportBaseline> best;
  for (const ReportBaseline& baseline : baselines) {
    std::erase_if(best, [&](const ReportBaseline& worse) { return worse.order == baseline.order; });
    best.push_back(baseline);
  }
  return best;
}

// This study's name in a figure with others: its family where that tells them apart.
std::string OwnName(const ReportContext& context) {
  const bool tells = !context.family.empty() &&
                     std::none_of(context.families.begin(), context.families.end(),
                                  [&](const ReportFamily& other) { return other.family == context.family; });
  return tells ? context.family : context.title;
}

std::string NameOf(const ReportFamily& family, const ReportContext& context) {
  int same = family.family == context.family ? 1 : 0;
  for (const ReportFamily& other : context.families) same += other.family == family.family ? 1 : 0;
  return same > 1 || family.family.empty() ? family.name : family.family;
}

// In the figure's unit; nullopt where it is not known.
std::optional<double> LossOf(const ReportBaseline& baseline, const AnalysisResult& result) {
  return result.options.spec.loss == LossUnit::kNats ? std::optional<double>(baseline.loss_nats) : baseline.bits_per_byte;
}

void AddFamily(const AnalysisResult& result, const std::string& name, const char* color, Glyph mark, Figure* figure) {
  Series points{.label = name, .mark = mark, .color = color, .mark_size = 2};
  for (const KeptRow& row : result.rows) {
    points.x.push_back(row.flops);
    points.y.push_back(row.loss);
    points.hover.push_back(HoverOf(row));
  }
  figure->series.push_back(std::move(points));
  const Frontier* frontier = FrontierOf(result, Approach::kParametric);
  if (frontier == nullptr) return;
  Series best{.label = absl::StrCat("L*(C), ", name), .line = true, .color = color};
  bool banded = true;
  for (const FrontierPoint& point : frontier->points) {
    if (!point.loss.has_value() || point.budget_flops > result.max_flops * (1 + 1e-9)) continue;
    const Interval* interval = point.loss->At(MainLevel(result));
    best.x.push_back(point.budget_flops);
    best.y.push_back(point.loss->value);
    best.lo.push_back(interval != nullptr ? interval->lo : NAN);
    best.hi.push_back(interval != nullptr ? interval->hi : NAN);
    banded = banded && interval != nullptr;
  }
  if (!banded) best.lo.clear(), best.hi.clear();
  if (best.x.size() > 1) figure->series.push_back(std::move(best));
}

std::vector<Cell> LawCells(const AnalysisResult& result, const std::string& name) {
  const double level = MainLevel(result);
  std::vector<Cell> cells = {TextCell(name), WholeCell(static_cast<int64_t>(result.rows.size()))};
  const auto estimate = [&](const std::optional<Estimate>& value, NumberFormat format) { cells.push_back(EstimateCell(value, level, format)); };
  std::optional<Estimate> E, alpha, beta, a;
  if (result.parametric.has_value()) {
    E = result.parametric->E;
    alpha = result.parametric->alpha;
    beta = result.parametric->beta;
    a = result.parametric->a;
  }
  estimate(E, FormatLoss);
  estimate(alpha, FormatExponent);
  estimate(beta, FormatExponent);
  estimate(a, FormatExponent);
  double least = INFINITY;
  for (const KeptRow& row : result.rows) least = std::min(least, row.loss);
  cells.push_back(std::isfinite(least) ? NumberCell(least, FormatLoss) : MissingCell());
  return cells;
}

// Two digits; an end that nothing holds in place as a power.
std::string FormatFactor(double value) {
  return value > 1e-3 && value < 1e4 ? FormatSignificant(value, 2) : absl::StrFormat("%.0e", value);
}

// "x3.4 [2.9, 4.1]": what the one that needs more needs of the other's compute.
std::string NeedsMore(const Estimate& k, double level) {
  const bool first = k.value >= 1;
  const auto factor = [&](double value) { return first ? value : 1 / value; };
  std::string text = absl::StrCat("x", FormatFactor(factor(k.value)));
  if (const Interval* interval = k.At(level)) {
    const double one = factor(interval->lo), other = factor(interval->hi);
    absl::StrAppend(&text, " [", FormatFactor(std::min(one, other)), ", ", FormatFactor(std::max(one, other)), "]");
  }
  return text;
}

}  // namespace

std::optional<Figure> FamiliesFigure(const AnalysisResult& result, const ReportContext& context) {
  if (result.rows.empty()) return std::nullopt;
  Figure figure{.name = "fig20_families", .number = "F20", .title = "Loss by compute, beside other models"};
  figure.x = {.label = FlopsLabel(result), .scale = Scale::kLog, .notation = Notation::kPower};
  figure.y = {.label = LossLabel(result), .scale = Scale::kLog};
  AddFamily(result, OwnName(context), kColorParametric, Glyph::kCircle, &figure);
  static constexpr Glyph kMarks[] = {Glyph::kSquare, Glyph::kTriangle, Glyph::kDiamond, Glyph::kCross};
  Range flops = FlopsRange(result);
  for (size_t i = 0; i < context.families.size(); ++i) {
    const ReportFamily& family = context.families[i];
    AddFamily(family.analysis, NameOf(family, context), kFamilyColors[i % std::size(kFamilyColors)], kMarks[i % std::size(kMarks)], &figure);
    const Range theirs = FlopsRange(family.analysis);
    if (!family.analysis.rows.empty()) flops = {std::min(flops.lo, theirs.lo), std::max(flops.hi, theirs.hi)};
  }
  // At one budget a line from end to end would be a point.
  if (!(flops.hi > flops.lo)) flops = {flops.lo / 2, flops.hi * 2};
  const std::vector<ReportBaseline> lines = BestOfEachOrder(context.baselines);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::optional<double> loss = LossOf(lines[i], result);
    if (!loss.has_value()) continue;
    // From light to dark as they get better.
    const int grey = lines.size() < 2 ? 0x60 : static_cast<int>(0xb8 - 0x88 * i / (lines.size() - 1));
    figure.series.push_back({.label = NameOf(lines[i]), .x = {flops.lo, flops.hi}, .y = {*loss, *loss}, .line = true,
                             .dotted = true, .color = absl::StrFormat("#%02x%02x%02x", grey, grey, grey), .line_width = 1});
  }
  size_t observations = result.rows.size();
  bool has_law = FrontierOf(result, Approach::kParametric) != nullptr;
  figure.caption = absl::StrCat("n = ", observations);
  for (const ReportFamily& family : context.families) {
    observations += family.analysis.rows.size();
    has_law = has_law || FrontierOf(family.analysis, Approach::kParametric) != nullptr;
    absl::StrAppend(&figure.caption, " and ", family.analysis.rows.size());
  }
  absl::StrAppend(&figure.caption, observations == 1 ? " observation." : " observations.",
                  has_law ? " Solid: the loss of the compute-optimal run by approach 3." : "",
                  lines.empty() ? "" : " Dotted: the best counted model of each order, which cost no training FLOPs; from above in the order of the legend.");
  return figure;
}

std::optional<Figure> CountedTokensFigure(const AnalysisResult& result, const ReportContext& context) {
  // By order and smoothing; of each the losses by tokens.
  std::map<std::pair<int64_t, std::string>, std::map<double, double>> curves;
  int64_t highest_order = 1;
  for (const ReportBaseline& baseline : context.baselines) {
    const std::optional<double> loss = LossOf(baseline, result);
    if (!loss.has_value()) continue;
    // Of several seeds, which count different windows, the best.
    auto [at, added] = curves[{baseline.order, baseline.smoothing}].emplace(baseline.tokens, *loss);
    if (!added) at->second = std::min(at->second, *loss);
    highest_order = std::max(highest_order, baseline.order);
  }
  std::erase_if(curves, [](const auto& curve) { return curve.second.size() < 2; });
  if (curves.empty()) return std::nullopt;
  Figure figure{.name = "fig21_counted_tokens", .number = "F21", .title = "Counted models by amount of text"};
  figure.x = {.label = "tokens counted", .scale = Scale::kLog};
  figure.y = {.label = LossLabel(result), .scale = Scale::kLog};
  size_t points = 0;
  for (const auto& [model, losses] : curves) {
    const auto& [order, smoothing] = model;
    const double place = highest_order > 1 ? static_cast<double>(order - 1) / static_cast<double>(highest_order - 1) : 0;
    Series series{.label = NameOf(order, smoothing), .line = true, .color = Viridis(0.9 * place)};
    series.mark = smoothing == "kneser_ney" ? Glyph::kCircle : smoothing == "add_k" ? Glyph::kTriangle : Glyph::kSquare;
    for (const auto& [tokens, loss] : losses) {
      series.x.push_back(tokens);
      series.y.push_back(loss);
    }
    points += losses.size();
    figure.series.push_back(std::move(series));
  }
  figure.caption = absl::StrCat("n = ", points, " counted models, on the frozen evaluation set of the study.");
  return figure;
}

std::optional<Table> BaselinesTable(const ReportContext& context) {
  if (context.baselines.empty()) return std::nullopt;
  Table table{.name = "t11_baselines", .number = "T11", .title = "Counted models"};
  table.columns = {{"model", "model", false}, {"tokens", "tokens counted"}, {"loss_nats", "loss [nats/token]"},
                   {"loss_se", "standard error"}, {"perplexity", "perplexity"}, {"bits_per_byte", "bits/byte"}};
  for (const ReportBaseline& baseline : context.baselines) {
    table.rows.push_back({TextCell(NameOf(baseline)), NumberCell(baseline.tokens, FormatTokens), NumberCell(baseline.loss_nats, FormatLoss),
                          NumberCell(baseline.loss_se, FormatLoss), NumberCell(std::exp(baseline.loss_nats), FormatLoss),
                          NumberCell(baseline.bits_per_byte, FormatLoss)});
  }
  table.caption = absl::StrCat("n = ", context.baselines.size(),
                               "; on the frozen evaluation set of the study, standard errors by documents. Never part of a fit.");
  return table;
}

std::optional<Table> FamiliesTable(const AnalysisResult& result, const ReportContext& context) {
  if (context.families.empty()) return std::nullopt;
  Table table{.name = "t12_families", .number = "T12", .title = "A law for each family"};
  table.columns = {{"family", "family", false}, {"n", "n"}, {"E", "E"}, {"alpha", "alpha"}, {"beta", "beta"}, {"a", "a"}, {"least_loss", "least loss"}};
  table.rows.push_back(LawCells(result, OwnName(context)));
  for (const ReportFamily& family : context.families) table.rows.push_back(LawCells(family.analysis, NameOf(family, context)));
  table.caption = absl::StrCat("n as given; ", FitWords(result), ". N* grows as C^a; intervals ",
                               absl::StrFormat("%g %%", MainLevel(result)), ".");
  return table;
}

std::optional<Table> MultipliersTable(const ReportContext& context) {
  Table table{.name = "t13_multipliers", .number = "T13", .title = "How much more compute for the same loss"};
  table.columns = {{"family", "family", false}, {"loss", "loss"}, {"flops", "C of this study"}, {"flops_other", "C of the family"},
                   {"multiplier", "C of the family / C of this study"}};
  for (const ReportFamily& family : context.families) {
    for (const MultiplierRow& row : family.comparison.multipliers) {
      const double level = family.comparison.E_first.intervals.empty() ? 95 : family.comparison.E_first.intervals.back().level;
      const Estimate* k = EstimateIn(row.multiplier);
      Cell cell = MissingCell();
      if (k != nullptr) {
        // k is C_1/C_2; the table tells the family's share of this study's.
        const Interval* interval = k->At(level);
        cell = {FormatFactor(1 / k->value), ExactText(1 / k->value)};
        if (interval != nullptr) absl::StrAppend(&cell.text, " [", FormatFactor(1 / interval->hi), ", ", FormatFactor(1 / interval->lo), "]");
      }
      table.rows.push_back({TextCell(NameOf(family, context)), NumberCell(row.loss, FormatLoss), QuantityCell(row.flops_first, level, FormatFlops),
                            QuantityCell(row.flops_second, level, FormatFlops), cell});
    }
  }
  if (table.rows.empty()) return std::nullopt;
  table.caption = absl::StrCat("Each at its own optimum on the laws of `isoflop compare`; n = ", context.families.size(),
                               context.families.size() == 1 ? " family" : " families", ".");
  return table;
}

std::vector<std::string> FamilySentences(const AnalysisResult& result, const ReportContext& context) {
  std::vector<std::string> sentences;
  for (const ReportFamily& family : context.families) {
    const StudyComparison& comparison = family.comparison;
    const std::string name = NameOf(family, context), own = OwnName(context);
    if (comparison.refusal.has_value()) {
      sentences.push_back(absl::StrCat(name, ": no multiplier, ", ToString(comparison.refusal->code), ": ", comparison.refusal->message,
                                       comparison.refusal->cure.empty() ? "" : absl::StrCat(". Cure: ", comparison.refusal->cure)));
      continue;
    }
    for (const MultiplierRow& row : comparison.multipliers) {
      const Estimate* k = EstimateIn(row.multiplier);
      if (k == nullptr) continue;
      const double level = k->intervals.empty() ? 95 : k->intervals.back().level;
      sentences.push_back(absl::StrCat("At loss ", FormatSignificant(row.loss, 3), " ", k->value >= 1 ? own : name, " needs ", NeedsMore(*k, level),
                                       " the compute of ", k->value >= 1 ? name : own, "."));
    }
    for (const Warning& warning : comparison.warnings) sentences.push_back(absl::StrCat(name, ": ", ToString(warning.code), ", ", warning.message, "."));
  }
  if (!context.baselines.empty() && !result.rows.empty()) {
    const auto best = std::min_element(context.baselines.begin(), context.baselines.end(),
                                       [](const ReportBaseline& a, const ReportBaseline& b) { return a.loss_nats < b.loss_nats; });
    const std::optional<double> loss = LossOf(*best, result);
    if (loss.has_value()) {
      size_t below = 0;
      for (const KeptRow& row : result.rows) below += row.loss < *loss ? 1 : 0;
      sentences.push_back(absl::StrCat("The best counted model (", NameOf(*best), ") reaches ", FormatLoss(*loss), "; ", below, " of the ",
                                       result.rows.size(), " observations are below it."));
    }
  }
  return sentences;
}

}  // namespace isoflop
