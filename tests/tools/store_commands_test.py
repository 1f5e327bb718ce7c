#!/usr/bin/env python3
"""query, export, import and doctor as a person runs them: the real program on a
store of its own."""
import csv
import json
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest

ISOFLOP = pathlib.Path(sys.argv[1])
ROOT = pathlib.Path(sys.argv[2])
EPOCH = ROOT / "tests/data/epoch_chinchilla_svg_extracted_data.csv"

# interface.md 6, in order; ours behind it.
TRIAL_COLUMNS = """study trial_id fingerprint parent_trial_id branch_step state outcome outcome_detail seed family n_layer
d_model n_head d_ff sequence_length vocab_size params_embedding params_position params_head params_blocks params_total
params_non_embedding params_non_embedding_plus_head tokens_planned tokens_trained unique_tokens epochs budget_flops flops_6nd
flops_exact flops_exact_causal batch_tokens steps lr_peak schedule warmup_steps decay_steps decay_shape final_fraction
weight_decay beta1 beta2 eps clip_norm precision final_loss_nats final_loss_se bits_per_byte eval_tokens eval_bytes
train_loss_nats predicted_loss_nats z used_in_fit exclusion attempts_used wall_seconds slot_seconds tokens_per_second mfu
peak_memory_bytes worker device slots code_version dataset_sha256 tokenizer_sha256 eval_sha256 started_at finished_at
params_unnamed flops_given source""".split()


class StoreCommandsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="isoflop-commands-")
        self.home = pathlib.Path(self.folder.name) / "home"
        self.db = self.home / "isoflop.db"

    def tearDown(self):
        self.folder.cleanup()

    def run_isoflop(self, *arguments, code=0):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ISOFLOP_")}
        environment.update(ISOFLOP_HOME=str(self.home), NO_COLOR="1", XDG_DATA_HOME=self.folder.name)
        done = subprocess.run([ISOFLOP, *map(str, arguments)], env=environment, capture_output=True, timeout=120)
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{arguments}\n{out}\n{err}")
        if code != 0 and err:
            self.assertTrue("cure: " in err or '"cure"' in err, err)
        return out, err

    def import_epoch(self, name="epoch"):
        return self.run_isoflop("import", EPOCH, "--as", name)[0]

    # ---- import ----

    def test_import_makes_a_study_that_fits_as_the_csv_does(self):
        self.assertTrue(self.import_epoch().startswith("245 rows, tokens derived\n"))
        fit = ["--outliers", "5", "--draws", "0", "--json"]
        of_csv = json.loads(self.run_isoflop("fit", EPOCH, *fit)[0])
        of_study = json.loads(self.run_isoflop("fit", "epoch", *fit)[0])
        self.assertEqual(of_csv["parametric"], of_study["parametric"])
        self.assertEqual(of_csv["observations_sha256"], of_study["observations_sha256"])
        self.assertEqual(len(of_csv["exclusions"]), len(of_study["exclusions"]))

    def test_bits_per_byte_and_empty_cells_fit_as_the_csv_does(self):
        for path in ("nanochat_jan26_optima", "porian_refinedweb_optimal_pairs"):
            source = ROOT / f"tests/data/{path}.csv"
            self.run_isoflop("import", source, "--as", path)
            fits = [subprocess.run([ISOFLOP, "fit", what, "--draws", "0", "--json"], capture_output=True, timeout=120,
                                   env={**os.environ, "ISOFLOP_HOME": str(self.home)}) for what in (source, path)]
            self.assertEqual(fits[0].returncode, fits[1].returncode)
            of_csv, of_study = (json.loads(fit.stdout) for fit in fits)
            self.assertEqual(of_csv["parametric"], of_study["parametric"])
            self.assertEqual(of_csv["observations_sha256"], of_study["observations_sha256"])

    def test_import_on_a_full_disk_changes_nothing(self):
        self.import_epoch()
        before = self.run_isoflop("query", "SELECT count(*) FROM trial", "-o", "csv")[0]

        def small_files():  # writes beyond 100 kB fail, as on a full disk
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        done = subprocess.run([ISOFLOP, "import", EPOCH, "--as", "again"], preexec_fn=small_files, capture_output=True,
                              timeout=120, env={**os.environ, "ISOFLOP_HOME": str(self.home)})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"cure: free space", done.stderr)
        self.assertEqual(self.run_isoflop("query", "SELECT count(*) FROM trial", "-o", "csv")[0], before)
        self.import_epoch("again")

    def test_import_refuses_what_is_wrong(self):
        self.import_epoch()
        self.assertIn("already", self.run_isoflop("import", EPOCH, "--as", "epoch", code=1)[1])
        self.assertIn("no name", self.run_isoflop("import", EPOCH, "--as", "Two Words", code=2)[1])
        self.run_isoflop("import", "none.csv", "--as", "x", code=3)
        bad = pathlib.Path(self.folder.name) / "bad.csv"
        bad.write_text("params,tokens,loss\n1e6,1e9,3.5\n2e6,many,3.4\n")
        _, err = self.run_isoflop("import", bad, "--as", "bad", code=2)
        self.assertIn("bad.csv:3", err)
        self.assertIn("many", err)
        error = json.loads(self.run_isoflop("import", bad, "--as", "bad", "--json", code=2)[1])["error"]
        self.assertEqual(sorted(error), ["code", "cure", "message", "where"])
        # Nothing of it is in the store.
        self.assertEqual(self.run_isoflop("query", "SELECT name FROM study", "-o", "csv")[0], "name\r\nepoch\r\n")

    def test_a_dry_import_changes_nothing(self):
        out, _ = self.run_isoflop("import", EPOCH, "--as", "epoch", "--dry-run")
        self.assertIn("would import 245 rows", out)
        self.assertFalse(self.db.exists())

    def test_import_from_another_store(self):
        self.import_epoch()
        other = pathlib.Path(self.folder.name) / "other.db"
        out, _ = self.run_isoflop("import", self.db, "--study", "epoch", "--as", "theirs", "--db", other)
        self.assertTrue(out.startswith("245 rows\n"), out)
        sql = "SELECT params_unnamed, tokens_trained, flops_given, final_loss_nats FROM observation ORDER BY trial_id"
        self.assertEqual(self.run_isoflop("query", sql, "--limit", 0, "-o", "csv", "--db", other)[0],
                         self.run_isoflop("query", sql, "--limit", 0, "-o", "csv")[0])
        _, err = self.run_isoflop("import", self.db, "--study", "epoc", "--as", "x", "--db", other, code=3)
        self.assertIn("did you mean 'epoch'?", err)

    # ---- query ----

    def test_query_prints_in_four_ways(self):
        self.import_epoch()
        sql = "SELECT trial_id, state AS s, final_loss_nats > 3, NULL AS n FROM observation WHERE trial_id < 3"
        self.assertEqual(self.run_isoflop("query", sql, "-o", "csv")[0],
                         "trial_id,s,final_loss_nats > 3,n\r\n1,completed,1,\r\n2,completed,1,\r\n")
        self.assertEqual(json.loads(self.run_isoflop("query", sql, "-o", "json")[0])[1],
                         {"trial_id": 2, "s": "completed", "final_loss_nats > 3": 1, "n": None})
        self.assertEqual(self.run_isoflop("query", sql, "-o", "markdown")[0].splitlines()[:2],
                         ["| trial_id | s | final_loss_nats > 3 | n |", "|---|---|---|---|"])
        table = self.run_isoflop("query", sql)[0].splitlines()
        self.assertEqual(table[0].split(), ["trial_id", "s", "final_loss_nats", ">", "3", "n"])
        self.assertEqual(len(table), 3)
        whole = json.loads(self.run_isoflop("query", sql, "--json")[0])
        self.assertEqual(whole["schema"], "isoflop.query/1")
        self.assertEqual(whole["rows"][0], [1, "completed", 1, None])
        self.assertEqual(whole["columns"][0], {"name": "trial_id", "type": "INTEGER"})

    def test_query_says_what_a_limit_cut(self):
        self.import_epoch()
        out, err = self.run_isoflop("query", "SELECT trial_id FROM observation", "--limit", 10, "-o", "csv")
        self.assertEqual(len(out.splitlines()), 11)
        self.assertEqual(err, "10 of 245, --limit 0 for all\n")
        out, err = self.run_isoflop("query", "SELECT trial_id FROM observation", "--limit", 0, "-o", "csv")
        self.assertEqual(len(out.splitlines()), 246)
        self.assertEqual(err, "")

    def test_query_quotes_csv(self):
        self.import_epoch()
        out, _ = self.run_isoflop("query", "SELECT 'a,\"b\"' AS x, 0.1 AS y", "-o", "csv")
        self.assertEqual(out, 'x,y\r\n"a,""b""",0.1\r\n')

    def test_query_refuses_and_helps(self):
        self.run_isoflop("query", "SELECT 1", code=3)  # no store
        self.import_epoch()
        before = self.run_isoflop("query", "SELECT count(*) FROM trial", "-o", "csv")[0]
        for sql in ["DELETE FROM trial", "DROP VIEW observation", "ATTACH 'x.db' AS x", "SELECT 1; SELECT 2",
                    "PRAGMA journal_mode = DELETE", "VACUUM INTO 'copy.db'"]:
            self.run_isoflop("query", sql, code=2)
        self.assertEqual(self.run_isoflop("query", "SELECT count(*) FROM trial", "-o", "csv")[0], before)
        self.assertIn("did you mean 'final_loss_nats'?",
                      self.run_isoflop("query", "SELECT final_los_nats FROM observation", code=2)[1])
        self.assertIn("did you mean 'observation'?", self.run_isoflop("query", "SELECT * FROM observations", code=2)[1])
        error = self.run_isoflop("query", "SELECT params_non_embedding FROM trial", code=2)[1]
        self.assertIn("it is a column of", error)
        self.assertIn("observation", error)
        self.run_isoflop("query", code=2)
        self.run_isoflop("query", "SELECT 1", "--limit", "-1", code=2)
        self.run_isoflop("query", "SELECT 1", "--server", f"unix:{self.folder.name}/none.sock", code=5)

    def test_query_shows_the_schema(self):
        self.import_epoch()
        out, _ = self.run_isoflop("query", "--schema")
        self.assertTrue(out.startswith("observation (view)\n"), out[:80])
        self.assertIn("params_non_embedding_plus_head", out)
        tables = json.loads(self.run_isoflop("query", "--schema", "--json")[0])["tables"]
        self.assertEqual([t["name"] for t in tables[:2]], ["observation", "curve"])
        self.assertIn("loss_point", [t["name"] for t in tables])

    # ---- export ----

    def test_export_csv_has_the_columns_and_the_fit(self):
        self.import_epoch()
        path = pathlib.Path(self.folder.name) / "trials.csv"
        out, _ = self.run_isoflop("export", "epoch", "--format", "csv", "-o", path)
        self.assertRegex(out, r"^.*trials\.csv: 245 rows, \d+\.\d\d s\n$")
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), TRIAL_COLUMNS)
        self.assertEqual(len(rows), 245)
        used = [row for row in rows if row["used_in_fit"] == "1"]
        self.assertGreater(len(used), 200)
        for row in used:
            self.assertLess(abs(float(row["predicted_loss_nats"]) / float(row["final_loss_nats"]) - 1), 0.5)
            self.assertEqual(row["exclusion"], "")
        for row in rows:
            if row["used_in_fit"] == "0":
                self.assertNotEqual(row["exclusion"], "")
        # 17 digits: nothing is lost.
        with sqlite3.connect(f"file:{self.db}?mode=ro", uri=True) as db:
            exact = dict(db.execute("SELECT trial_id, final_loss_nats FROM observation"))
        for row in used:
            self.assertEqual(float(row["final_loss_nats"]), exact[int(row["trial_id"])])
        meta = json.loads((path.parent / "trials.meta.json").read_text())
        self.assertEqual((meta["count"], meta["flops"], meta["rows"]), ("non_embedding_plus_head", "6nd", 245))
        self.assertTrue(meta["version"])

    def test_an_export_can_be_imported_again(self):
        self.import_epoch()
        path = pathlib.Path(self.folder.name) / "trials.csv"
        self.run_isoflop("export", "--format", "csv", "-o", path)
        self.run_isoflop("import", path, "--as", "again")
        fit = ["--outliers", "5", "--draws", "0", "--json"]
        first = json.loads(self.run_isoflop("fit", "epoch", *fit)[0])["parametric"]["certificate"]["f"]
        second = json.loads(self.run_isoflop("fit", "again", *fit)[0])["parametric"]["certificate"]["f"]
        self.assertAlmostEqual(first, second, delta=1e-9 * first)

    def test_export_copies_the_store(self):
        self.import_epoch()
        copy = pathlib.Path(self.folder.name) / "copy.db"
        self.run_isoflop("export", "--format", "sqlite", "-o", copy)
        self.assertEqual(self.run_isoflop("query", "SELECT count(*) AS n FROM observation", "--db", copy, "-o", "csv")[0],
                         "n\r\n245\r\n")
        self.run_isoflop("export", "--format", "sqlite", "-o", copy, code=1)  # is there

    def test_export_refuses_what_is_wrong(self):
        self.import_epoch()
        self.assertIn("did you mean 'epoch'?",
                      self.run_isoflop("export", "epoc", "--format", "csv", "-o", "-", code=3)[1])
        self.assertIn("later release", self.run_isoflop("export", "--format", "latex", "-o", "x", code=2)[1])
        self.run_isoflop("export", "--format", "parquet", "-o", "x", code=2)
        self.run_isoflop("export", "--format", "csv", "-o", "/nowhere/x.csv", code=1)

    def test_export_jsonl_gives_a_line_a_point(self):
        self.import_epoch()
        with sqlite3.connect(self.db) as db:
            db.execute("INSERT INTO lease VALUES (1, 1, 1, 'w', 'h', 0, 't', 't', 't', 'completed', '', '')")
            db.execute("INSERT INTO loss_point VALUES (1, 1, 10, 2560, 3.5, 'train', 0.01, 1.5, 2000.0, NULL)")
            db.execute("INSERT INTO loss_point VALUES (1, 2, 20, 5120, NULL, 'eval', NULL, NULL, NULL, 64)")
        out, _ = self.run_isoflop("export", "epoch", "--format", "jsonl", "-o", "-")
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(list(lines[0]), ["trial_id", "attempt", "step", "tokens", "flops", "kind", "loss_nats", "lr",
                                          "grad_norm", "tokens_per_second"])
        self.assertEqual(lines[0]["loss_nats"], 3.5)
        self.assertIsNone(lines[1]["loss_nats"])

    # ---- doctor ----

    def checks(self, *arguments, code=0):
        out, _ = self.run_isoflop("doctor", "--json", *arguments, code=code)
        return {check["what"]: check for check in json.loads(out)["checks"]}

    def test_doctor_finds_a_healthy_house(self):
        checks = self.checks()
        self.assertEqual(checks["store"]["health"], "note")  # none yet
        self.import_epoch()
        checks = self.checks()
        self.assertEqual(checks["store"]["health"], "ok")
        self.assertIn("WAL", checks["store"]["detail"])
        self.assertIn("245 trials", checks["store"]["detail"])
        self.assertIn(checks["disk"]["health"], ("ok", "warning"))
        self.assertEqual(checks["coordinator"]["health"], "note")
        self.assertIn("cure", checks["coordinator"])
        self.assertIn("CPU core", checks["slots"]["detail"])
        self.assertIn("store", self.run_isoflop("doctor")[0])

    def test_doctor_sees_what_is_wrong(self):
        self.import_epoch()
        token = self.home / "token"
        token.write_text("A" * 43 + "=\n")
        token.chmod(0o644)
        checks = self.checks(code=1)
        self.assertEqual(checks["token"]["health"], "failed")
        self.assertIn("chmod 600", checks["token"]["cure"])
        token.unlink()
        with sqlite3.connect(self.db) as db:
            db.execute("PRAGMA user_version = 99")
        checks = self.checks(code=1)
        self.assertIn("99", checks["store"]["detail"])
        self.run_isoflop("query", "SELECT 1", code=1)
        self.db.write_bytes(b"SQLite format 3\0" + b"x" * 8192)
        self.assertEqual(self.checks(code=1)["store"]["health"], "failed")
        self.assertEqual(self.checks("--server", f"unix:{self.folder.name}/none.sock", code=1)["coordinator"]["health"], "failed")

    def test_doctor_migrates_an_older_store(self):
        self.home.mkdir()
        db = sqlite3.connect(self.db)
        db.executescript((ROOT / "tests/store/data/stored_v1.sql").read_text())
        db.close()
        self.assertIn("doctor --migrate", self.run_isoflop("query", "SELECT 1", code=1)[1])
        self.assertEqual(self.checks(code=1)["store"]["health"], "failed")
        out, _ = self.run_isoflop("doctor", "--migrate")
        self.assertIn("migrated", out)
        self.assertTrue(pathlib.Path(str(self.db) + ".v1").exists())
        self.assertEqual(self.run_isoflop("query", "SELECT count(*) AS n FROM observation", "-o", "csv")[0], "n\r\n2\r\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
