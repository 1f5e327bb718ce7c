#!/usr/bin/env python3
"""isoflop plan, through the program: tables, formats, errors and exit codes.

usage: plan_command_test.py ISOFLOP SOURCE_DIR
"""
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ISOFLOP, SOURCE = sys.argv[1], sys.argv[2]
QUICKSTART = os.path.join(SOURCE, "configs", "quickstart_austen.yaml")

TABLE = """austen-quickstart  3.60M training tokens  N = non-embedding + head, C = 6ND
 C        sizes  N              D              D/N         trials
 5e10     5      7.2K - 40.1K   0.21M - 1.15M  5.2 - 159   10 branches
 1.14e11  6      7.2K - 52.2K   0.37M - 2.64M  7.0 - 365   12 branches
 2.62e11  6      13.2K - 65.8K  0.66M - 3.32M  10 - 253    12 branches
 6e11     6      29.6K - 136K   0.74M - 3.38M  5.4 - 114   4 single, 8 branches
 trunks   7      7.2K - 65.8K                              14 trunks
left out, short of data: 6e11 x 20.6K (needs 4.85M tokens)
46 observations (23 cells, seeds 1 2), 14 trunks, 0 known already  9.23e12 FLOPs (1.22e13 without trunks)
"""


class PlanCommandTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory()
        cls.env = dict(os.environ, ISOFLOP_HOME=cls.home.name)
        for name in ("ISOFLOP_DB", "ISOFLOP_SERVER"):
            cls.env.pop(name, None)

    @classmethod
    def tearDownClass(cls):
        cls.home.cleanup()

    def plan(self, *args, code=0):
        done = subprocess.run([ISOFLOP, "plan", *args], env=self.env, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def read(self, *path):
        with open(os.path.join(SOURCE, "configs", *path)) as file:
            return file.read()

    def write(self, text, name="study.yaml"):
        path = os.path.join(self.home.name, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_quickstart_prints_the_golden_table_but_for_times(self):
        lines = self.plan(QUICKSTART, "--slots", "2").stdout.splitlines()
        cut = [lines[0]] + [re.sub(r" +(~time|[0-9hms.]+)$", "", line) for line in lines[1:7]] + lines[7:9]
        wanted = TABLE.splitlines()
        self.assertEqual(cut[:8], wanted[:8])
        self.assertTrue(lines[8].startswith(wanted[8] + "  "), lines[8])
        self.assertTrue(lines[8].endswith(" on 2 cpu slots"), lines[8])

    def test_second_plan_reads_no_data_again(self):
        self.plan(QUICKSTART)
        self.assertNotIn("preparing data", self.plan(QUICKSTART).stderr)

    def test_json_has_each_trial_and_the_totals(self):
        plan = json.loads(self.plan(QUICKSTART, "--json").stdout)
        self.assertEqual(plan["schema"], "isoflop.plan/1")
        self.assertEqual((plan["cells"], plan["observations"], plan["trunks"], plan["known"]), (23, 46, 14, 0))
        self.assertEqual(len(plan["trials"]), 60)
        self.assertAlmostEqual(sum(trial["flops_to_spend"] for trial in plan["trials"]) / plan["flops_to_spend"], 1)
        branch = next(trial for trial in plan["trials"] if trial["role"] == "branch")
        trunk = plan["trials"][branch["parent"] - 1]
        self.assertEqual(branch["trial"]["parent_lineage"], trunk["lineage"])
        self.assertEqual(branch["trial"]["data"]["unique_tokens"], plan["unique_tokens"])

    def test_csv_and_yaml(self):
        rows = list(csv.DictReader(io.StringIO(self.plan(QUICKSTART, "-o", "csv").stdout)))
        self.assertEqual(len(rows), 60)
        self.assertEqual({row["role"] for row in rows}, {"trunk", "branch", "single"})
        resolved = self.plan(QUICKSTART, "-o", "yaml").stdout
        self.assertIn("warmup: 132 steps", resolved)
        path = os.path.join(os.path.dirname(QUICKSTART), "austen.txt.xz")
        again = self.write(resolved.replace('"austen.txt.xz"', json.dumps(path)), "resolved.yaml")
        self.assertEqual([row["fingerprint"] for row in rows],
                         [row["fingerprint"] for row in csv.DictReader(io.StringIO(self.plan(again, "-o", "csv").stdout))])

    def test_set_and_trials(self):
        out = self.plan(QUICKSTART, "--set", "seeds=[1]", "--set", "grid.budgets=[5e10,1e11]", "--trials").stdout
        self.assertIn("(11 cells, seed 1)", out)
        self.assertIn(" #   role    shape", out)

    def test_errors_say_where_what_and_cure(self):
        text = self.read("quickstart_austen.yaml")
        self.assertIn("did you mean 'batch'?", self.plan(self.write(text.replace("\nbatch:", "\nbacth:")), code=2).stderr)
        self.assertIn("'512q' is not a number of tokens",
                      self.plan(self.write(text.replace("tokens: 512}", "tokens: 512q}")), code=2).stderr)
        self.assertIn("5 heads do not divide d_model 16",
                      self.plan(self.write(text.replace("[[16,1,4]", "[[16,1,5]")), code=2).stderr)
        short = self.plan(QUICKSTART, "--set", "data.if_short=error", code=2).stderr
        self.assertIn("1 cell needs 4.85M tokens, the data hold 3.60M", short)
        self.assertIn("cure: data.if_short: drop (keeps 23 of 24 cells) or repeat", short)
        error = json.loads(self.plan(QUICKSTART, "--json", "--set", "seeds=[x]", code=2).stderr)["error"]
        self.assertEqual(error["code"], "invalid_argument")
        self.assertTrue(error["where"] and error["message"] and error["cure"], error)

    def test_missing_files_are_not_found(self):
        self.plan("nowhere.yaml", code=3)
        text = self.read("quickstart_austen.yaml").replace("austen.txt.xz", "nowhere.txt")
        missing = self.plan(self.write(text), code=3).stderr
        self.assertIn("study.yaml:", missing)
        self.assertIn("nowhere.txt", missing)
        own = self.read("own_trainer.yaml")
        self.assertIn("train.py", self.plan(self.write(own.replace("4M\"", "100K\"")), code=3).stderr)

    def test_wrong_slots_and_later_flags(self):
        self.assertIn("cure: --slots 2, cpu:2 or 8xH100", self.plan(QUICKSTART, "--slots", "many", code=2).stderr)
        self.assertIn("later release", self.plan(QUICKSTART, "--law", "web", code=2).stderr)

    def test_slots_of_a_named_device_tell_its_time(self):
        out = self.plan(QUICKSTART, "--slots", "8xH100", "--set", "resources.slot=gpu").stdout
        self.assertTrue(out.rstrip().endswith(" on 8 gpu slots"), out)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
