#!/usr/bin/env python3
"""Families beside one another, by the programs themselves: a study of transformers with
counted models, a study of LSTMs, one report of both, and what one does with the trained
models. The export is read by transformers where the given Python has it.

families_test.py ISOFLOP TRAINER SOURCE_DIR PYTHON_WITH_TORCH"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ISOFLOP, TRAINER, SOURCE, PYTHON = sys.argv[1:5]

STUDY = """
name: {name}
data: {{path: {source}/configs/austen.txt.xz, eval: {{share: 1%, by: chapter, max_tokens: 20000}}, if_short: drop}}
model: {{family: {family}, ladder: {ladder}, sequence_length: 32{model}}}
{baselines}
grid: {{kind: isoflop, budgets: [1e9, 2e9, 4e9], sizes_per_budget: all, spread: 4, center: {{tokens_per_parameter: 15}}, tolerance: 5%}}
optimizer: {{lr_peak: {{value: 1e-2, at_d_model: 24, exponent: -0.5}}}}
batch: {{tokens: 128}}
resources: {{slot: cpu, slots_per_trial: 1}}
analysis: {{bootstrap: {{draws: 100}}}}
"""

# Logits of the exported model by transformers, and of the text that it generates greedily.
READ_EXPORT = """
import json, sys, torch, transformers
transformers.logging.set_verbosity_error()
model = transformers.LlamaForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
ids = torch.tensor([json.loads(sys.argv[2])])
with torch.no_grad():
    logits = model(ids).logits[0]
json.dump({"version": transformers.__version__, "losses": torch.nn.functional.cross_entropy(
    logits[:-1].double(), ids[0, 1:], reduction="none").tolist(), "logits": logits.tolist()}, sys.stdout)
