// isoflop query: read-only SQL on everything that is stored.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/query_rows.h"
#include "tools/isoflop/row_table.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

struct QueryFlags {
  std::string sql;
  std::string output = "table";
  int64_t limit = 1000;
  bool schema = false;
};

std::string Dump(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<int> ShowSchema(const Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<SchemaTable> schema, StoreSchema(context));
  if (context.flags.json) {
    Json tables = Json::array();
    for (const SchemaTable& table : schema) {
      Json columns = Json::array();
      for (size_t i = 0; i < table.columns.size(); ++i) {
        columns.push_back({{"name", table.columns[i]}, {"type", table.types[i]}});
      }
      tables.push_back({{"name", table.name}, {"is_view", table.is_view}, {"columns", columns}});
    }
    std::printf("%s\n", Dump({{"schema", "isoflop.query_schema/1"}, {"tables", tables}}).c_str());
    return kExitOk;
  }
  for (const SchemaTable& table : schema) {
    std::printf("%s (%s)\n", Bold(table.name).c_str(), table.is_view ? "view" : "table");
    std::string line;
    for (size_t i = 0; i < table.columns.size(); ++i) {
      std::string column = table.columns[i];
      if (!table.types[i].empty()) absl::StrAppend(&column, " ", table.types[i]);
      if (i + 1 < table.columns.size()) column += ",";
      if (!line.empty() && line.size() + column.size() + 3 > 100) {
        std::printf("  %s\n", line.c_str());
        line.clear();
      }
      absl::StrAppend(&line, line.empty() ? "" : " ", column);
    }
    std::printf("  %s\n", line.c_str());
  }
  return kExitOk;
}

absl::StatusOr<int> RunQueryCommand(const QueryFlags& flags, const Context& context) {
  if (flags.schema) return ShowSchema(context);
  if (flags.sql.empty()) {
    return absl::InvalidArgumentError(
        "query: no SQL\ncure: isoflop query 'SELECT * FROM observation', or --schema to see what there is");
  }
  if (flags.limit < 0) return absl::InvalidArgumentError("--limit: must be 0 (all) or more\ncure: --limit 1000");
  ISOFLOP_ASSIGN_OR_RETURN(const RowTable table, QueryRows(context, flags.sql, flags.limit));
  if (context.flags.json) {
    Json columns = Json::array();
    for (size_t i = 0; i < table.head.names.size(); ++i) {
      columns.push_back({{"name", table.head.names[i]}, {"type", table.head.types[i]}});
    }
    Json rows = Json::array();
    for (const std::vector<QueryValue>& row : table.rows) {
      Json cells = Json::array();
      for (const QueryValue& value : row) cells.push_back(ValueAsJson(value));
      rows.push_back(std::move(cells));
    }
    std::printf("%s\n", Dump({{"schema", "isoflop.query/1"},
                              {"columns", std::move(columns)},
                              {"rows", std::move(rows)},
                              {"truncated", table.has_more}})
                            .c_str());
    return kExitOk;
  }
  const std::string text = RenderRows(table, flags.output);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (table.has_more && !context.flags.quiet) {
    std::fflush(stdout);
    const int64_t shown = static_cast<int64_t>(table.rows.size());
    std::fprintf(stderr, "%s\n",
                 table.rows_total > shown
                     ? absl::StrCat(shown, " of ", table.rows_total, ", --limit 0 for all").c_str()
                     : absl::StrCat(shown, " rows and there are more, --limit 0 for all").c_str());
  }
  return kExitOk;
}

}  // namespace

CommandBody AddQueryCommand(CLI::App& app) {
  auto flags = std::make_shared<QueryFlags>();
  app.add_option("sql", flags->sql, "one SELECT")->type_name("SQL");
  app.add_option("-o,--output", flags->output, "table, csv, json (an array of objects) or markdown")
      ->type_name("table|csv|json|markdown")->check(CLI::IsMember({"table", "csv", "json", "markdown"}));
  app.add_option("--limit", flags->limit, "rows at most; 0: all")->type_name("N")->capture_default_str();
  app.add_flag("--schema", flags->schema, "the views and tables with their columns (docs/store.md tells the units)");
  return [flags](Context& context) { return RunQueryCommand(*flags, context); };
}

}  // namespace isoflop
