#!/usr/bin/env python3
"""Peers of `./dev bench quality` that live on PyPI; runs in the venv that bench_quality.py makes.

    quality_peers.py TRAIN.jsonl TEST.jsonl --encoder=DIR --cache=FILE.npz [--root-label=L] [--seed=1]

Prints one JSON object: for each peer its in-scope `best` accuracy (best route, out of scope never
allowed), in-scope `path` accuracy (out of scope allowed, at the peer's own operating point), `oos`
recall, seconds. Peers: TF-IDF (words 1-2, characters 3-5) + linear SVM; mean-pooled sentence
embeddings + logistic regression; both features + linear SVM; semantic-router with the same
embeddings and its own calibration. The embeddings are computed here, in numpy, from the same files
that build-hierarchy reads, and kept in FILE.npz.
"""
import argparse
import hashlib
import json
import os
import pathlib
import sys
import time
import warnings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin while they wait
import numpy as np

SVM = {"C": 1.0, "dual": True}
TOKENS = 128


def read(path):
    with open(path, encoding="utf-8", newline="\n") as rows:
        rows = [json.loads(line) for line in rows if line.strip()]
    return [r["text"] for r in rows], [r["label"] for r in rows]


class Encoder:
    """A BERT-family encoder in numpy: one text at a time in groups of equal length, fp32."""

    def __init__(self, folder):
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.w = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def ids(self, text):
        pieces = self.tokenizer.encode(text, add_special_tokens=False).ids
        room = TOKENS - 2
        if len(pieces) > room:
            head = room * 3 // 4
            pieces = pieces[:head] + pieces[len(pieces) - (room - head):]
        cls, sep = (self.tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]"))
        return [cls, *pieces, sep]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        mean = x.mean(-1, keepdims=True)
        x = x - mean
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.w[name + ".weight"] + self.w[name + ".bias"]

    def forward(self, ids):
        heads, width = self.config["num_attention_heads"], self.config["hidden_size"]
        n, length = ids.shape
        w = self.w
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:length]
        x = self.norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{layer}."
            q, k, v = (self.linear(x, at + f"attention.self.{p}").reshape(n, length, heads, -1).transpose(0, 2, 1, 3)
                       for p in ("query", "key", "value"))
            scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // heads))
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
            mixed = (scores @ v).transpose(0, 2, 1, 3).reshape(n, length, width)
            x = self.norm(x + self.linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            h = self.linear(x, at + "intermediate.dense")
            h = h * np.float32(0.5) * (1 + erf(h * np.float32(0.70710678)))
            x = self.norm(x + self.linear(h, at + "output.dense"), at + "output.LayerNorm")
        pooled = x.mean(1)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def embed(self, texts):
        all_ids = [self.ids(t) for t in texts]
        out = np.zeros((len(texts), self.config["hidden_size"]), np.float32)
        by_length = {}
        for i, ids in enumerate(all_ids):
            by_length.setdefault(len(ids), []).append(i)
        for length, rows in sorted(by_length.items()):
            step = max(1, 2048 // length)
            for at in range(0, len(rows), step):
                part = rows[at:at + step]
                out[part] = self.forward(np.array([all_ids[i] for i in part]))
        return out


def erf(x):
    """Abramowitz and Stegun 7.1.26: error below 1.5e-7 (scipy's takes three times as long)."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - p * np.exp(-x * x))


def cached_embeddings(folder, cache, texts):
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    cache = pathlib.Path(cache)
    if cache.exists():
        kept = np.load(cache)
        if str(kept["digest"]) == digest:
            return kept["rows"]
    rows = Encoder(folder).embed(texts)
    np.savez(cache, rows=rows, digest=np.array(digest))
    return rows


def judge(scores, classes, truth, root):
    """Scores [rows][classes] -> rates. Out of scope is a class among others where the set has it."""
    classes, truth = np.array(classes), np.array(truth)
    inside = truth != root if root else np.ones(len(truth), bool)
    real = np.array([c != root for c in classes])
    best = classes[real][scores[:, real].argmax(1)]
    said = classes[scores.argmax(1)]
    return {"best": float((best == truth)[inside].mean()), "path": float((said == truth)[inside].mean()),
            "oos": float((said == root)[~inside].mean()) if root and (~inside).any() else None}


def lexical(train, test):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    union = FeatureUnion([
        ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)),
        ("chars", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True))])
    return union.fit_transform(train), union.transform(test)


def semantic_router(train, labels, test, truth, vectors, root, seed):
    """1.1 has no threshold search any more: fit() calibrates confidences on held-out queries (here 10 % of
    the training rows, at most 1500, out-of-scope rows with the label None), and a query goes to the best
    route where that says it is right more likely than not."""
    import logging

    from semantic_router import IndexedRouter, Route
    from semantic_router.encoders import DenseEncoder

    logging.disable(logging.WARNING)
    lookup = {}
    for text, vector in zip(train + test, vectors):
        lookup.setdefault(text, vector)

    class Known(DenseEncoder):
        name: str = "all-MiniLM-L6-v2"

        def __call__(self, docs):
            return [lookup[d].tolist() for d in docs]

    order = np.random.RandomState(seed).permutation(len(train))
    held = order[:min(len(train) // 10, 1500)]
    kept = order[len(held):]
    utterances = {}
    for i in sorted(kept):
        if labels[i] != root:
            utterances.setdefault(labels[i], {})[train[i]] = None
    router = IndexedRouter(encoder=Known(), confidence_threshold=0.5,
                           routes=[Route(name=k, utterances=list(v)) for k, v in sorted(utterances.items())])
    router.fit([train[i] for i in held], [None if labels[i] == root else labels[i] for i in held])
    best, said = [], []
    for text in test:
        choice = router(text, threshold=-1.0)
        best.append(choice.name)
        said.append(choice.name if choice.confidence >= 0.5 else None)
    truth = np.array(truth, object)
    inside = np.array([t != root for t in truth]) if root else np.ones(len(truth), bool)
    best, said = np.array(best, object), np.array(said, object)
    return {"best": float((best == truth)[inside].mean()), "path": float((said == truth)[inside].mean()),
            "oos": float(np.mean([s is None for s in said[~inside]])) if (~inside).any() else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--root-label")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip-router", action="store_true")
    a = parser.parse_args()
    warnings.filterwarnings("ignore")
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    train, labels = read(a.train)
    test, truth = read(a.test)
    out = {}

    def peer(name, work):
        begin = time.monotonic()
        out[name] = work()
        out[name]["seconds"] = round(time.monotonic() - begin, 1)
        print(f"quality_peers: {name} {out[name]}", file=sys.stderr, flush=True)

    def linear(model, x, y):
        model.fit(x, labels)
        scores = model.decision_function(y)
        return judge(scores, model.classes_, truth, a.root_label)

    x, y = lexical(train, test)
    peer("lexical_svm", lambda: linear(LinearSVC(random_state=a.seed, **SVM), x, y))
    begin = time.monotonic()
    vectors = cached_embeddings(a.encoder, a.cache, train + test)
    print(f"quality_peers: embeddings {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    ex, ey = vectors[:len(train)], vectors[len(train):]
    peer("encoder_lr", lambda: linear(LogisticRegression(C=30, max_iter=300), ex, ey))
    both = [hstack([s, csr_matrix(2 * e)]).tocsr() for s, e in ((x, ex), (y, ey))]
    peer("encoder_lexical_svm", lambda: linear(LinearSVC(random_state=a.seed, **{**SVM, "C": 0.5}), *both))
    if not a.skip_router:
        peer("semantic_router",
             lambda: semantic_router(train, labels, test, truth, vectors, a.root_label, a.seed))
    print(json.dumps(out))


if __name__ == "__main__":
    main()