"""


class FamiliesTest(unittest.TestCase):
    KEEP = os.environ.get("ISOFLOP_FAMILIES_KEEP")  # look at the store afterwards
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.KEEP or cls.temporary.name)
        cls.env = {**os.environ, "ISOFLOP_HOME": str(cls.folder / "home"), "NO_COLOR": "1", "CUDA_VISIBLE_DEVICES": "-1"}
        for name, family, ladder, model, baselines in (
            ("tiny-transformer", "transformer", "[[8,1,2], [16,1,2], [24,1,2], [32,1,2]]", ", activation: swiglu",
             "baselines: [{family: ngram, orders: [1, 2, 3], smoothing: [kneser_ney, add_k], tokens: 60K}]"),
            ("tiny-lstm", "lstm", "[[8,1], [16,1], [24,1], [32,1]]", "", ""),
        ):
            yaml = cls.folder / f"{name}.yaml"
            yaml.write_text(STUDY.format(name=name, source=SOURCE, family=family, ladder=ladder, model=model, baselines=baselines))
            cls.run_isoflop("run", yaml, "-y", "--slots", "2", "-o", cls.folder / name, codes=(0, 4))

    @classmethod
    def tearDownClass(cls):
        if not cls.KEEP:
            cls.temporary.cleanup()

    @classmethod
    def run_isoflop(cls, *words, codes=(0,), text=True):
        done = subprocess.run([ISOFLOP, *map(str, words)], env=cls.env, capture_output=True, text=text, timeout=600)
        if done.returncode not in codes:
            raise AssertionError(f"isoflop {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    @staticmethod
    def reads_exports():
        try:
            return subprocess.run([PYTHON, "-c", "import torch, transformers"], capture_output=True).returncode == 0
        except OSError:
            return False

    def query(self, sql):
        return json.loads(self.run_isoflop("query", sql, "-o", "json").stdout)

    def largest(self, study):
        rows = self.query(f"SELECT trial_id, final_loss_nats FROM observation WHERE study = '{study}' ORDER BY final_loss_nats")
        return rows[0]["trial_id"]

    def test_baselines_are_results_and_no_observations(self):
        rows = self.query("SELECT ngram_order, smoothing, tokens_trained, final_loss_nats FROM baseline ORDER BY smoothing, ngram_order")
        self.assertEqual([(row["smoothing"], row["ngram_order"]) for row in rows],
                         [("add_k", 1), ("add_k", 2), ("add_k", 3), ("kneser_ney", 1), ("kneser_ney", 2), ("kneser_ney", 3)])
        self.assertTrue(all(1.5 < row["final_loss_nats"] < 4 for row in rows), rows)
        losses = [row["final_loss_nats"] for row in rows if row["smoothing"] == "kneser_ney"]
        self.assertEqual(losses, sorted(losses, reverse=True), "a higher order tells more")
        observed = self.query("SELECT count(*) AS n FROM observation WHERE study = 'tiny-transformer'")[0]["n"]
        fit = self.run_isoflop("fit", "tiny-transformer", "--json", codes=(0, 4)).stdout
        self.assertEqual(json.loads(fit)["rows_read"], observed)
        status = self.run_isoflop("status", "tiny-transformer", "--trials").stdout
        self.assertIn("2-gram kneser_ney", status)
        self.assertIn(f"{observed}/{observed} observations", status)

    def test_the_report_shows_families_laws_and_multipliers(self):
        out = self.folder / "report"
        self.run_isoflop("report", "tiny-transformer", "--beside", "tiny-lstm", "-o", out, "--js", "off", codes=(0, 4))
        text = (out / "report.md").read_text()
        for words in ("Families", "3-gram, Kneser-Ney", "A law for each family", "Counted models", "Written by lstm", "Written by transformer", "Written by ngram"):
            self.assertTrue(words in text, f"report.md does not say '{words}'")
        svg = (out / "figures" / "fig20_families.svg").read_text()
        for words in ("transformer", "lstm"):
            self.assertTrue(words in svg, f"fig20_families.svg does not say '{words}'")
        # The better smoothing of each order has the line.
        rows = self.query("SELECT ngram_order, smoothing FROM baseline ORDER BY final_loss_nats DESC")
        best = {row["ngram_order"]: {"kneser_ney": "Kneser-Ney", "add_k": "add-k"}[row["smoothing"]] for row in rows}
        self.assertEqual(sorted(set(re.findall(r"\d-gram, [A-Za-z-]+", svg))), [f"{order}-gram, {best[order]}" for order in (1, 2, 3)])
        self.assertEqual(json.loads((out / "report.json").read_text())["schema"], "isoflop.report/1")
        # The recipe says what becomes of the state.
        self.run_isoflop("report", "tiny-lstm", "-o", out / "lstm", "--js", "off", codes=(0, 4))
        self.assertTrue("state reset at every window" in (out / "lstm" / "report.md").read_text())

    def test_a_finished_trial_is_measured_and_writes(self):
        trial = self.largest("tiny-lstm")
        text = self.folder / "chapter.txt"
        text.write_text("It is a truth universally acknowledged, that a single man in possession of a good fortune.\n" * 3)
        line = self.run_isoflop("perplexity", trial, text).stdout
        self.assertRegex(line, r"nats/token, perplexity .* bits/byte")
        self.assertIn(f"trial {trial}, step", line)
        made = json.loads(self.run_isoflop("generate", trial, "--prompt", "It is ", "-n", 60, "--seed", 3, "--json").stdout)
        again = json.loads(self.run_isoflop("generate", trial, "--prompt", "It is ", "-n", 60, "--seed", 3, "--json", "--no-cache").stdout)
        self.assertEqual(made["text"], again["text"])
        baseline = self.query("SELECT trial_id FROM baseline WHERE smoothing = 'kneser_ney' AND ngram_order = 3")[0]["trial_id"]
        self.assertRegex(self.run_isoflop("perplexity", baseline, text).stdout, "nats/token")
        self.assertGreater(len(self.run_isoflop("generate", baseline, "-n", 50, text=False).stdout), 10)
        for words in (("generate", trial, "--prompt", ""), ("attention", trial, "--text", "")):
            self.assertIn(f"{words[2]}: empty\ncure: ", self.run_isoflop(*words, codes=(2,)).stderr)
        dash = json.loads(self.run_isoflop("generate", trial, "--prompt=-n 3", "-n", 2, "--json").stdout)
        self.assertEqual(dash["prompt"], "-n 3", "a text that begins with a dash is a text")
        nothing = self.run_isoflop("generate", 99999, codes=(3,))
        self.assertIn("99999", nothing.stderr)
        trunkless = self.run_isoflop("attention", trial, "--text", "It is", codes=(2,))
        self.assertIn("no attention", trunkless.stderr)

    def test_transformers_reads_the_export(self):
        trial = self.largest("tiny-transformer")
        out = self.folder / "llama"
        self.run_isoflop("checkpoint", "export", trial, "-o", out)
        back = json.loads(self.run_isoflop("checkpoint", "import", out, "-o", self.folder / "back", "--json").stdout)["path"]
        original = next(iter(self.folder.glob(f"home/checkpoints/trial-{trial}/lease-*/step-*/model.safetensors")))
        self.assertEqual((pathlib.Path(back) / "model.safetensors").read_bytes(), original.read_bytes(), "bit for bit")
        text = "It is a truth universally a"
        ids = [256, *text.encode()]
        if not self.reads_exports():
            missing = f"transformers is not in '{PYTHON}': tools/setup.sh --with-transformers"
            if os.environ.get("ISOFLOP_TEST_TRANSFORMERS"):  # tools/test.sh installs it and wants this test
                self.fail(missing)
            self.skipTest(missing)
        read = subprocess.run([PYTHON, "-c", READ_EXPORT, str(out), json.dumps(ids)], capture_output=True, text=True,
                              env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}, timeout=300)
        self.assertEqual(read.returncode, 0, read.stderr)
        theirs = json.loads(read.stdout)
        # Our logits of each position, by the tool that reads the same checkpoint.
        told = subprocess.run([TRAINER, "logits", "--checkpoint", str(original.parent), "--text", text], env=self.env, capture_output=True, text=True)
        self.assertEqual(told.returncode, 0, told.stderr)
        ours = json.loads(told.stdout)["logits"]
        self.assertEqual(len(ours), len(ids))
        worst = max(abs(a - b) for row, other in zip(ours, theirs["logits"]) for a, b in zip(row, other))
        print(f"| export by transformers {theirs['version']}, logits | 1e-4 | {worst:.2g} |")
        self.assertLess(worst, 1e-4)

    def test_an_attention_of_twenty_tokens(self):
        trial = self.largest("tiny-transformer")
        picture = self.folder / "attention.svg"
        line = self.run_isoflop("attention", trial, "--text", "It is a truth univer"[:19], "--layer", 0, "-o", picture).stdout
        self.assertIn("over 20 tokens", line)
        numbers = json.loads(picture.with_suffix(".json").read_text())
        for head in numbers["weights"]:
            for query, row in enumerate(head):
                self.assertAlmostEqual(sum(row), 1, delta=1e-6)
                self.assertEqual(row[query + 1:], [0] * (len(row) - query - 1))
        self.assertEqual(self.run_isoflop("attention", trial, "--text", "It", "--layer", 7, codes=(2,)).stderr.count("0 to 0"), 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
