#include "store/schema.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "store/sqlite_status.h"
#include "store/views.h"

namespace isoflop {
namespace {

// Tables only: the views are made anew after each migration (store/views.h).
// Times are text, ISO 8601 in UTC with milliseconds. No column has a DEFAULT: a
// forgotten one should fail.
constexpr char kVersion1Sql[] = R"sql(
CREATE TABLE meta (
  key    TEXT NOT NULL PRIMARY KEY,
  value  TEXT NOT NULL
) STRICT;

CREATE TABLE study (
  id            INTEGER PRIMARY KEY,
  name          TEXT NOT NULL UNIQUE,
  spec_yaml     TEXT NOT NULL,
  spec_sha256   TEXT NOT NULL,
  settings      TEXT NOT NULL,
  created_at    TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('active', 'paused', 'done', 'cancelled')),
  state_reason  TEXT NOT NULL
) STRICT;

CREATE TABLE trial (
  id                      INTEGER PRIMARY KEY,
  study_id                INTEGER NOT NULL REFERENCES study (id),
  fingerprint             TEXT NOT NULL,
  lineage                 TEXT NOT NULL,
  spec                    TEXT NOT NULL,
  role                    TEXT NOT NULL CHECK (role IN ('trunk', 'branch', 'single', 'imported')),
  parent_trial_id         INTEGER REFERENCES trial (id),
  branch_step             INTEGER,
  seed                    INTEGER NOT NULL,
  n_layer                 INTEGER,
  d_model                 INTEGER,
  params_embedding        INTEGER,
  params_position         INTEGER,
  params_head             INTEGER,
  params_blocks           INTEGER,
  tokens_planned          INTEGER NOT NULL,
  budget_flops            REAL NOT NULL,
  flops_6nd               REAL NOT NULL,
  flops_exact             REAL,
  flops_exact_causal      REAL,
  flops_to_spend          REAL NOT NULL,
  slots                   INTEGER NOT NULL,
  memory_bytes_per_slot   REAL NOT NULL,
  seconds_estimate        REAL NOT NULL,
  state                   TEXT NOT NULL CHECK (state IN ('blocked', 'queued', 'leased', 'completed',
                                                         'diverged', 'failed', 'cancelled')),
  outcome                 TEXT NOT NULL,
  outcome_detail          TEXT NOT NULL,
  current_lease_id        INTEGER REFERENCES lease (id) DEFERRABLE INITIALLY DEFERRED,
  cancel_wished           INTEGER NOT NULL,
  attempts_used           INTEGER NOT NULL,
  micro_batch_limit       INTEGER NOT NULL,
  retry_counts            TEXT NOT NULL,
  final_step              INTEGER,
  tokens_trained          INTEGER,
  final_loss_nats         REAL,
  final_loss_se           REAL,
  bits_per_byte           REAL,
  eval_tokens             INTEGER,
  eval_bytes              INTEGER,
  eval_sha256             TEXT,
  unique_tokens           INTEGER,
  train_loss_nats         REAL,
  flops_exact_reported    REAL,
  wall_seconds            REAL,
  tokens_per_second       REAL,
  mfu                     REAL,
  peak_memory_bytes       INTEGER,
  resumed_exact           INTEGER,
  params_total_reported   INTEGER,
  device                  TEXT,
  precision               TEXT,
  code_version            TEXT,
  tokenizer_sha256        TEXT,
  started_at              TEXT,
  finished_at             TEXT,
  CHECK ((state = 'leased') = (current_lease_id IS NOT NULL))
) STRICT;
CREATE INDEX trial_by_study ON trial (study_id, id);
CREATE INDEX trial_by_fingerprint ON trial (fingerprint);

-- What an imported observation has beside the columns of its trial.
CREATE TABLE imported_observation (
  trial_id        INTEGER PRIMARY KEY REFERENCES trial (id),
  source          TEXT NOT NULL,
  source_trial    TEXT NOT NULL,
  config_id       TEXT NOT NULL,
  params_unnamed  REAL,
  tokens_trained  REAL NOT NULL,
  tokens_derived  INTEGER NOT NULL,
  flops_given     REAL,
  unique_tokens   REAL,
  schedule_ended  INTEGER,
  n_head          INTEGER NOT NULL,
  d_ff            INTEGER NOT NULL,
  vocab_size      INTEGER NOT NULL,
  sequence_length INTEGER NOT NULL
) STRICT;

CREATE TABLE lease (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  trial_id         INTEGER NOT NULL REFERENCES trial (id),
  attempt          INTEGER NOT NULL,
  worker           TEXT NOT NULL,
  host             TEXT NOT NULL,
  start_step       INTEGER NOT NULL,
  granted_at       TEXT NOT NULL,
  acknowledged_at  TEXT,
  ended_at         TEXT,
  class            TEXT,
  end_reason       TEXT,
  log_tail         TEXT
) STRICT;
CREATE INDEX lease_by_trial ON lease (trial_id, id);
CREATE INDEX lease_live ON lease (id) WHERE ended_at IS NULL;

CREATE TABLE lease_part (
  lease_id     INTEGER NOT NULL REFERENCES lease (id),
  node_rank    INTEGER NOT NULL,
  worker       TEXT NOT NULL,
  instance_id  TEXT NOT NULL,
  PRIMARY KEY (lease_id, node_rank)
) STRICT, WITHOUT ROWID;

CREATE TABLE loss_point (
  lease_id           INTEGER NOT NULL REFERENCES lease (id),
  seq                INTEGER NOT NULL CHECK (seq > 0),
  step               INTEGER NOT NULL,
  tokens             INTEGER NOT NULL,
  loss_nats          REAL,
  kind               TEXT NOT NULL CHECK (kind IN ('train', 'eval')),
  lr                 REAL,
  grad_norm          REAL,
  tokens_per_second  REAL,
  eval_tokens        INTEGER,
  PRIMARY KEY (lease_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
  id        INTEGER PRIMARY KEY,
  trial_id  INTEGER NOT NULL REFERENCES trial (id),
  lease_id  INTEGER NOT NULL REFERENCES lease (id),
  step      INTEGER NOT NULL,
  store_id  TEXT NOT NULL,
  path      TEXT NOT NULL,
  sha256    TEXT NOT NULL,
  bytes     INTEGER NOT NULL,
  state     TEXT NOT NULL CHECK (state IN ('committed', 'bad', 'condemned', 'deleted'))
) STRICT;
CREATE INDEX checkpoint_by_trial ON checkpoint (trial_id, step);

CREATE TABLE worker (
  name                 TEXT NOT NULL PRIMARY KEY,
  host                 TEXT NOT NULL,
  instance_id          TEXT NOT NULL,
  slots                TEXT NOT NULL,
  checkpoint_store_id  TEXT NOT NULL,
  address              TEXT NOT NULL,
  trainer_version      TEXT NOT NULL,
  engine_ref           TEXT NOT NULL,
  introduced_at        TEXT NOT NULL
) STRICT;

CREATE TABLE event (
  id        INTEGER PRIMARY KEY,
  at        TEXT NOT NULL,
  study_id  INTEGER,
  trial_id  INTEGER,
  worker    TEXT NOT NULL,
  kind      TEXT NOT NULL,
  detail    TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_study ON event (study_id, id);
CREATE INDEX event_by_trial ON event (trial_id, id);

CREATE TABLE stale_report (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  trial_id  INTEGER NOT NULL,
  lease_id  INTEGER NOT NULL,
  what      TEXT NOT NULL,
  at        TEXT NOT NULL
) STRICT;
CREATE INDEX stale_report_by_trial ON stale_report (trial_id, id);
)sql";

// An imported observation reads back as it came: counts that are no whole
// numbers, an absent budget, tokens that are not known.
constexpr char kVersion2Sql[] = R"sql(
CREATE TABLE imported_observation_2 (
  trial_id          INTEGER PRIMARY KEY REFERENCES trial (id),
  source            TEXT NOT NULL,
  source_trial      TEXT NOT NULL,
  config_id         TEXT NOT NULL,
  params_embedding  REAL,
  params_position   REAL,
  params_head       REAL,
  params_blocks     REAL,
  params_unnamed    REAL,
  tokens_trained    REAL,
  tokens_derived    INTEGER NOT NULL,
  unique_tokens     REAL,
  budget_flops      REAL,
  flops_given       REAL,
  flops_exact       REAL,
  is_replicate      INTEGER NOT NULL,
  schedule_ended    INTEGER,
  n_head            INTEGER NOT NULL,
  d_ff              INTEGER NOT NULL,
  vocab_size        INTEGER NOT NULL,
  sequence_length   INTEGER NOT NULL
) STRICT;
INSERT INTO imported_observation_2
  (trial_id, source, source_trial, config_id, params_embedding, params_position, params_head, params_blocks,
   params_unnamed, tokens_trained, tokens_derived, unique_tokens, budget_flops, flops_given, flops_exact,
   is_replicate, schedule_ended, n_head, d_ff, vocab_size, sequence_length)
SELECT
  i.trial_id, i.source, i.source_trial, i.config_id, t.params_embedding, t.params_position, t.params_head,
  t.params_blocks, i.params_unnamed, i.tokens_trained, i.tokens_derived, i.unique_tokens,
  nullif(t.budget_flops, 0), i.flops_given, t.flops_exact, 0, i.schedule_ended, i.n_head, i.d_ff, i.vocab_size,
  i.sequence_length
FROM imported_observation AS i JOIN trial AS t ON t.id = i.trial_id ORDER BY i.trial_id;
DROP TABLE imported_observation;
ALTER TABLE imported_observation_2 RENAME TO imported_observation;
)sql";

// Baselines have a role of their own, and a trial keeps a sample of its text. A
// CHECK can only be changed with its table.
constexpr char kVersion3Sql[] = R"sql(
CREATE TABLE trial_3 (
  id                      INTEGER PRIMARY KEY,
  study_id                INTEGER NOT NULL REFERENCES study (id),
  fingerprint             TEXT NOT NULL,
  lineage                 TEXT NOT NULL,
  spec                    TEXT NOT NULL,
  role                    TEXT NOT NULL CHECK (role IN ('trunk', 'branch', 'single', 'baseline', 'imported')),
  parent_trial_id         INTEGER REFERENCES trial (id),
  branch_step             INTEGER,
  seed                    INTEGER NOT NULL,
  n_layer                 INTEGER,
  d_model                 INTEGER,
  params_embedding        INTEGER,
  params_position         INTEGER,
  params_head             INTEGER,
  params_blocks           INTEGER,
  tokens_planned          INTEGER NOT NULL,
  budget_flops            REAL NOT NULL,
  flops_6nd               REAL NOT NULL,
  flops_exact             REAL,
  flops_exact_causal      REAL,
  flops_to_spend          REAL NOT NULL,
  slots                   INTEGER NOT NULL,
  memory_bytes_per_slot   REAL NOT NULL,
  seconds_estimate        REAL NOT NULL,
  state                   TEXT NOT NULL CHECK (state IN ('blocked', 'queued', 'leased', 'completed',
                                                         'diverged', 'failed', 'cancelled')),
  outcome                 TEXT NOT NULL,
  outcome_detail          TEXT NOT NULL,
  current_lease_id        INTEGER REFERENCES lease (id) DEFERRABLE INITIALLY DEFERRED,
  cancel_wished           INTEGER NOT NULL,
  attempts_used           INTEGER NOT NULL,
  micro_batch_limit       INTEGER NOT NULL,
  retry_counts            TEXT NOT NULL,
  final_step              INTEGER,
  tokens_trained          INTEGER,
  final_loss_nats         REAL,
  final_loss_se           REAL,
  bits_per_byte           REAL,
  eval_tokens             INTEGER,
  eval_bytes              INTEGER,
  eval_sha256             TEXT,
  unique_tokens           INTEGER,
  train_loss_nats         REAL,
  flops_exact_reported    REAL,
  wall_seconds            REAL,
  tokens_per_second       REAL,
  mfu                     REAL,
  peak_memory_bytes       INTEGER,
  resumed_exact           INTEGER,
  params_total_reported   INTEGER,
  device                  TEXT,
  precision               TEXT,
  code_version            TEXT,
  tokenizer_sha256        TEXT,
  started_at              TEXT,
  finished_at             TEXT,
  sample_text             TEXT,
  CHECK ((state = 'leased') = (current_lease_id IS NOT NULL))
) STRICT;
INSERT INTO trial_3
  (id, study_id, fingerprint, lineage, spec, role, parent_trial_id,
   branch_step, seed, n_layer, d_model, params_embedding, params_position, params_head,
   params_blocks, tokens_planned, budget_flops, flops_6nd, flops_exact, flops_exact_causal, flops_to_spend,
   slots, memory_bytes_per_slot, seconds_estimate, state, outcome, outcome_detail, current_lease_id,
   cancel_wished, attempts_used, micro_batch_limit, retry_counts, final_step, tokens_trained, final_loss_nats,
   final_loss_se, bits_per_byte, eval_tokens, eval_bytes, eval_sha256, unique_tokens, train_loss_nats,
   flops_exact_reported, wall_seconds, tokens_per_second, mfu, peak_memory_bytes, resumed_exact, params_total_reported,
   device, precision, code_version, tokenizer_sha256, started_at, finished_at)
SELECT
   id, study_id, fingerprint, lineage, spec, role, parent_trial_id,
   branch_step, seed, n_layer, d_model, params_embedding, params_position, params_head,
   params_blocks, tokens_planned, budget_flops, flops_6nd, flops_exact, flops_exact_causal, flops_to_spend,
   slots, memory_bytes_per_slot, seconds_estimate, state, outcome, outcome_detail, current_lease_id,
   cancel_wished, attempts_used, micro_batch_limit, retry_counts, final_step, tokens_trained, final_loss_nats,
   final_loss_se, bits_per_byte, eval_tokens, eval_bytes, eval_sha256, unique_tokens, train_loss_nats,
   flops_exact_reported, wall_seconds, tokens_per_second, mfu, peak_memory_bytes, resumed_exact, params_total_reported,
   device, precision, code_version, tokenizer_sha256, started_at, finished_at
FROM trial ORDER BY id;
DROP TABLE trial;
ALTER TABLE trial_3 RENAME TO trial;
CREATE INDEX trial_by_study ON trial (study_id, id);
CREATE INDEX trial_by_fingerprint ON trial (fingerprint);
)sql";

