"""LiteRT's answers for models: python tools/field/answers.py RUNS FILE...

One JSON object a line and file: {"file", "runs": [{"inputs": [base64...], "outputs": [base64...]}]}, or {"file", "refused": why}. Inputs are
zeros, then random ones over the type's whole range; the runs follow each other without a reset. Every file has a process of its own: LiteRT
takes the process down on some models. Needs ai-edge-litert 2.3.0 and numpy.
"""
import base64
import json
import os
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def make(detail, run, rng):
    shape, dtype = [int(d) for d in detail["shape"]], np.dtype(detail["dtype"])
    if run == 0:
        return np.zeros(shape, dtype)
    if dtype.kind == "f":
        return (rng.random(shape) * 2 - 1).astype(dtype)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.itemsize <= 2:
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, np.int64, endpoint=True).astype(dtype)
    return rng.integers(0, 4, shape).astype(dtype)


def b64(a):
    return base64.b64encode(a.tobytes()).decode()


def answer(file, runs):
    try:
        it = Interpreter(model_path=file, num_threads=1)
        it.allocate_tensors()
        it.reset_all_variables()
        rng = np.random.default_rng(7)
        out = []
        for run in range(runs):
            inputs = [make(d, run, rng) for d in it.get_input_details()]
            for d, x in zip(it.get_input_details(), inputs):
                it.set_tensor(d["index"], x)
            it.invoke()
            outputs = [it.get_tensor(d["index"]) for d in it.get_output_details()]
            out.append({"inputs": [b64(x) for x in inputs], "outputs": [b64(y) for y in outputs]})
        return {"file": file, "runs": out}
    except Exception as e:
        return {"file": file, "refused": str(e).splitlines()[0][:200] if str(e) else type(e).__name__}


for file in sys.argv[2:]:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        print(json.dumps(answer(file, int(sys.argv[1]))), flush=True)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status:
        print(json.dumps({"file": file, "refused": f"LiteRT ended with status {status}"}), flush=True)
