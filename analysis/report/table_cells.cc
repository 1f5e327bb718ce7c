#include "analysis/report/table_cells.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {

Cell TextCell(const std::string& text) { return {text, text}; }

Cell WholeCell(int64_t value) { return value == 0 ? MissingCell() : Cell{WithThousands(value), absl::StrCat(value)}; }

Cell MissingCell() { return {"–", ""}; }

Cell NumberCell(double value, NumberFormat format) { return {format(value), ExactText(value)}; }

Cell NumberCell(const std::optional<double>& value, NumberFormat format) {
  return value.has_value() ? NumberCell(*value, format) : MissingCell();
}

Cell SignedCell(double value, int decimals) {
  std::string text = absl::StrFormat("%+.*f", decimals, value);
  if (text.find_first_of("123456789") == std::string::npos) text.erase(0, 1);  // neither +0.00 nor -0.00
  return {std::move(text), ExactText(value)};
}

Cell PercentCell(double fraction, int digits) { return {FormatSignificant(100 * fraction, digits), ExactText(100 * fraction)}; }

Cell EstimateCell(const Estimate& estimate, double level, NumberFormat format) {
  return {WithInterval(estimate, level, format), ExactText(estimate.value)};
}

Cell EstimateCell(const std::optional<Estimate>& estimate, double level, NumberFormat format) {
  return estimate.has_value() ? EstimateCell(*estimate, level, format) : MissingCell();
}

Cell QuantityCell(const Quantity& quantity, double level, NumberFormat format) {
  if (const Estimate* estimate = EstimateIn(quantity)) return EstimateCell(*estimate, level, format);
  return {ToString(std::get<Refusal>(quantity).code), ""};
}

std::string WithThousands(int64_t value) {
  std::string text = absl::StrCat(value);
  const int64_t first = value < 0 ? 1 : 0;
  for (int64_t at = static_cast<int64_t>(text.size()) - 3; at > first; at -= 3) text.insert(static_cast<size_t>(at), 1, ',');
  return text;
}

void DropColumn(Table* table, const std::string& key) {
  for (size_t c = 0; c < table->columns.size(); ++c) {
    if (table->columns[c].key != key) continue;
    table->columns.erase(table->columns.begin() + static_cast<std::ptrdiff_t>(c));
    for (std::vector<Cell>& row : table->rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(c));
    return;
  }
}

}  // namespace isoflop
