// Old and newer databases, and the public views.
#include "store/schema.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <fstream>
#include <set>
#include <sstream>

#include "gmock/gmock.h"
#include "store/export_rows.h"
#include "store/query.h"
#include "tests/store/store_fixture.h"

namespace isoflop {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void MakeStored(const std::string& sql_file, const std::string& db) {
  SQLite::Database(db, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE)
      .exec(ReadFile(absl::StrCat(ISOFLOP_SOURCE_DIR, "/tests/store/data/", sql_file)));
}

int UserVersion(const std::string& db) { return SQLite::Database(db).execAndGet("PRAGMA user_version").getInt(); }

std::vector<std::string> Columns(const std::string& db, const std::string& view) {
  std::vector<std::string> names;
  EXPECT_TRUE(RunQuery(db, absl::StrCat("PRAGMA table_info(", view, ")"), absl::Seconds(10), [](const QueryHead&) {},
                       [&names](std::vector<QueryValue> row) {
                         names.push_back(std::get<std::string>(row[1].value));
                         return true;
                       }).ok());
  return names;
}

// "name value" of each column of the first row that `sql` gives.
std::string FirstRow(const std::string& db, const std::string& sql) {
  std::string out;
  QueryHead head;
  EXPECT_TRUE(RunQuery(db, sql, absl::Seconds(10), [&head](const QueryHead& names) { head = names; },
                       [&](std::vector<QueryValue> row) {
                         for (size_t i = 0; i < row.size(); ++i) {
                           absl::StrAppend(&out, head.names[i], " ");
                           if (const auto* n = std::get_if<int64_t>(&row[i].value)) absl::StrAppend(&out, *n);
                           if (const auto* x = std::get_if<double>(&row[i].value)) absl::StrAppend(&out, *x, "r");
                           if (const auto* t = std::get_if<std::string>(&row[i].value)) absl::StrAppend(&out, *t);
                           out += "\n";
                         }
                         return false;
                       }).ok());
  return out;
}

TEST(SchemaTest, AStoredVersion1BecomesTodaysWithACopyBeside) {
  const TemporaryFolder folder;
  const std::string db = folder.File("isoflop.db");
  MakeStored("stored_v1.sql", db);
  const absl::Status reader = ResultStore::Open(db).status();
  EXPECT_EQ(reader.code(), absl::StatusCode::kFailedPrecondition) << "a reader cannot migrate";
  EXPECT_THAT(std::string(reader.message()), HasSubstr("cure: isoflop doctor --migrate"));
  {
    const absl::StatusOr<std::unique_ptr<StoreWriter>> writer = StoreWriter::Open(db);
    ASSERT_TRUE(writer.ok()) << writer.status();
    EXPECT_EQ((*writer)->store_id(), "00112233445566778899aabbccddeeff");
    EXPECT_EQ((*writer)->epoch(), 42);
  }
  EXPECT_EQ(UserVersion(db), kSchemaVersion);
  EXPECT_EQ(UserVersion(db + ".v1"), 1) << "the copy of before";

  absl::StatusOr<std::unique_ptr<ResultStore>> store = ResultStore::Open(db);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto novels = (*store)->LoadObservations(StudyId(1), {.with_curves = true});
  ASSERT_TRUE(novels.ok()) << novels.status();
  ASSERT_EQ(novels->size(), 1u);
  EXPECT_EQ((*novels)[0].final_loss_nats, 3.5);
  EXPECT_THAT((*novels)[0].curve, ElementsAre(MakePoint(50, 4.5), MakePoint(100, 3.5, LossKind::kEval)));
  const auto imported = (*store)->LoadObservations(StudyId(2));
  ASSERT_TRUE(imported.ok()) << imported.status();
  ASSERT_EQ(imported->size(), 1u);
  EXPECT_EQ((*imported)[0].params_blocks, 7e7);
  EXPECT_EQ((*imported)[0].params_embedding, std::nullopt);
  EXPECT_EQ((*imported)[0].tokens_trained, 1400000000.5);
  EXPECT_TRUE((*imported)[0].tokens_derived);
  EXPECT_EQ((*imported)[0].flops_given, 5.88e17);
  EXPECT_EQ((*imported)[0].budget_flops, std::nullopt);
  EXPECT_EQ((*store)->FindNextIds()->lease, LeaseId(8));
}

// Version 3 makes the trial table anew, with rows that others refer to.
TEST(SchemaTest, AMigratedStoreKeepsEveryReferenceAndEnforcesThem) {
  const TemporaryFolder folder;
  const std::string db = folder.File("isoflop.db");
  MakeStored("stored_v1.sql", db);
  ASSERT_TRUE(StoreWriter::Open(db).ok());
  SQLite::Database connection(db, SQLite::OPEN_READWRITE);
  EXPECT_FALSE(SQLite::Statement(connection, "PRAGMA foreign_key_check").executeStep());
  connection.exec("PRAGMA foreign_keys = ON");
  EXPECT_THROW(connection.exec("INSERT INTO lease (trial_id, attempt, worker, host, start_step, granted_at) VALUES (999, 1, '', '', 0, '')"),
               SQLite::Exception);
  EXPECT_THROW(connection.exec("UPDATE trial SET role = 'rival'"), SQLite::Exception);
  connection.exec("UPDATE trial SET role = 'baseline' WHERE id = 1");
}

TEST(SchemaTest, AMigratedStoreHasTheSchemaOfANewOne) {
  const TemporaryFolder folder;
  const std::string old_db = folder.File("old.db"), new_db = folder.File("new.db");
  MakeStored("stored_v1.sql", old_db);
  ASSERT_TRUE(StoreWriter::Open(old_db).ok());
  ASSERT_TRUE(StoreWriter::Open(new_db).ok());
  const auto names = [](const std::string& db) {
    std::multiset<std::string> out;
    SQLite::Database connection(db);
    SQLite::Statement select(connection,
                             "SELECT m.type, m.name, p.name, p.type, p.\"notnull\" FROM sqlite_master AS m"
                             " LEFT JOIN pragma_table_info(m.name) AS p WHERE m.name NOT LIKE 'sqlite_%'");
    while (select.executeStep()) {
      std::string line;
      for (int i = 0; i < 5; ++i) absl::StrAppend(&line, select.getColumn(i).getString(), " ");
      out.insert(line);
    }
    return out;
  };
  EXPECT_EQ(names(old_db), names(new_db));
  EXPECT_GT(names(new_db).size(), 150u);
}

TEST(SchemaTest, ANewerSchemaIsRefusedByWriterAndReader) {
  const TemporaryFolder folder;
  const std::string db = folder.File("isoflop.db");
  ASSERT_TRUE(StoreWriter::Open(db).ok());
  SQLite::Database(db, SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99");
  const std::string before = ReadFile(db);
  for (const absl::Status& status : {StoreWriter::Open(db).status(), ResultStore::Open(db).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("schema version 99, this program knows up to"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("cure: "));
  }
  EXPECT_EQ(UserVersion(db), 99) << "left alone";
}

TEST(SchemaTest, TablesAreStrictAndHaveNoDefaults) {
  const TemporaryFolder folder;
  const std::string db = folder.File("isoflop.db");
  ASSERT_TRUE(StoreWriter::Open(db).ok());
  SQLite::Database connection(db);
  SQLite::Statement tables(connection, "SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND schema = 'main'"
                                       " AND name NOT LIKE 'sqlite_%'");
  int count = 0;
  while (tables.executeStep()) {
    ++count;
    EXPECT_EQ(tables.getColumn(1).getInt(), 1) << tables.getColumn(0).getString();
    SQLite::Statement defaults(connection, "SELECT count(dflt_value) FROM pragma_table_info(?)");
    defaults.bind(1, tables.getColumn(0).getString());
    ASSERT_TRUE(defaults.executeStep());
    EXPECT_EQ(defaults.getColumn(0).getInt(), 0) << tables.getColumn(0).getString();
  }
  EXPECT_GE(count, 11);
}

using PublicViewsTest = StoreTest;

TEST_F(PublicViewsTest, AnObservationShowsEverythingOfATrial) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  PutTrial(TrialId(2), MakePlanned(2));  // not finished: no observation
  Complete(TrialId(1), LeaseId(1), 3.5);
  EXPECT_EQ(FirstRow(db(), "SELECT * FROM observation"), R"(study novels
trial_id 1
role single
fingerprint a6ccbd02689d12ada8a05f3e77896bb123728b50fc8520119ea246a0c077374f
parent_trial_id 
branch_step 
state completed
outcome completed
outcome_detail 
seed 1
family transformer
n_layer 2
d_model 32
n_head 2
d_ff 128
sequence_length 64
vocab_size 256
params_embedding 8192
params_position 0
params_head 8192
params_blocks 24736
params_total 41120
params_non_embedding 24736
params_non_embedding_plus_head 32928
params_unnamed 
tokens_planned 25600
tokens_trained 25600
unique_tokens 1000000
epochs 0.0256r
tokens_per_parameter 0.777454r
budget_flops 1e+09r
flops_6nd 6e+09r
flops_exact 7e+09r
flops_exact_causal 6.5e+09r
flops_given 
batch_tokens 256
steps 100
lr_peak 0.01r
schedule wsd
warmup_steps 5
decay_steps 20
decay_shape linear
final_fraction 0
weight_decay 0.1r
beta1 0.9r
beta2 0.95r
eps 1e-08r
clip_norm 1
precision fp32
final_loss_nats 3.5r
final_loss_se 0.01r
bits_per_byte 5.04943r
eval_tokens 4096
eval_bytes 4096
train_loss_nats 3.4r
attempts_used 1
wall_seconds 12.5r
slot_seconds 25r
tokens_per_second 2048r
mfu 0.25r
peak_memory_bytes 123456789
worker w1
device cpu
slots 2
code_version isoflop-trainer 0.1.0+gabc
dataset_sha256 d
tokenizer_sha256 t
eval_sha256 e
started_at 2023-11-14T22:13:30.000Z
finished_at 2023-11-14T22:14:00.000Z
source 
)");
  EXPECT_EQ(FirstRow(db(), "SELECT count(*) AS n FROM observation"), "n 1\n");
}

TEST_F(PublicViewsTest, ATrunkIsNoObservation) {
  PutStudy();
  PutTrial(TrialId(1), MakeTrunk(1));
  Complete(TrialId(1), LeaseId(1), 3.5);
  EXPECT_EQ(FirstRow(db(), "SELECT count(*) AS n FROM observation"), "n 0\n");
  EXPECT_EQ(FirstRow(db(), "SELECT state FROM trial_detail"), "state completed\n");
}

TEST_F(PublicViewsTest, ATiedHeadStillMultiplies) {
  PutStudy();
  PlannedTrial planned = MakePlanned(1);
  planned.spec.model.tied_head = true;
  planned.text = TrialText(planned.spec);
  planned.params = CountParams(planned.spec.model, planned.spec.sequence_length);
  ASSERT_EQ(planned.params.head, 0);
  PutTrial(TrialId(1), planned);
  Complete(TrialId(1), LeaseId(1), 3.5);
  EXPECT_EQ(FirstRow(db(), "SELECT params_non_embedding_plus_head FROM observation"),
            absl::StrCat("params_non_embedding_plus_head ",
                         ParamsUnder(CountConvention::kNonEmbeddingPlusHead, planned.params, planned.spec.model), "\n"));
}

TEST_F(PublicViewsTest, ACurvePointHasItsFlops) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  Lease(TrialId(1), LeaseId(3));
  Append(TrialId(1), LeaseId(3), 1, {MakePoint(50, 4.5)});
  EXPECT_EQ(FirstRow(db(), "SELECT * FROM curve"), R"(study novels
trial_id 1
attempt 1
lease_id 3
seq 1
step 50
tokens 12800
flops 3.5e+09r
kind train
loss_nats 4.5r
lr 0.01r
grad_norm 1.5r
tokens_per_second 2000r
eval_tokens 
)");
}

TEST_F(PublicViewsTest, EveryColumnIsDocumentedWithItsUnit) {
  const std::string doc = ReadFile(absl::StrCat(ISOFLOP_SOURCE_DIR, "/docs/store.md"));
  for (const char* view : {"observation", "curve"}) {
    const size_t begin = doc.find(absl::StrCat("## View `", view, "`"));
    ASSERT_NE(begin, std::string::npos) << view;
    const std::string section = doc.substr(begin, doc.find("\n## ", begin + 1) - begin);
    const std::vector<std::string> columns = Columns(db(), view);
    for (const std::string& column : columns) {
      EXPECT_THAT(section, HasSubstr(absl::StrCat("\n| `", column, "` | "))) << view;
    }
    // And no column that is not there.
    size_t rows = 0;
    for (size_t at = section.find("\n| `"); at != std::string::npos; at = section.find("\n| `", at + 1)) ++rows;
    EXPECT_EQ(rows, columns.size()) << view;
  }
}

TEST_F(PublicViewsTest, TheViewsHaveEveryColumnOfTheExports) {
  const std::vector<std::string> observation = Columns(db(), "observation");
  for (const std::string& column : TrialExportColumns()) EXPECT_THAT(observation, Contains(column));
  const std::vector<std::string> curve = Columns(db(), "curve");
  for (const std::string& column : CurveExportColumns()) EXPECT_THAT(curve, Contains(column));
}

TEST_F(PublicViewsTest, ExportsGoByStudyAndInOrder) {
  PutStudy();
  PutStudy(StudyId(2), "other");
  PutTrial(TrialId(1), MakePlanned(1));
  PutTrial(TrialId(2), MakePlanned(2), std::nullopt, StudyId(2));
  PutTrial(TrialId(3), MakePlanned(3));
  Lease(TrialId(3), LeaseId(1));
  Append(TrialId(3), LeaseId(1), 1, {MakePoint(10, 5), MakePoint(20, 4)});
  std::vector<int64_t> trials, steps;
  ASSERT_TRUE(ExportTrials(db(), StudyId(1), [&](const std::vector<QueryValue>& row) {
                EXPECT_EQ(row.size(), TrialExportColumns().size());
                trials.push_back(std::get<int64_t>(row[1].value));
                return absl::OkStatus();
              }).ok());
  EXPECT_THAT(trials, ElementsAre(1, 3)) << "unfinished ones too";
  ASSERT_TRUE(ExportCurves(db(), StudyId(1), [&](const std::vector<QueryValue>& row) {
                steps.push_back(std::get<int64_t>(row[2].value));
                return absl::OkStatus();
              }).ok());
  EXPECT_THAT(steps, ElementsAre(10, 20));
  const absl::Status refused = ExportTrials(db(), StudyId(1), [](const std::vector<QueryValue>&) {
    return absl::ResourceExhaustedError("full");
  });
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(PublicViewsTest, ACopyIsWholeWhileTheWriterGoesOn) {
  PutStudy();
  const std::string copy = folder_.File("copy.db");
  ASSERT_TRUE(CopyStore(db(), copy).ok()) << CopyStore(db(), copy);
  PutStudy(StudyId(2), "later");
  EXPECT_EQ(FirstRow(copy, "SELECT count(*) AS n FROM study"), "n 1\n");
  EXPECT_EQ(CopyStore(db(), copy).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(CopyStore(db(), folder_.File("none/copy.db")).ok());
}

}  // namespace
}  // namespace isoflop
