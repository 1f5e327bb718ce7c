#!/usr/bin/env python3
"""isoflop compare, extend, and what predict tells beside an optimum, on worlds whose
law is known.

usage: design_commands_test.py ISOFLOP SOURCE_DIR
"""
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest

ISOFLOP, SOURCE = sys.argv[1], sys.argv[2]
EPOCH = os.path.join(SOURCE, "tests", "data", "epoch_chinchilla_svg_extracted_data.csv")
ALPHA, BETA = 0.34, 0.28


def law(n, d, scale=1.0, e=1.69, alpha=ALPHA):
    return e + scale * (406.4 * n ** -alpha + 410.7 * d ** -BETA)


# IsoFLOP cells around the optimum, `seeds` each, with 0.2 % of noise.
def world(scale, seed, budgets=(1e18, 3e18, 1e19, 3e19, 1e20), seeds=1, alpha=ALPHA):
    draw = random.Random(seed)
    g = (ALPHA * 406.4 / BETA / 410.7) ** (1 / (ALPHA + BETA))
    text = "params,tokens,loss,seed\n"
    for c in budgets:
        best = g * (c / 6) ** (BETA / (ALPHA + BETA))
        for factor in (0.25, 0.4, 0.63, 1, 1.6, 2.5, 4):
            n = best * factor
            for s in range(seeds):
                d = c / 6 / n
                text += f"{n:.8g},{d:.8g},{law(n, d, scale, alpha=alpha) * math.exp(draw.gauss(0, 2e-3)):.8f},{s + 1}\n"
    return text


class DesignCommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory()
        cls.env = dict(os.environ, ISOFLOP_HOME=cls.home.name)
        for name in ("ISOFLOP_DB", "ISOFLOP_SERVER"):
            cls.env.pop(name, None)
        cls.transformer = cls.file("transformer.csv", world(1, 1))
        cls.lstm = cls.file("lstm.csv", world(1.2, 2))

    @classmethod
    def tearDownClass(cls):
        cls.home.cleanup()

    @classmethod
    def file(cls, name, text):
        path = os.path.join(cls.home.name, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def isoflop(self, *arguments, code=0):
        done = subprocess.run([ISOFLOP, *arguments], env=self.env, capture_output=True, text=True, timeout=250)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    # K scales by 1.2 and E stays: k = 1.2^(1/gamma) at every loss.
    def test_compare_finds_the_known_multiplier(self):
        known = 1.2 ** ((ALPHA + BETA) / (ALPHA * BETA))
        out = self.isoflop("compare", self.transformer, self.lstm, "--draws", "200").stdout
        lines = [line for line in out.splitlines() if line.startswith("at loss ")]
        self.assertEqual(len(lines), 3, out)
        for line in lines:
            self.assertRegex(line, r"^at loss \d\.\d\d lstm\.csv needs x[\d.]+ \[[\d.]+, [\d.]+\] the compute$")
            k, lo, hi = (float(x) for x in re.findall(r"x([\d.]+) \[([\d.]+), ([\d.]+)\]", line)[0])
            self.assertLessEqual(lo * 0.95, known, line)
            self.assertGreaterEqual(hi * 1.05, known, line)
            self.assertLess(abs(k / known - 1), 0.25, line)
        self.assertRegex(out, r"shared exponents p \d\.\d{3}, shared E p ")
        self.assertIn("transformer.csv (35 rows), lstm.csv (35 rows)", out)
        # The other way round the same study needs more.
        turned = self.isoflop("compare", self.lstm, self.transformer, "--draws", "200").stdout
        self.assertIn(" lstm.csv needs x", turned)
        self.assertNotIn("transformer.csv needs", turned)

    # It once printed the first study's alpha and beta as shared.
    def test_compare_tells_both_exponents_where_they_differ(self):
        other = self.file("other.csv", world(1, 5, alpha=0.28))
        out = self.isoflop("compare", self.transformer, other, "--draws", "200").stdout
        self.assertIn("the exponents differ: the multiplier depends on the budget", out)
        own = re.search(r"^ each its own: alpha ([\d.]+) .*and ([\d.]+) .*beta .* and ", out, re.M)
        self.assertTrue(own, out)
        self.assertAlmostEqual(float(own[1]), ALPHA, delta=0.03)
        self.assertAlmostEqual(float(own[2]), 0.28, delta=0.03)
        self.assertNotIn("shared: alpha", out)

    def test_compare_as_json_and_at_a_loss_of_ones_own(self):
        told = json.loads(self.isoflop("compare", self.transformer, self.lstm, "--draws", "50", "--loss", "2.6",
                                       "--json").stdout)
        self.assertEqual(told["schema"], "isoflop.compare/1")
        out = self.isoflop("compare", self.transformer, self.lstm, "--draws", "50", "--loss", "2.6").stdout
        self.assertIn("at loss 2.60 lstm.csv needs", out)

    def test_compare_refuses_what_cannot_be_compared(self):
        def tokenized(name, tokenizer):
            lines = world(1, 4).splitlines()
            return self.file(name, lines[0] + ",tokenizer_sha256\n" + "".join(f"{row},{tokenizer}\n" for row in lines[1:]))
        one, two = tokenized("one.csv", "bytes"), tokenized("two.csv", "bpe")
        refused = self.isoflop("compare", one, two, code=4).stderr
        self.assertIn("compare: kMixedEvaluation: ", refused)
        self.assertIn("cure: ", refused)
        self.assertIn("two studies are needed", self.isoflop("compare", one, code=2).stderr)
        self.assertIn("--unit: 'bit' is no unit", self.isoflop("compare", one, two, "--unit", "bit", code=2).stderr)
        self.assertIn("did you mean 'compare'?", self.isoflop("comapre", one, two, code=2).stderr)
        self.isoflop("compare", one, "no-such-study", code=3)

    def test_extend_says_what_it_would_add_and_why(self):
        few = self.file("few.csv", world(1, 3, budgets=(1e18, 3e18, 1e19), seeds=2))
        out = self.isoflop("extend", few, "--auto", "--dry-run", "--draws", "200", "--goal", "1e21").stdout.splitlines()
        self.assertRegex(out[0], r"^few\.csv: interval of N\* at 1e21 (x[\d.e+]+|open), goal x1\.5$")
        trials = [line for line in out if line.startswith("trial ")]
        self.assertTrue(trials, out)
        self.assertRegex(trials[0], r"^trial 43: [\d.]+[KMBT]? x [\d.]+[KMBT]?(, \d seeds)?"
                                    r"(, interval (x[\d.e+]+|open) -> (x[\d.e+]+|open))?  [\d.e]+ FLOPs")
        self.assertRegex(out[-1], r"^(stop|why): ")
        self.assertTrue(any(re.match(r"^\+\d+ trials?, .*nothing was added", line) for line in out), out)
        told = json.loads(self.isoflop("extend", few, "--auto", "--dry-run", "--draws", "200", "--goal", "1e21",
                                       "--flops", "1e19", "--json").stdout)
        self.assertEqual(told["schema"], "isoflop.extend/1")
        self.assertEqual(told["trials"][0]["trial"], 43)
        self.assertLessEqual(sum(trial["flops"] for trial in told["trials"]), 1e19 * 1.001)

    def test_extend_refuses_what_comes_later_by_name(self):
        for flags in (("--budgets", "3e19"), ("--points", "125M:2.5B"), ("--tokens", "2x"), ("--seeds", "2"),
                      ("--auto", "--dry-run", "--keep-going")):
            told = self.isoflop("extend", EPOCH, *flags, code=2).stderr
            name = "--keep-going" if "--keep-going" in flags else flags[0]
            self.assertIn(f"{name}: comes in a later release", told)
            self.assertIn("cure: isoflop extend STUDY --auto --dry-run", told)
        self.assertIn("--auto: adding the trials comes in a later release", self.isoflop("extend", EPOCH, "--auto", code=2).stderr)
        self.assertIn("nothing says what to add", self.isoflop("extend", EPOCH, code=2).stderr)
        self.assertIn("--flops: '6nd' is not a number of FLOPs",
                      self.isoflop("extend", EPOCH, "--auto", "--dry-run", "--flops", "6nd", code=2).stderr)
        one = self.file("one_row.csv", "params,tokens,loss\n1e6,2e7,3\n")
        self.assertIn("extend: k", self.isoflop("extend", one, "--auto", "--dry-run", code=4).stderr)

    def test_help_and_completion_know_both(self):
        for command in ("compare", "extend"):
            text = self.isoflop(command, "--help").stdout
            self.assertLess(text.index("Examples:"), text.index("--"), text)
            self.assertIn(f"  isoflop {command} ", text)
        for shell in ("bash", "zsh", "fish"):
            script = self.isoflop("completion", shell).stdout
            self.assertIn("compare", script)
            self.assertIn("extend", script)

    # F1's law: inference moves the optimum to a smaller model trained longer.
    def test_predict_prices_inference(self):
        out = self.isoflop("predict", EPOCH, "--outliers", "5", "--draws", "0", "--budget", "1e21", "--inference-tokens",
                           "2T").stdout.splitlines()
        line = next(line for line in out if line.startswith("with 2.00T tokens of inference: "))
        self.assertRegex(line, r"N [\d.]+[MB]  D [\d.]+[BT]  D/N \d+(\.\d+)?  saves \d+\.\d% of the lifetime FLOPs$")
        told = json.loads(self.isoflop("predict", EPOCH, "--outliers", "5", "--draws", "0", "--budget", "1e21",
                                       "--inference-tokens", "2T", "--json").stdout)
        self.assertLess(told["inference"]["params"]["value"], told["params"]["value"])
        self.assertGreater(told["inference"]["tokens"]["value"], told["tokens"]["value"])

    def test_predict_knows_what_it_does_not_know_of_repeats(self):
        arguments = ("predict", EPOCH, "--outliers", "5", "--draws", "0", "--budget", "1e21", "--unique-tokens")
        self.assertIn("with 1.00T unique tokens: N* 2.79B  D* 59.7B  epochs 0.0597", self.isoflop(*arguments, "1T").stdout)
        refused = self.isoflop(*arguments, "10B", code=4).stderr
        self.assertIn("kRepeatedData: D* 59.7B passes the 10.0B unique tokens", refused)
        self.assertIn("cure: --form data_constrained", refused)
        self.assertIn("--inference-tokens: is asked of a budget",
                      self.isoflop("predict", EPOCH, "--loss", "2.3", "--inference-tokens", "2T", code=2).stderr)

    def test_predict_tells_the_band_of_the_law_and_of_one_run(self):
        out = self.isoflop("predict", EPOCH, "--outliers", "5", "--draws", "400", "--params", "1.3B", "--tokens", "26B").stdout
        law_lo, law_hi, run_lo, run_hi = (float(x) for x in re.search(
            r"^loss [\d.]+ \[([\d.]+), ([\d.]+)\].*  a new run \[([\d.]+), ([\d.]+)\]$", out, re.M).groups())
        self.assertLess(run_lo, law_lo)
        self.assertGreater(run_hi, law_hi)

    def test_start_grid_is_a_line(self):
        out = self.isoflop("fit", EPOCH, "--outliers", "5", "--draws", "0", "--start-grid").stdout
        self.assertRegex(out, r"(?m)^ start grid: best f 0\.00101827\d* at a 0\.51\d+, the certified optimum; \d+ of 4500 starts "
                              r"reach it, \d+ stopped early$")
        self.assertIn("has starts for the form 'chinchilla' only",
                      self.isoflop("fit", EPOCH, "--form", "tied", "--start-grid", code=2).stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