// What brings a database of version i to i + 1.
constexpr const char* kMigrations[] = {kVersion1Sql, kVersion2Sql, kVersion3Sql};
static_assert(std::size(kMigrations) == kSchemaVersion);

std::string RandomHex128() {
  std::random_device device;
  std::string hex;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&hex, absl::Hex(device(), absl::kZeroPad8));
  return hex;
}

}  // namespace

absl::StatusOr<int> SchemaVersion(SQLite::Database& db) {
  int version = 0;
  const absl::Status status = CatchSqlite("schema version", [&] {
    version = db.execAndGet("PRAGMA user_version").getInt();
  });
  if (!status.ok()) return status;
  return version;
}

absl::Status CheckSchemaVersion(int version, const std::string& path) {
  if (version <= kSchemaVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": the database has schema version ", version, ", this program knows up to ",
                   kSchemaVersion, "\ncure: use the newer isoflop that wrote it, or another --db"));
}

absl::Status Migrate(SQLite::Database& db, int from_version) {
  return CatchSqlite("migrate", [&] {
    // Foreign keys would follow a table that is made anew; they are checked before
    // the commit. Settable outside a transaction only.
    const bool enforced = db.execAndGet("PRAGMA foreign_keys").getInt() != 0;
    db.exec("PRAGMA foreign_keys = OFF");
    const absl::Cleanup restore = [&db, enforced] {
      if (enforced) db.tryExec("PRAGMA foreign_keys = ON");
    };
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    // A view would keep a table that it names from being renamed.
    std::vector<std::string> views;
    {
      SQLite::Statement select(db, "SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name");
      while (select.executeStep()) views.push_back(select.getColumn(0).getString());
    }
    for (const std::string& view : views) db.exec(absl::StrCat("DROP VIEW \"", view, "\""));
    for (int version = from_version; version < kSchemaVersion; ++version) db.exec(kMigrations[version]);
    db.exec(kViewsSql);
    if (from_version == 0) {
      SQLite::Statement insert(db, "INSERT INTO meta (key, value) VALUES (?, ?)");
      for (const auto& [key, value] : {std::pair<std::string, std::string>{"store_id", RandomHex128()},
                                       {"coordinator_epoch", "0"}}) {
        insert.bind(1, key);
        insert.bind(2, value);
        insert.exec();
        insert.reset();
      }
    }
    if (SQLite::Statement broken(db, "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1"); broken.executeStep()) {
      throw SQLite::Exception(absl::StrCat("table ", broken.getColumn(0).getString(), " names rows that are not there"));
    }
    db.exec(absl::StrCat("PRAGMA user_version = ", kSchemaVersion));
    transaction.commit();
  });
}

}  // namespace isoflop
