#include "tools/isoflop/row_table.h"

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "study/format.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

// A screen shows a text in one line.
std::string InOneLine(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\r", ""}, {"\n", "\\n"}, {"\t", " "}});
}

}  // namespace

std::string ValueForTable(const QueryValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value.value)) return absl::StrCat(*integer);
  if (const auto* real = std::get_if<double>(&value.value)) return absl::StrFormat("%.6g", *real);
  if (const auto* text = std::get_if<std::string>(&value.value)) {
    return value.is_blob ? absl::StrCat("X'", Hex(*text), "'") : InOneLine(*text);
  }
  return "";
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string CsvField(const QueryValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value.value)) return absl::StrCat(*integer);
  if (const auto* real = std::get_if<double>(&value.value)) return ExactNumber(*real);
  if (const auto* text = std::get_if<std::string>(&value.value)) {
    return value.is_blob ? Hex(*text) : CsvField(*text);
  }
  return "";
}

std::string CsvLine(const std::vector<std::string>& fields) {
  std::string line;
  for (size_t i = 0; i < fields.size(); ++i) absl::StrAppend(&line, i == 0 ? "" : ",", fields[i]);
  return line + "\r\n";
}

nlohmann::json ValueAsJson(const QueryValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value.value)) return *integer;
  if (const auto* real = std::get_if<double>(&value.value)) {
    return std::isfinite(*real) ? nlohmann::json(*real) : nlohmann::json(nullptr);
  }
  if (const auto* text = std::get_if<std::string>(&value.value)) return value.is_blob ? Hex(*text) : *text;
  return nullptr;
}

std::string RenderRows(const RowTable& table, const std::string& format) {
  if (format == "csv") {
    std::vector<std::string> names;
    for (const std::string& name : table.head.names) names.push_back(CsvField(name));
    std::string out = CsvLine(names);
    for (const std::vector<QueryValue>& row : table.rows) {
      std::vector<std::string> fields;
      for (const QueryValue& value : row) fields.push_back(CsvField(value));
      out += CsvLine(fields);
    }
    return out;
  }
  if (format == "json") {
    std::string out = "[";
    for (size_t r = 0; r < table.rows.size(); ++r) {
      nlohmann::ordered_json object = nlohmann::ordered_json::object();
      for (size_t c = 0; c < table.head.names.size(); ++c) {
        object[table.head.names[c]] = ValueAsJson(table.rows[r][c]);
      }
      absl::StrAppend(&out, r == 0 ? "" : ",\n ",
                      object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
    return out + "]\n";
  }
  TextTable text(table.head.names);
  for (const std::vector<QueryValue>& row : table.rows) {
    std::vector<std::string> cells;
    for (const QueryValue& value : row) cells.push_back(ValueForTable(value));
    text.AddRow(std::move(cells));
  }
  return format == "markdown" ? text.ToMarkdown() : text.ToString();
}

}  // namespace isoflop
