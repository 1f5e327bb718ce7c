#!/usr/bin/env python3
"""isoflop fit and predict, through the program: published data, flags, errors.

usage: fit_command_test.py ISOFLOP SOURCE_DIR
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ISOFLOP, SOURCE = sys.argv[1], sys.argv[2]
DATA = os.path.join(SOURCE, "tests", "data")
EPOCH = os.path.join(DATA, "epoch_chinchilla_svg_extracted_data.csv")

# Points are golden; the interval ends are held to 0.5 %.
FIT = [
    "245 rows, 240 kept (outlier(5): 5)  huber(0.001) on log loss  certified, f 1.018274e-3",
    " E 1.81722 [1.769, 1.871]  A 477.826 [286, 744]  B 2143.42 [1042, 5810]  alpha 0.347310  beta 0.367172  95%, pairs",
    " N* = 0.113208 (C/6)^0.513900 [0.481, 0.556]  compatible with Hoffmann (0.46-0.50), not with Kaplan (0.73)",
]


def without_intervals(line):
    return re.sub(r" \[[^]]*\]", "", line)


def interval_ends(line):
    return [float(x) for pair in re.findall(r" \[([^]]*)\]", line) for x in pair.split(",")]


class FitCommandTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory()
        cls.env = dict(os.environ, ISOFLOP_HOME=cls.home.name)
        for name in ("ISOFLOP_DB", "ISOFLOP_SERVER"):
            cls.env.pop(name, None)

    @classmethod
    def tearDownClass(cls):
        cls.home.cleanup()

    def isoflop(self, *arguments, code=0):
        done = subprocess.run([ISOFLOP, *arguments], env=self.env, capture_output=True, text=True, timeout=250)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def file(self, text):
        path = os.path.join(self.home.name, "runs.csv")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def test_fit_prints_the_published_law(self):
        lines = self.isoflop("fit", EPOCH, "--outliers", "5", "--draws", "4000", "--seed", "42").stdout.splitlines()
        for golden, line in zip(FIT, lines):
            self.assertEqual(without_intervals(line), without_intervals(golden))
            for ours, required in zip(interval_ends(line), interval_ends(golden), strict=True):
                self.assertLessEqual(abs(ours / required - 1), 5e-3, line)
        self.assertTrue(lines[3].startswith(" approach 2: N* = "), lines[3])
        self.assertTrue(lines[-1].startswith(" warnings: "), lines[-1])
        self.assertIn("kTokensDerived; kDeltaNearLad, 39 of 240 rows inside delta", lines[-1])

    def test_predict_prints_optimum_and_waste(self):
        lines = self.isoflop("predict", EPOCH, "--outliers", "5", "--budget", "1e21").stdout.splitlines()
        self.assertEqual(without_intervals(lines[0]), "N* 2.79B  D* 59.7B  D/N 21.4  loss 2.304")
        self.assertEqual(without_intervals(lines[1]),
                         "wasted compute at D/N 4: 22.0%, 10: 5.0%, 20: 0.0%, 40: 3.4%, 100: 18.8%")

    def test_llama_parabolas_have_their_published_digits(self):
        path = os.path.join(DATA, "llama3_isoflops.csv")
        self.assertIn("D* = 0.2993551447 C^0.5367791271", self.isoflop("fit", path, "--draws", "0").stdout)

    def test_json_is_one_object_and_the_same_bytes_again(self):
        arguments = ("fit", EPOCH, "--outliers", "5", "--draws", "200", "--json")
        first = self.isoflop(*arguments).stdout
        self.assertEqual(json.loads(first)["schema"], "isoflop.fit/1")
        self.assertEqual(first, self.isoflop(*arguments).stdout)
        told = json.loads(self.isoflop("predict", EPOCH, "--draws", "50", "--params", "1.3B", "--tokens", "26B",
                                       "--json").stdout)
        self.assertEqual(told["schema"], "isoflop.predict/1")
        self.assertAlmostEqual(told["flops"], 6 * 1.3e9 * 26e9, delta=1e10)
        self.assertGreater(told["loss"]["value"], 1.8)

    def test_flags_of_every_command_stand_before_it_too(self):
        behind = self.isoflop("fit", EPOCH, "--draws", "0", "--json").stdout
        self.assertEqual(self.isoflop("--json", "fit", EPOCH, "--draws", "0").stdout, behind)
        self.isoflop("-q", "fit", EPOCH, "--draws", "0")

    def test_a_loss_asks_for_its_budget(self):
        line = self.isoflop("predict", EPOCH, "--outliers", "5", "--draws", "0", "--loss", "2.304454850").stdout
        self.assertEqual(line.strip(), "C 1e21  N* 2.79B  D* 59.7B")

    def test_where_filters_by_sql(self):
        line = self.isoflop("fit", EPOCH, "--draws", "0", "--where", "params_unnamed > 1e9").stdout.splitlines()[0]
        self.assertRegex(line, r"^245 rows, \d+ kept \(user_filter: \d+\)  huber")
        wrong = self.isoflop("fit", EPOCH, "--where", "no_such_column > 1", code=2).stderr
        self.assertIn("--where", wrong)

    def test_named_columns(self):
        path = self.file("Model Size,C,L final\n" + "".join(
            f"{n},{c},{1.7 + 400 * n ** -.34 + 410 * (c / 6 / n) ** -.28}\n"
            for c in (1e18, 1e19, 1e20) for n in (1e7, 4e7, 16e7, 64e7)))
        out = self.isoflop("fit", path, "--column", "loss=L final", "--derive", 'tokens=c/(6*"Model Size")',
                           "--draws", "0").stdout
        self.assertIn("E 1.70000", out)

    # Thirty good rows; `change(i, cells)` spoils some.
    def study(self, change=lambda i, cells: cells, header="params,tokens,loss"):
        rows = []
        for c in (1e16, 1e17, 1e18, 1e19, 1e20):
            for n in (1e6, 3e6, 1e7, 3e7, 1e8, 3e8):
                d = c / 6 / n
                rows.append([f"{n:.6g}", f"{d:.6g}", f"{1.7 + 400 * n ** -.34 + 410 * d ** -.28:.8f}"])
        rows = [change(i, row) for i, row in enumerate(rows)]
        return self.file(header + "\n" + "".join(",".join(row) + "\n" for row in rows if row))

    def test_bad_rows_are_named_and_the_rest_is_fitted(self):
        def spoil(i, cells):
            if i in (4, 9, 14, 19):
                cells[2] = {4: "nan", 9: "-3", 14: "0", 19: "1e300"}[i]
            return cells
        out = self.isoflop("fit", self.study(spoil), "--draws", "0").stdout
        self.assertIn("30 rows, 26 kept (non_finite: 4)", out)
        self.assertIn(" left out: runs.csv:6, loss nan; runs.csv:11, loss -3 is not above 0; "
                      "runs.csv:16, loss 0 is not above 0; and 1 more.  cure: ", out)
        self.assertIn("E 1.70", out)

    def test_copied_rows_count_once(self):
        path = self.study()
        with open(path, encoding="utf-8") as rows:
            text = rows.read()
        copied = self.file(text + "".join(line + "\n" for line in text.splitlines()[1:4]))
        out = self.isoflop("fit", copied, "--draws", "0").stdout
        self.assertIn("33 rows, 30 kept (duplicate_fingerprint: 3)", out)
        self.assertIn("runs.csv:32, the same as runs.csv:2", out)

    def test_one_size_is_no_study(self):
        path = self.study(lambda i, cells: ["1e6", *cells[1:]])
        self.assertIn("1 distinct N", self.isoflop("fit", path, "--draws", "0", code=4).stderr)

    def test_bits_under_the_name_of_nats_are_told(self):
        path = self.study(lambda i, cells: [*cells, "32000"] if i else [*cells[:2], "14.2", "32000"],
                          header="params,tokens,loss,vocab_size")
        out = self.isoflop("fit", path, "--draws", "0").stdout
        self.assertIn("kMixedEvaluation, 1 of 30 losses are above ln V = 10.37", out)

    def test_errors_say_where_what_cure(self):
        for text, flags, code, words in [
            ("", (), 2, "runs.csv: the file is empty"),
            ("params,tokens,loss\n1,2,x\n", (), 2, "runs.csv:2: column 'loss': 'x' is not a number"),
            ("params,tokens\n1,2\n", (), 2, "no column for the loss"),
            ("params,tokens,loss\n1e6,2e7,3\n", (), 4, "kUnderdetermined: 1 cell (N, D) for 5 parameters"),
            ("params,tokens,loss\n1e6,2e7,3\n", ("--objective", "hubber"), 2, "did you mean 'huber'?"),
            ("params,tokens,loss\n1e6,2e7,3\n", ("--count", "totl"), 2, "did you mean 'total'?"),
            ("params,tokens,loss\n1e6,2e7,3\n", ("--form", "kaplon"), 2, "did you mean 'kaplan'?"),
            ("params,tokens,loss\n1e6,2e7,3\n", ("--method", "wilde"), 2, "did you mean 'wild'?"),
            ("params,tokens,loss\n1e6,2e7,3\n", ("--weights", "inverse_varianz"), 2, "did you mean 'inverse_variance'?"),
            ("params,tokens,los\n1e6,2e7,3\n", (), 2, "did you mean 'los'?"),
            ("params,tokens,loss,val_loss\n1e6,2e7,3,3\n", (), 2, "2 columns may be the loss: loss, val_loss"),
        ]:
            told = self.isoflop("fit", self.file(text), *flags, code=code).stderr
            self.assertIn(words, told)
            self.assertIn("cure: ", told)
        self.assertIn("no-such.csv", self.isoflop("fit", "no-such.csv", code=3).stderr)
        self.isoflop("fit", "no-such-study", code=3)
        self.assertIn("one question at a time",
                      self.isoflop("predict", EPOCH, "--budget", "1e21", "--loss", "2", code=2).stderr)
        self.assertIn("kExtrapolation", self.isoflop("predict", EPOCH, "--draws", "0", "--budget", "1e26", code=4).stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
