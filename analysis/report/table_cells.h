// How numbers become cells of a table. Internal to analysis/report.
#ifndef ISOFLOP_ANALYSIS_REPORT_TABLE_CELLS_H_
#define ISOFLOP_ANALYSIS_REPORT_TABLE_CELLS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "analysis/analysis_result.h"
#include "analysis/report/report.h"

namespace isoflop {

using NumberFormat = std::string (*)(double);

Cell TextCell(const std::string& text);
Cell WholeCell(int64_t value);  // "–" for 0: not known
Cell MissingCell();            // "–", empty in the CSV
Cell NumberCell(double value, NumberFormat format);
Cell NumberCell(const std::optional<double>& value, NumberFormat format);
Cell SignedCell(double value, int decimals);   // "+0.012"
Cell PercentCell(double fraction, int digits);  // CSV holds percent too: the column's key says so
// The value with its interval; CSV holds the value (intervals stand in the JSON).
Cell EstimateCell(const Estimate& estimate, double level, NumberFormat format);
Cell EstimateCell(const std::optional<Estimate>& estimate, double level, NumberFormat format);
// A refusal shows its code.
Cell QuantityCell(const Quantity& quantity, double level, NumberFormat format);

std::string WithThousands(int64_t value);  // "1,234,567"
void DropColumn(Table* table, const std::string& key);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_TABLE_CELLS_H_
