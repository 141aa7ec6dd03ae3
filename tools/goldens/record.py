"""Records what LiteRT answers to small models of one op each: the op goldens.

    python tools/goldens/record.py OUT_DIR [--cases N] [--seed S] [KIND ...]

Writes OUT_DIR/KIND.jsonl.gz, one model a line: {"kind", "note", "model", "runs": [{"inputs": [..], "outputs": [..]}]}, the
model and tensors in base64 (a .tflite; row-major little-endian bytes). The runs of a model follow each other without a
reset in between. Equal arguments give equal bytes. test/goldens/ops is `--cases 12`, of
layers (kinds_layers.py but CONV_2D-3x3) 24, of 16-bit kinds 2 to 4; a few hundred cases a kind are for
judging a change: THIMBLE_OP_GOLDENS=OUT_DIR npx tsx test/index.ts op-goldens.
Needs ai-edge-litert 2.3.0, numpy, flatbuffers; default interpreter, one thread, x86-64.

A kind is a function of kinds_*.py: it takes Dice and returns (model bytes, [inputs of a run, ...], note), each run a list of arrays.
"""
import argparse
import base64
import glob
import gzip
import importlib.util
import io
import json
import os
import pathlib
import sys
import zlib

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here))
KINDS = {}


def kind(name):
    """Registers a generator of cases under a name."""

    def register(make):
        KINDS[name] = make
        return make

    return register


sys.modules.setdefault("record", sys.modules[__name__])


def load_kinds():
    for path in sorted(glob.glob(str(here / "kinds_*.py"))):
        spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def b64(a):
    return base64.b64encode(bytes(a)).decode()


def answers(model, runs):
    """LiteRT's outputs for every run, or None where it does not load or run the model."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    try:
        it = Interpreter(model_content=model, num_threads=1)
        it.allocate_tensors()
    except (RuntimeError, ValueError):
        return None
    it.reset_all_variables()
    lines = []
    for inputs in runs:
        for d, x in zip(it.get_input_details(), inputs):
            it.set_tensor(d["index"], np.asarray(x))
        try:
            it.invoke()
        except RuntimeError:
            return None
        outs = [(np.array(it.get_tensor(d["index"])), np.dtype(d["dtype"]).name) for d in it.get_output_details()]
        lines.append(
            {
                "inputs": [b64(np.ascontiguousarray(x).tobytes()) for x in inputs],
                "outputs": [{"dtype": n, "shape": list(a.shape), "data": b64(np.ascontiguousarray(a).tobytes())} for a, n in outs],
            }
        )
    return lines


def record(name, cases, seed, out):
    from net import Dice

    text = io.StringIO()
    made = refused = 0
    tries = 0
    while made < cases and tries < cases * 20:
        dice = Dice([seed, zlib.crc32(name.encode()), tries])
        tries += 1
        case = KINDS[name](dice)
        if case is None:
            continue
        model, runs, note = case
        lines = answers(model, runs)
        if lines is None:
            refused += 1
            continue
        made += 1
        text.write(json.dumps({"kind": name, "note": note, "model": b64(model), "runs": lines}, separators=(",", ":")) + "\n")
    data = gzip.compress(text.getvalue().encode(), 9, mtime=0)
    (out / f"{name}.jsonl.gz").write_bytes(data)
    print(f"{name}: {made} cases, {len(data)} bytes; LiteRT refused {refused}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--cases", type=int, default=12)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("kinds", nargs="*")
    a = p.parse_intermixed_args()
    load_kinds()
    unknown = [k for k in a.kinds if k not in KINDS]
    if unknown:
        p.error(f"no such kind: {', '.join(unknown)}; there are {', '.join(sorted(KINDS))}")
    a.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in a.kinds or sorted(KINDS):
        # LiteRT may take the whole process down on a model it should refuse: each kind has its own.
        pid = os.fork()
        if pid == 0:
            record(name, a.cases, a.seed, a.out)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if status:
            print(f"{name}: LiteRT ended with status {status}", flush=True)


if __name__ == "__main__":
    main()
