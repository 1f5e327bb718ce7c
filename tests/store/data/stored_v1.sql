-- A store of schema version 1, as `isoflop` wrote it; tests/store/schema_test.cc
-- opens it with today's program.
BEGIN TRANSACTION;
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
CREATE TABLE event (
  id        INTEGER PRIMARY KEY,
  at        TEXT NOT NULL,
  study_id  INTEGER,
  trial_id  INTEGER,
  worker    TEXT NOT NULL,
  kind      TEXT NOT NULL,
  detail    TEXT NOT NULL
) STRICT;
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
INSERT INTO "imported_observation" VALUES(2,'runs.csv:2','','c',NULL,1400000000.5,1,5.88e+17,NULL,NULL,0,0,0,0);
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
INSERT INTO "lease" VALUES(7,1,1,'w1','node1',0,'2026-11-25T17:00:01.000Z','2026-11-25T17:00:02.000Z','2026-11-25T17:00:20.000Z','completed','','');
CREATE TABLE lease_part (
  lease_id     INTEGER NOT NULL REFERENCES lease (id),
  node_rank    INTEGER NOT NULL,
  worker       TEXT NOT NULL,
  instance_id  TEXT NOT NULL,
  PRIMARY KEY (lease_id, node_rank)
) STRICT, WITHOUT ROWID;
INSERT INTO "lease_part" VALUES(7,0,'w1','00ff');
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
INSERT INTO "loss_point" VALUES(7,1,50,12800,4.5,'train',0.01,1.5,2000.0,NULL);
INSERT INTO "loss_point" VALUES(7,2,100,25600,3.5,'eval',NULL,NULL,NULL,4096);
CREATE TABLE meta (
  key    TEXT NOT NULL PRIMARY KEY,
  value  TEXT NOT NULL
) STRICT;
INSERT INTO "meta" VALUES('store_id','00112233445566778899aabbccddeeff');
INSERT INTO "meta" VALUES('coordinator_epoch','41');
CREATE TABLE stale_report (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  trial_id  INTEGER NOT NULL,
  lease_id  INTEGER NOT NULL,
  what      TEXT NOT NULL,
  at        TEXT NOT NULL
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
INSERT INTO "study" VALUES(1,'novels','study: novels','s','{}','2026-11-25T17:00:00.000Z','done','');
INSERT INTO "study" VALUES(2,'chinchilla','# runs.csv','s','{}','2026-11-25T18:00:00.000Z','done','imported');
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
INSERT INTO "trial" VALUES(1,1,'a6ccbd02689d12ada8a05f3e77896bb123728b50fc8520119ea246a0c077374f','l','{"batch_sequences":4,"batch_tokens":256,"branch_step":null,"branch_steps":[],"data":{"allow_repeat":false,"dataset_sha256":"d","eval_sha256":"e","unique_tokens":1000000},"deterministic":true,"eval":{"every_steps":0,"sequence_length":64},"model":{"activation":"gelu","bias":false,"d_ff":128,"d_model":32,"dropout":0,"family":"transformer","init":"gpt2","n_head":2,"n_layer":2,"norm":"rmsnorm","position":"rope","qk_norm":false,"tied_head":false,"vocab_size":256},"optimizer":{"beta1":0.9,"beta2":0.95,"clip_norm":1,"eps":1e-8,"lr_peak":0.01,"lr_scale":{"blocks":1,"embedding":1,"head":1},"weight_decay":0.1},"parent_lineage":null,"precision":"fp32","schedule":{"decay_shape":"linear","decay_steps":20,"final_fraction":0,"kind":"wsd","warmup_steps":5},"seed":1,"sequence_length":64,"steps":100,"tokens_planned":25600}','single',NULL,NULL,1,2,32,8192,0,8192,24736,25600,1000000000.0,6000000000.0,7000000000.0,6500000000.0,7000000000.0,2,1000000.0,0.0,'completed','completed','',NULL,0,1,0,'{}',100,25600,3.5,0.01,5.0,4096,4096,'e',1000000,NULL,NULL,12.5,2048.0,NULL,NULL,NULL,NULL,'cpu','fp32','v','t','2026-11-25T17:00:01.000Z','2026-11-25T17:00:20.000Z');
INSERT INTO "trial" VALUES(2,2,'f2','l','{}','imported',NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,70000000,0,0.0,0.0,NULL,NULL,0.0,1,1000000.0,0.0,'completed','completed','',NULL,0,1,0,'{}',0,1400000000,2.75,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-25T18:00:00.000Z');
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
CREATE INDEX trial_by_study ON trial (study_id, id);
CREATE INDEX trial_by_fingerprint ON trial (fingerprint);
CREATE INDEX lease_by_trial ON lease (trial_id, id);
CREATE INDEX lease_live ON lease (id) WHERE ended_at IS NULL;
CREATE INDEX checkpoint_by_trial ON checkpoint (trial_id, step);
CREATE INDEX event_by_study ON event (study_id, id);
CREATE INDEX event_by_trial ON event (trial_id, id);
CREATE INDEX stale_report_by_trial ON stale_report (trial_id, id);
CREATE VIEW trial_detail AS
SELECT
  study.name                                            AS study,
  trial.id                                              AS trial_id,
  trial.role                                            AS role,
  trial.fingerprint                                     AS fingerprint,
  trial.parent_trial_id                                 AS parent_trial_id,
  trial.branch_step                                     AS branch_step,
  trial.state                                           AS state,
  trial.outcome                                         AS outcome,
  trial.outcome_detail                                  AS outcome_detail,
  trial.seed                                            AS seed,
  trial.spec ->> '$.model.family'                       AS family,
  trial.n_layer                                         AS n_layer,
  trial.d_model                                         AS d_model,
  ifnull(trial.spec ->> '$.model.n_head', nullif(imported.n_head, 0))    AS n_head,
  ifnull(trial.spec ->> '$.model.d_ff', nullif(imported.d_ff, 0))        AS d_ff,
  ifnull(trial.spec ->> '$.sequence_length', nullif(imported.sequence_length, 0))  AS sequence_length,
  ifnull(trial.spec ->> '$.model.vocab_size', nullif(imported.vocab_size, 0))  AS vocab_size,
  trial.params_embedding                                AS params_embedding,
  trial.params_position                                 AS params_position,
  trial.params_head                                     AS params_head,
  trial.params_blocks                                   AS params_blocks,
  trial.params_embedding + trial.params_position + trial.params_head + trial.params_blocks  AS params_total,
  trial.params_blocks                                   AS params_non_embedding,
  trial.params_blocks + CASE WHEN trial.params_head > 0 THEN trial.params_head
                             ELSE trial.params_embedding END  AS params_non_embedding_plus_head,
  imported.params_unnamed                               AS params_unnamed,
  trial.tokens_planned                                  AS tokens_planned,
  ifnull(trial.tokens_trained, imported.tokens_trained) AS tokens_trained,
  ifnull(trial.unique_tokens, ifnull(trial.spec ->> '$.data.unique_tokens', imported.unique_tokens))  AS unique_tokens,
  ifnull(trial.tokens_trained, imported.tokens_trained) * 1.0
    / ifnull(trial.unique_tokens, ifnull(trial.spec ->> '$.data.unique_tokens', imported.unique_tokens))  AS epochs,
  trial.budget_flops                                    AS budget_flops,
  trial.flops_6nd                                       AS flops_6nd,
  trial.flops_exact                                     AS flops_exact,
  trial.flops_exact_causal                              AS flops_exact_causal,
  imported.flops_given                                  AS flops_given,
  trial.spec ->> '$.batch_tokens'                       AS batch_tokens,
  trial.spec ->> '$.steps'                              AS steps,
  trial.spec ->> '$.optimizer.lr_peak'                  AS lr_peak,
  trial.spec ->> '$.schedule.kind'                      AS schedule,
  trial.spec ->> '$.schedule.warmup_steps'              AS warmup_steps,
  trial.spec ->> '$.schedule.decay_steps'               AS decay_steps,
  trial.spec ->> '$.schedule.decay_shape'               AS decay_shape,
  trial.spec ->> '$.schedule.final_fraction'            AS final_fraction,
  trial.spec ->> '$.optimizer.weight_decay'             AS weight_decay,
  trial.spec ->> '$.optimizer.beta1'                    AS beta1,
  trial.spec ->> '$.optimizer.beta2'                    AS beta2,
  trial.spec ->> '$.optimizer.eps'                      AS eps,
  trial.spec ->> '$.optimizer.clip_norm'                AS clip_norm,
  ifnull(trial.precision, trial.spec ->> '$.precision') AS precision,
  trial.final_loss_nats                                 AS final_loss_nats,
  trial.final_loss_se                                   AS final_loss_se,
  trial.bits_per_byte                                   AS bits_per_byte,
  trial.eval_tokens                                     AS eval_tokens,
  trial.eval_bytes                                      AS eval_bytes,
  trial.train_loss_nats                                 AS train_loss_nats,
  trial.attempts_used                                   AS attempts_used,
  trial.wall_seconds                                    AS wall_seconds,
  trial.wall_seconds * trial.slots                      AS slot_seconds,
  trial.tokens_per_second                               AS tokens_per_second,
  trial.mfu                                             AS mfu,
  trial.peak_memory_bytes                               AS peak_memory_bytes,
  (SELECT lease.worker FROM lease WHERE lease.trial_id = trial.id ORDER BY lease.id DESC LIMIT 1)  AS worker,
  trial.device                                          AS device,
  trial.slots                                           AS slots,
  trial.code_version                                    AS code_version,
  trial.spec ->> '$.data.dataset_sha256'                AS dataset_sha256,
  trial.tokenizer_sha256                                AS tokenizer_sha256,
  ifnull(trial.eval_sha256, trial.spec ->> '$.data.eval_sha256')  AS eval_sha256,
  trial.started_at                                      AS started_at,
  trial.finished_at                                     AS finished_at
FROM trial
JOIN study ON study.id = trial.study_id
LEFT JOIN imported_observation AS imported ON imported.trial_id = trial.id;
CREATE VIEW observation AS
SELECT
  study, trial_id, fingerprint, parent_trial_id, branch_step, seed, family, n_layer, d_model, n_head, d_ff,
  sequence_length, vocab_size, params_embedding, params_position, params_head, params_blocks, params_total,
  params_non_embedding, params_non_embedding_plus_head, params_unnamed, tokens_trained, unique_tokens, epochs,
  tokens_trained * 1.0 / ifnull(params_non_embedding_plus_head, params_unnamed) AS tokens_per_parameter,
  budget_flops, flops_6nd, flops_exact, flops_exact_causal, flops_given, batch_tokens, steps, lr_peak, schedule,
  final_loss_nats, final_loss_se, bits_per_byte, eval_tokens, eval_bytes, train_loss_nats, attempts_used,
  wall_seconds, slot_seconds, tokens_per_second, mfu, peak_memory_bytes, worker, device, precision, code_version,
  dataset_sha256, tokenizer_sha256, eval_sha256, started_at, finished_at
FROM trial_detail
WHERE role <> 'trunk' AND state = 'completed' AND final_loss_nats IS NOT NULL;
CREATE VIEW curve AS
SELECT
  study.name AS study, trial.id AS trial_id, lease.attempt AS attempt, lease.id AS lease_id,
  loss_point.seq AS seq, loss_point.step AS step, loss_point.tokens AS tokens,
  loss_point.tokens * trial.flops_exact / trial.tokens_planned AS flops,
  loss_point.kind AS kind, loss_point.loss_nats AS loss_nats, loss_point.lr AS lr,
  loss_point.grad_norm AS grad_norm, loss_point.tokens_per_second AS tokens_per_second,
  loss_point.eval_tokens AS eval_tokens
FROM loss_point
JOIN lease ON lease.id = loss_point.lease_id
JOIN trial ON trial.id = lease.trial_id
JOIN study ON study.id = trial.study_id
WHERE NOT EXISTS (
  SELECT 1 FROM lease AS later
  WHERE later.trial_id = lease.trial_id AND later.id > lease.id AND later.start_step < loss_point.step
    AND EXISTS (SELECT 1 FROM loss_point AS again WHERE again.lease_id = later.id AND again.step >= loss_point.step));
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('lease',7);
COMMIT;
PRAGMA user_version = 1;
