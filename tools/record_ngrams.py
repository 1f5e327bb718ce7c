#!/usr/bin/env python3
"""Records what NLTK says about n-gram models, for tests/corpus/ngram_model_test.cc.

    pip install nltk==3.10.4 && python tools/record_ngrams.py
                             # writes tests/corpus/golden/ngram_perplexity.txt

Training text: the ids of a small deterministic stream, whose first five tokens it
repeats at its end (at the very start of a stream NLTK and we count contexts that
are not there in different ways). Each line of the golden file: model, order,
perplexity of the held-out stream. Vocabulary: 24 ids, of which 20 occur and one
more stands for NLTK's <UNK>.
"""
import pathlib

import nltk
from nltk.lm import KneserNeyInterpolated, Lidstone

MASK = (1 << 64) - 1
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/corpus/golden/ngram_perplexity.txt"
USED = 20


def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def stream(seed, count):
    """A Markov chain: the next id is near a function of the last."""
    ids = list(range(USED))
    for i in range(count):
        noise = splitmix64(1000003 * seed + i)
        ids.append((7 * ids[-1] + 3 + noise % 4) % USED if noise % 5 else (noise >> 8) % USED)
    return ids + ids[:5]


def ngrams(ids, order):
    """Of every length up to `order`, each that ends at a token behind the first."""
    for i in range(1, len(ids)):
        for n in range(1, min(order, i + 1) + 1):
            yield tuple(str(t) for t in ids[i - n + 1 : i + 1])


def longest(ids, order):
    for i in range(1, len(ids)):
        yield tuple(str(t) for t in ids[max(0, i - order + 1) : i + 1])


def main():
    train, held = stream(1, 1500), stream(2, 300)
    lines = [f"# NLTK {nltk.__version__}; model order perplexity"]
    for order in range(1, 6):
        models = [("lidstone", Lidstone(0.5, order))]
        if order > 1:
            models.append(("kneser_ney", KneserNeyInterpolated(order, discount=0.6)))
        for name, model in models:
            model.fit([list(ngrams(train, order))], [str(t) for t in range(USED)])
            assert len(model.vocab) == USED + 1
            perplexity = model.perplexity(list(longest(held, order)))
            lines.append(f"{name} {order} {perplexity:.15g}")
            print(lines[-1])
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
