#include "store/query.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "store/database.h"
#include "store/query_value.h"
#include "store/sqlite_status.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr int kInstructionsBetweenChecks = 20'000;

int Authorize(void* denied, int action, const char* first, const char* second, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      if (second != nullptr && std::string_view(second) == "load_extension") break;
      return SQLITE_OK;
    case SQLITE_PRAGMA:
      if (first != nullptr && (std::string_view(first) == "table_info" || std::string_view(first) == "table_xinfo")) {
        return SQLITE_OK;
      }
      break;
    default:
      break;
  }
  *static_cast<bool*>(denied) = true;
  return SQLITE_DENY;
}

}  // namespace

absl::Status RunQuery(const std::string& db_path, const std::string& sql, absl::Duration limit,
                      const std::function<void(const QueryHead&)>& head,
                      const std::function<bool(std::vector<QueryValue>)>& row) {
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<SQLite::Database> db, OpenForReading(db_path));
  bool denied = false;
  const absl::Time deadline = absl::Now() + limit;
  sqlite3* const handle = db->getHandle();
  sqlite3_set_authorizer(handle, &Authorize, &denied);
  sqlite3_progress_handler(
      handle, kInstructionsBetweenChecks,
      [](void* end) { return absl::Now() > *static_cast<const absl::Time*>(end) ? 1 : 0; },
      const_cast<absl::Time*>(&deadline));

  // SQLite prepares one statement and says where it ended.
  sqlite3_stmt* prepared = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v2(handle, sql.data(), static_cast<int>(sql.size()), &prepared, &rest);
  const std::string tail(absl::StripAsciiWhitespace(absl::string_view(rest == nullptr ? "" : rest)));
  const std::string why = sqlite3_errmsg(handle);
  QueryHead names;
  const bool is_statement = prepared != nullptr;
  for (int i = 0; i < sqlite3_column_count(prepared); ++i) {
    names.names.emplace_back(sqlite3_column_name(prepared, i));
    const char* type = sqlite3_column_decltype(prepared, i);
    names.types.emplace_back(type == nullptr ? "" : type);
  }
  sqlite3_finalize(prepared);
  if (denied) {
    return absl::InvalidArgumentError(
        absl::StrCat("query: only SELECT is allowed (", why, ")\ncure: isoflop query --schema shows what can be read; "
                     "`isoflop export --format sqlite -o copy.db` gives a copy to change"));
  }
  if (code != SQLITE_OK) {
    return absl::InvalidArgumentError(absl::StrCat("query: ", why, "\ncure: isoflop query --schema shows tables and columns"));
  }
  if (!is_statement) return absl::InvalidArgumentError("query: there is no statement in it\ncure: SELECT * FROM observation");
  if (!tail.empty()) {
    return absl::InvalidArgumentError("query: more than one statement\ncure: one SELECT at a time, WITH ... for parts of it");
  }

  absl::Status status = CatchSqlite("query", [&] {
    SQLite::Statement select(*db, sql);
    head(names);
    while (select.executeStep()) {
      if (!row(RowValues(select))) break;
    }
  });
  if (absl::IsDeadlineExceeded(status)) {
    return absl::DeadlineExceededError(absl::StrCat("query: stopped after ", absl::FormatDuration(limit),
                                                    "\ncure: narrow it by WHERE study = ..., or query a copy"));
  }
  return status;
}

}  // namespace isoflop
