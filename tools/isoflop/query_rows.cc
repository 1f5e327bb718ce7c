#include "tools/isoflop/query_rows.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "proto/channel.h"
#include "proto/study_admin.grpc.pb.h"
#include "store/query.h"
#include "study/did_you_mean.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr absl::Duration kTimeLimit = absl::Seconds(10);
// With --limit 0 everything is wanted: an export may take its time.
constexpr absl::Duration kTimeLimitForAll = absl::Minutes(10);

QueryValue FromWire(const wire::QueryValue& value) {
  switch (value.value_case()) {
    case wire::QueryValue::kInteger: return {value.integer()};
    case wire::QueryValue::kReal: return {value.real()};
    case wire::QueryValue::kText: return {value.text()};
    case wire::QueryValue::kBlob: return {value.blob(), true};
    default: return {};
  }
}

absl::StatusOr<RowTable> AskCoordinator(const Context& context, const std::string& sql, int64_t limit) {
  const bool is_tcp = !absl::StartsWith(context.environment.server, "unix:") &&
                      !absl::StartsWith(context.environment.server, "/");
  ISOFLOP_ASSIGN_OR_RETURN(
      const std::unique_ptr<CoordinatorChannel> channel,
      CoordinatorChannel::Create(context.environment.server, is_tcp ? context.environment.token_file : ""));
  const std::unique_ptr<wire::StudyAdmin::Stub> stub = wire::StudyAdmin::NewStub(channel->channel());
  grpc::ClientContext call;
  channel->Prepare(call, absl::Seconds(60));
  wire::QueryRequest request;
  request.set_sql(sql);
  request.set_max_rows(limit);
  const auto reader = stub->Query(&call, request);
  RowTable out;
  wire::QueryRows part;
  while (reader->Read(&part)) {
    if (part.column_names_size() > 0) {
      out.head.names.assign(part.column_names().begin(), part.column_names().end());
      out.head.types.assign(part.column_types().begin(), part.column_types().end());
    }
    for (const wire::QueryRow& row : part.rows()) {
      std::vector<QueryValue>& values = out.rows.emplace_back();
      for (const wire::QueryValue& value : row.values()) values.push_back(FromWire(value));
    }
    out.has_more = part.truncated();
  }
  ISOFLOP_RETURN_IF_ERROR(channel->ToStatus(reader->Finish()));
  out.rows_total = static_cast<int64_t>(out.rows.size());
  return out;
}

absl::StatusOr<RowTable> ReadStore(const std::string& db_path, const std::string& sql, int64_t limit) {
  RowTable out;
  ISOFLOP_RETURN_IF_ERROR(RunQuery(
      db_path, sql, limit == 0 ? kTimeLimitForAll : kTimeLimit,
      [&out](const QueryHead& head) { out.head = head; },
      [&out, limit](std::vector<QueryValue> row) {
        ++out.rows_total;
        if (limit == 0 || out.rows_total <= limit) out.rows.push_back(std::move(row));
        return true;
      }));
  out.has_more = out.rows_total > static_cast<int64_t>(out.rows.size());
  return out;
}

absl::StatusOr<RowTable> Ask(const Context& context, const std::string& sql, int64_t limit) {
  if (context.environment.server_is_default || !context.flags.db.empty()) {
    return ReadStore(context.environment.db, sql, limit);
  }
  return AskCoordinator(context, sql, limit);
}

// "no such column: los_nats" becomes a question; the column of another table is
// told from a slip of the pen.
absl::Status WithBetterName(const Context& context, const absl::Status& status) {
  for (const char* sign : {"no such column: ", "no such table: "}) {
    const std::string message(status.message());
    const size_t at = message.find(sign);
    if (at == std::string::npos) continue;
    const size_t begin = at + std::string(sign).size();
    size_t end = message.find_first_of("\n ,)", begin);
    if (end == std::string::npos) end = message.size();
    std::string word = message.substr(begin, end - begin);
    if (const size_t dot = word.rfind('.'); dot != std::string::npos) word = word.substr(dot + 1);
    const absl::StatusOr<std::vector<SchemaTable>> schema = StoreSchema(context);
    if (!schema.ok()) return status;
    std::vector<std::string> names, tables_with_it;
    for (const SchemaTable& table : *schema) {
      if (sign[8] == 't') {
        names.push_back(table.name);
      } else {
        if (absl::c_linear_search(table.columns, word)) tables_with_it.push_back(table.name);
        names.insert(names.end(), table.columns.begin(), table.columns.end());
      }
    }
    const std::string clause = tables_with_it.empty()
                                   ? DidYouMeanClause(word, names)
                                   : absl::StrCat(" there; it is a column of ", absl::StrJoin(tables_with_it, ", "));
    return absl::Status(status.code(), absl::StrCat(message.substr(0, end), clause, message.substr(end)));
  }
  return status;
}

std::string TextOf(const QueryValue& value) {
  const auto* text = std::get_if<std::string>(&value.value);
  return text == nullptr ? "" : *text;
}

}  // namespace

absl::StatusOr<RowTable> QueryRows(const Context& context, const std::string& sql, int64_t limit) {
  absl::StatusOr<RowTable> table = Ask(context, sql, limit);
  if (absl::IsInvalidArgument(table.status())) return WithBetterName(context, table.status());
  return table;
}

absl::StatusOr<std::vector<SchemaTable>> StoreSchema(const Context& context) {
  // PRAGMA as a table would need a privilege that a query does not have.
  static constexpr char kTablesSql[] =
      "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
      " ORDER BY name = 'observation' DESC, name = 'curve' DESC, type = 'table' DESC, name";
  ISOFLOP_ASSIGN_OR_RETURN(const RowTable tables, Ask(context, kTablesSql, 0));
  std::vector<SchemaTable> out;
  for (const std::vector<QueryValue>& row : tables.rows) {
    SchemaTable& table = out.emplace_back();
    table.name = TextOf(row[0]);
    table.is_view = TextOf(row[1]) == "view";
    // cid, name, type, notnull, dflt_value, pk
    ISOFLOP_ASSIGN_OR_RETURN(const RowTable columns,
                             Ask(context, absl::StrCat("PRAGMA table_info(", table.name, ")"), 0));
    for (const std::vector<QueryValue>& column : columns.rows) {
      table.columns.push_back(TextOf(column[1]));
      table.types.push_back(TextOf(column[2]));
    }
  }
  return out;
}

}  // namespace isoflop
