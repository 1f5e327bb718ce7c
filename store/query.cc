#include "store/query.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "store/database.h"
#include "store/query_value.h"
#include "store/sqlite_status.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr int kInstructionsBetweenChecks = 20'000;
// One text or blob, so that a query does not fill the memory.
constexpr int kMaxValueBytes = 64 << 20;

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
      if (first != nullptr && std::string_view(first) == "table_info") return SQLITE_OK;
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

  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kMaxValueBytes);

  // SQLite prepares one statement and says where it ended.
  const auto prepare = [handle](const char* text, const char** rest, bool* is_blank, bool* only_reads,
                                QueryHead* names) {
    sqlite3_stmt* prepared = nullptr;
    const int code = sqlite3_prepare_v2(handle, text, -1, &prepared, rest);
    for (int i = 0; i < sqlite3_column_count(prepared); ++i) {
      const char* type = sqlite3_column_decltype(prepared, i);
      names->names.emplace_back(sqlite3_column_name(prepared, i));
      names->types.emplace_back(type == nullptr ? "" : type);
    }
    *is_blank = prepared == nullptr;
    // VACUUM asks no authorizer.
    *only_reads = prepared == nullptr || sqlite3_stmt_readonly(prepared) != 0;
    sqlite3_finalize(prepared);
    return code;
  };
  const char* rest = nullptr;
  bool is_blank = false, only_reads = true;
  QueryHead names, none;
  const int code = prepare(sql.c_str(), &rest, &is_blank, &only_reads, &names);
  const std::string why = sqlite3_errmsg(handle);
  if (denied || !only_reads) {
    return absl::InvalidArgumentError(
        absl::StrCat("query: only SELECT is allowed", denied ? absl::StrCat(" (", why, ")") : "",
                     "\ncure: isoflop query --schema shows what can be read; "
                     "`isoflop export --format sqlite -o copy.db` gives a copy to change"));
  }
  if (code != SQLITE_OK) {
    return absl::InvalidArgumentError(absl::StrCat("query: ", why, "\ncure: isoflop query --schema shows tables and columns"));
  }
  if (is_blank) return absl::InvalidArgumentError("query: there is no statement in it\ncure: SELECT * FROM observation");
  bool rest_is_blank = true;
  if (rest != nullptr && (prepare(rest, &rest, &rest_is_blank, &only_reads, &none) != SQLITE_OK || !rest_is_blank)) {
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
