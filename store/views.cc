#include "store/views.h"

namespace isoflop {

const char kViewsSql[] = R"sql(
-- Every trial, trunks too, finished or not.
CREATE VIEW trial_detail AS
SELECT
  study.name                                             AS study,
  trial.id                                               AS trial_id,
  trial.role                                             AS role,
  trial.fingerprint                                      AS fingerprint,
  trial.parent_trial_id                                  AS parent_trial_id,
  trial.branch_step                                      AS branch_step,
  trial.state                                            AS state,
  trial.outcome                                          AS outcome,
  trial.outcome_detail                                   AS outcome_detail,
  trial.seed                                             AS seed,
  trial.spec ->> '$.model.family'                        AS family,
  trial.n_layer                                          AS n_layer,
  trial.d_model                                          AS d_model,
  ifnull(trial.spec ->> '$.model.n_head', nullif(imported.n_head, 0))              AS n_head,
  ifnull(trial.spec ->> '$.model.d_ff', nullif(imported.d_ff, 0))                  AS d_ff,
  ifnull(trial.spec ->> '$.sequence_length', nullif(imported.sequence_length, 0))  AS sequence_length,
  ifnull(trial.spec ->> '$.model.vocab_size', nullif(imported.vocab_size, 0))      AS vocab_size,
  ifnull(trial.params_embedding, imported.params_embedding)  AS params_embedding,
  ifnull(trial.params_position, imported.params_position)    AS params_position,
  ifnull(trial.params_head, imported.params_head)            AS params_head,
  ifnull(trial.params_blocks, imported.params_blocks)        AS params_blocks,
  ifnull(trial.params_embedding + trial.params_position + trial.params_head + trial.params_blocks,
         imported.params_embedding + ifnull(imported.params_position, 0) + ifnull(imported.params_head, 0)
           + imported.params_blocks)                     AS params_total,
  ifnull(trial.params_blocks, imported.params_blocks)    AS params_non_embedding,
  -- A tied head still multiplies.
  CASE WHEN imported.trial_id IS NULL
       THEN trial.params_blocks + iif(trial.params_head > 0, trial.params_head, trial.params_embedding)
       ELSE imported.params_blocks
            + iif(imported.params_head > 0, imported.params_head, imported.params_embedding)
  END                                                    AS params_non_embedding_plus_head,
  imported.params_unnamed                                AS params_unnamed,
  trial.tokens_planned                                   AS tokens_planned,
  iif(imported.trial_id IS NULL, trial.tokens_trained, imported.tokens_trained)  AS tokens_trained,
  ifnull(imported.unique_tokens, ifnull(trial.unique_tokens, trial.spec ->> '$.data.unique_tokens'))
                                                         AS unique_tokens,
  iif(imported.trial_id IS NULL, trial.tokens_trained, imported.tokens_trained) * 1.0
    / nullif(ifnull(imported.unique_tokens, ifnull(trial.unique_tokens, trial.spec ->> '$.data.unique_tokens')), 0)
                                                         AS epochs,
  nullif(trial.budget_flops, 0)                          AS budget_flops,
  nullif(trial.flops_6nd, 0)                             AS flops_6nd,
  ifnull(trial.flops_exact, imported.flops_exact)        AS flops_exact,
  trial.flops_exact_causal                               AS flops_exact_causal,
  imported.flops_given                                   AS flops_given,
  trial.spec ->> '$.batch_tokens'                        AS batch_tokens,
  trial.spec ->> '$.steps'                               AS steps,
  trial.spec ->> '$.optimizer.lr_peak'                   AS lr_peak,
  trial.spec ->> '$.schedule.kind'                       AS schedule,
  trial.spec ->> '$.schedule.warmup_steps'               AS warmup_steps,
  trial.spec ->> '$.schedule.decay_steps'                AS decay_steps,
  trial.spec ->> '$.schedule.decay_shape'                AS decay_shape,
  trial.spec ->> '$.schedule.final_fraction'             AS final_fraction,
  trial.spec ->> '$.optimizer.weight_decay'              AS weight_decay,
  trial.spec ->> '$.optimizer.beta1'                     AS beta1,
  trial.spec ->> '$.optimizer.beta2'                     AS beta2,
  trial.spec ->> '$.optimizer.eps'                       AS eps,
  trial.spec ->> '$.optimizer.clip_norm'                 AS clip_norm,
  ifnull(trial.precision, trial.spec ->> '$.precision')  AS precision,
  trial.final_loss_nats                                  AS final_loss_nats,
  trial.final_loss_se                                    AS final_loss_se,
  trial.bits_per_byte                                    AS bits_per_byte,
  nullif(trial.eval_tokens, 0)                           AS eval_tokens,
  trial.eval_bytes                                       AS eval_bytes,
  trial.train_loss_nats                                  AS train_loss_nats,
  trial.attempts_used                                    AS attempts_used,
  trial.wall_seconds                                     AS wall_seconds,
  trial.wall_seconds * trial.slots                       AS slot_seconds,
  trial.tokens_per_second                                AS tokens_per_second,
  trial.mfu                                              AS mfu,
  trial.peak_memory_bytes                                AS peak_memory_bytes,
  (SELECT lease.worker FROM lease WHERE lease.trial_id = trial.id ORDER BY lease.id DESC LIMIT 1)  AS worker,
  trial.device                                           AS device,
  trial.slots                                            AS slots,
  trial.code_version                                     AS code_version,
  trial.spec ->> '$.data.dataset_sha256'                 AS dataset_sha256,
  trial.tokenizer_sha256                                 AS tokenizer_sha256,
  ifnull(trial.eval_sha256, trial.spec ->> '$.data.eval_sha256')  AS eval_sha256,
  trial.started_at                                       AS started_at,
  trial.finished_at                                      AS finished_at,
  imported.source                                        AS source
FROM trial
JOIN study ON study.id = trial.study_id
LEFT JOIN imported_observation AS imported ON imported.trial_id = trial.id;

CREATE VIEW observation AS
SELECT
  study, trial_id, role, fingerprint, parent_trial_id, branch_step, state, outcome, outcome_detail, seed, family,
  n_layer, d_model, n_head, d_ff, sequence_length, vocab_size, params_embedding, params_position, params_head,
  params_blocks, params_total, params_non_embedding, params_non_embedding_plus_head, params_unnamed,
  tokens_planned, tokens_trained, unique_tokens, epochs,
  tokens_trained * 1.0 / nullif(ifnull(params_non_embedding_plus_head, params_unnamed), 0)  AS tokens_per_parameter,
  budget_flops, flops_6nd, flops_exact, flops_exact_causal, flops_given, batch_tokens, steps, lr_peak, schedule,
  warmup_steps, decay_steps, decay_shape, final_fraction, weight_decay, beta1, beta2, eps, clip_norm, precision,
  final_loss_nats, final_loss_se, bits_per_byte, eval_tokens, eval_bytes, train_loss_nats, attempts_used,
  wall_seconds, slot_seconds, tokens_per_second, mfu, peak_memory_bytes, worker, device, slots, code_version,
  dataset_sha256, tokenizer_sha256, eval_sha256, started_at, finished_at, source
FROM trial_detail
WHERE role NOT IN ('trunk', 'baseline') AND state = 'completed' AND ifnull(final_loss_nats, bits_per_byte) IS NOT NULL;

-- n-gram models that were counted beside the law: never in a fit.
CREATE VIEW baseline AS
SELECT
  detail.study                              AS study,
  detail.trial_id                           AS trial_id,
  detail.state                              AS state,
  trial.spec ->> '$.model.order'            AS ngram_order,
  trial.spec ->> '$.model.smoothing'        AS smoothing,
  trial.spec ->> '$.model.add_k'            AS add_k,
  detail.seed                               AS seed,
  detail.tokens_planned                     AS tokens_planned,
  detail.tokens_trained                     AS tokens_trained,
  detail.final_loss_nats                    AS final_loss_nats,
  detail.final_loss_se                      AS final_loss_se,
  detail.bits_per_byte                      AS bits_per_byte,
  detail.eval_tokens                        AS eval_tokens,
  detail.eval_sha256                        AS eval_sha256,
  detail.wall_seconds                       AS wall_seconds,
  trial.sample_text                         AS sample_text
FROM trial_detail AS detail
JOIN trial ON trial.id = detail.trial_id
WHERE detail.role = 'baseline';

-- A point counts unless a later attempt went over the same steps again.
CREATE VIEW curve AS
SELECT
  study.name                                             AS study,
  trial.id                                               AS trial_id,
  lease.attempt                                          AS attempt,
  lease.id                                               AS lease_id,
  loss_point.seq                                         AS seq,
  loss_point.step                                        AS step,
  loss_point.tokens                                      AS tokens,
  loss_point.tokens * trial.flops_exact / nullif(trial.tokens_planned, 0)  AS flops,
  loss_point.kind                                        AS kind,
  loss_point.loss_nats                                   AS loss_nats,
  loss_point.lr                                          AS lr,
  loss_point.grad_norm                                   AS grad_norm,
  loss_point.tokens_per_second                           AS tokens_per_second,
  loss_point.eval_tokens                                 AS eval_tokens
FROM trial
JOIN study ON study.id = trial.study_id
JOIN lease ON lease.trial_id = trial.id
JOIN loss_point ON loss_point.lease_id = lease.id
WHERE NOT EXISTS (
  SELECT 1 FROM lease AS later
  WHERE later.trial_id = lease.trial_id AND later.id > lease.id AND later.start_step < loss_point.step
    AND loss_point.step <= (SELECT last.step FROM loss_point AS last WHERE last.lease_id = later.id
                            ORDER BY last.seq DESC LIMIT 1));
)sql";

}  // namespace isoflop
