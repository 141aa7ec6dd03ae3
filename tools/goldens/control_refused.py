"""Loops that Thimble refuses: python tools/goldens/control_refused.py > test/fixtures/control-flow.json

One JSON object of base64 .tflite files by name: `counted` by an input, `endless`, `long` (a million steps), `branches` with a GATHER in one.
Needs ai-edge-litert 2.3.0, numpy, flatbuffers; nothing is run.
"""
import base64
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import record  # noqa: E402,F401
from kinds_control import Flow, counter, number  # noqa: E402

SCALAR = ([], "int32", {})
FORM = ([1, 4], "int8", {"scale": 0.05, "zero": 3})


def loop(limit, by=1):
    """While i < limit: i += by, x += x. `limit`: None for an input."""
    n = Flow()
    x = n.input(FORM[0], **FORM[2])
    bound = n.input([], "int32") if limit is None else number(n, limit)
    less = n.body(lambda t: [n.op("LESS", [t[0], t[2]], n.tensor([], "bool"), "LessOptions")], SCALAR, FORM, SCALAR)
    double = lambda t: [counter(n, t[0], by), n.op("ADD", [t[1], t[1]], n.tensor(FORM[0], **FORM[2]), "AddOptions"), t[2]]
    body = n.body(double, SCALAR, FORM, SCALAR)
    outs = [n.tensor([], "int32"), n.tensor(FORM[0], **FORM[2]), n.tensor([], "int32")]
    n.op("WHILE", [number(n, 0), x, bound], outs, "WhileOptions", condSubgraphIndex=less, bodySubgraphIndex=body)
    return n.done(outs[1])


def branches():
    n = Flow()
    c, x, i = n.input([], "bool"), n.input(FORM[0], **FORM[2]), n.input([4], "int32")
    gather = lambda t: [n.op("GATHER", t, n.tensor(FORM[0], **FORM[2]), "GatherOptions", axis=1)]
    same = lambda t: [t[0]]
    sides = [n.body(make, FORM, ([4], "int32", {})) for make in (gather, same)]
    y = n.tensor(FORM[0], **FORM[2])
    n.op("IF", [c, x, i], y, "IfOptions", thenSubgraphIndex=sides[0], elseSubgraphIndex=sides[1])
    return n.done(y)


files = {"counted": loop(None), "endless": loop(5, 0), "long": loop(1_000_000), "branches": branches()}
json.dump({k: base64.b64encode(v).decode() for k, v in files.items()}, sys.stdout, indent=2)
print()
