// What a person's SQL may do, and what it may not.
#include "store/query.h"

#include <fstream>

#include "gmock/gmock.h"
#include "tests/store/store_fixture.h"

namespace isoflop {
namespace {

using testing::HasSubstr;

class QueryTest : public StoreTest {
 protected:
  // Rows as texts, or the error.
  absl::StatusOr<std::vector<std::string>> Run(const std::string& sql, absl::Duration limit = absl::Seconds(30),
                                               size_t rows_wanted = 1000) {
    std::vector<std::string> rows;
    const absl::Status status = RunQuery(
        db(), sql, limit, [this](const QueryHead& head) { head_ = head; },
        [&](std::vector<QueryValue> row) {
          std::string line;
          for (const QueryValue& value : row) {
            if (const auto* n = std::get_if<int64_t>(&value.value)) absl::StrAppend(&line, "i", *n, " ");
            if (const auto* x = std::get_if<double>(&value.value)) absl::StrAppend(&line, "r", *x, " ");
            if (const auto* t = std::get_if<std::string>(&value.value)) {
              absl::StrAppend(&line, value.is_blob ? "b" : "t", t->size(), " ");
            }
            if (std::holds_alternative<std::monostate>(value.value)) line += "null ";
          }
          rows.push_back(line);
          return rows.size() < rows_wanted;
        });
    if (!status.ok()) return status;
    return rows;
  }
  QueryHead head_;
};

TEST_F(QueryTest, GivesValuesOfAllTypes) {
  const auto rows = Run("SELECT 1 AS a, 2.5 AS b, 'text' AS c, x'0001' AS d, NULL AS e, id FROM study UNION ALL SELECT 7, 8, 9, 10, 11, 12");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows, testing::ElementsAre("i7 i8 i9 i10 i11 i12 "));
  EXPECT_THAT(*Run("SELECT 1, 2.5, 'text', x'0001', NULL"), testing::ElementsAre("i1 r2.5 t4 b2 null "));
  ASSERT_TRUE(Run("SELECT id AS a, name, 1 + 1 FROM study").ok());
  EXPECT_THAT(head_.names, testing::ElementsAre("a", "name", "1 + 1"));
  EXPECT_THAT(head_.types, testing::ElementsAre("INTEGER", "TEXT", ""));
}

TEST_F(QueryTest, AllowsWhatReads) {
  PutStudy();
  for (const char* sql :
       {"SELECT * FROM observation", "SELECT * FROM curve", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT sum(i) FROM n",
        "PRAGMA table_info(trial)", "SELECT name FROM sqlite_master", "SELECT spec ->> '$.model' FROM trial", "VALUES (1)",
        "EXPLAIN QUERY PLAN SELECT * FROM curve", "SELECT avg(seed) FROM trial;", "SELECT 1 -- a remark"}) {
    const auto rows = Run(sql);
    EXPECT_TRUE(rows.ok()) << sql << ": " << rows.status();
  }
}

TEST_F(QueryTest, RefusesEverythingElse) {
  PutStudy();
  const std::string other = folder_.File("other.db");
  for (const std::string& sql :
       {std::string("DELETE FROM study"), std::string("UPDATE study SET name = 'x'"), std::string("DROP TABLE loss_point"),
        std::string("INSERT INTO meta (key, value) VALUES ('a', 'b')"), std::string("CREATE TABLE x (a)"),
        std::string("CREATE TEMP TABLE x AS SELECT 1"), absl::StrCat("ATTACH '", other, "' AS o"),
        absl::StrCat("VACUUM INTO '", other, "'"), std::string("VACUUM"), std::string("PRAGMA user_version = 9"),
        std::string("PRAGMA user_version"), std::string("PRAGMA journal_mode = DELETE"), std::string("PRAGMA writable_schema = ON"),
        std::string("SELECT load_extension('/tmp/x.so')"), std::string("BEGIN"), std::string("REINDEX"), std::string("ANALYZE"),
        std::string("WITH x AS (SELECT 1) DELETE FROM study"), std::string("SELECT 1; DELETE FROM study"), std::string("SELECT 1; SELECT 2"),
        std::string(""), std::string("   -- nothing"), std::string("SELEKT 1"), std::string("SELECT los_nats FROM curve"),
        std::string("SELECT * FROM observations")}) {
    const auto rows = Run(sql);
    EXPECT_EQ(rows.status().code(), absl::StatusCode::kInvalidArgument) << sql << ": " << rows.status();
    EXPECT_THAT(std::string(rows.status().message()), HasSubstr("\ncure: ")) << sql;
  }
  EXPECT_FALSE(std::filesystem::exists(other));
  EXPECT_THAT(*Run("SELECT count(*), min(name) FROM study"), testing::ElementsAre("i1 t6 "));
}

TEST_F(QueryTest, StopsAfterItsTime) {
  const absl::Status status =
      Run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", absl::Milliseconds(50))
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("cure: "));
}

TEST_F(QueryTest, HasNoRoomForAValueThatFillsTheMemory) {
  const absl::Status status = Run("SELECT length(zeroblob(1000000000))").status();
  EXPECT_FALSE(status.ok());
}

TEST_F(QueryTest, ARowThatSaysStopIsTheLast) {
  EXPECT_EQ(Run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", absl::Seconds(30), 3)->size(), 3u);
}

}  // namespace
}  // namespace isoflop
