"""Control flow whose steps the file decides: WHILE, IF, and branches that an input picks."""
import numpy as np
from ai_edge_litert import schema_py_generated as S
from net import Net
from record import kind


class Flow(Net):
    """A net whose other subgraphs are made by functions of (net, inputs), which give the outputs."""

    def body(self, make, *inputs):
        """`inputs`: (shape, dtype, quantization) of each. Returns the number of the subgraph."""
        main = self.graph
        self.graph = own = S.SubGraphT()
        own.tensors, own.operators, own.inputs, own.outputs = [], [], [], []
        own.inputs = [self.tensor(s, t, **q) for s, t, q in inputs]
        self.model.subgraphs.append(own)
        number = len(self.model.subgraphs) - 1
        own.outputs = list(make(list(own.inputs)))
        self.graph = main
        return number


def number(n, v):
    return n.tensor([], "int32", data=np.int32(v))


def counter(n, i, by=1):
    return n.op("ADD", [i, number(n, by)], n.tensor([], "int32"), "AddOptions")


def step(d, n, x, form):
    """One or two ops on x that give its form again."""
    shape, dtype, q = form
    y = n.tensor(shape, dtype, **q)
    how = d.pick(["add", "mul", "logistic", "dense", "maximum", "reverse"])
    c = d.values([shape[-1]], dtype)
    other = n.tensor([shape[-1]], dtype, data=c, **(d.quantized(dtype) if dtype != "int32" else {}))
    if how == "dense" and dtype == "int8":
        k = shape[-1]
        w = n.tensor([k, k], "int8", d.scale(-7, -4), 0, data=d.values([k, k], "int8", -127, 127))
        return n.op("FULLY_CONNECTED", [x, w, -1], y, "FullyConnectedOptions", keepNumDims=True), how
    if how == "mul":
        return n.op("MUL", [x, other], y, "MulOptions"), how
    if how == "maximum":
        return n.op("MAXIMUM", [x, n.tensor([shape[-1]], dtype, data=c, **q)], y, "MaximumMinimumOptions"), how
    if how == "reverse":
        return n.op("REVERSE_V2", [x, n.ints([len(shape) - 1])], y, "ReverseV2Options"), how
    return n.op("ADD", [x, other], y, "AddOptions"), "add"


def form_of(d):
    dtype = d.pick(["int8", "int8", "uint8", "int32", "float32"])
    shape = [1, d.int(1, 6), d.int(2, 17)]
    return shape, dtype, {"scale": d.scale(-6, -3), "zero": d.zero(dtype)} if dtype.endswith("int8") else {}


@kind("WHILE")
def loop(d):
    """A counter to a limit; a tensor that is changed at every step; one that is handed on; a row of it by the counter."""
    form = form_of(d)
    shape, dtype, q = form
    n = Flow()
    x = n.input(shape, dtype, **q)
    rows = d.int(1, 6)
    sequence = ([rows, shape[1], shape[2]], dtype, q)
    s = n.input(*sequence[:2], **q)
    scalar = ([], "int32", {})
    start, by = d.int(0, 2), d.int(1, 2)
    names = []

    def condition(t):
        c = n.tensor([], "bool")
        if d.coin(0.3):
            a = n.op("LESS", [t[0], number(n, rows)], n.tensor([], "bool"), "LessOptions")
            b = n.op("GREATER_EQUAL", [t[0], number(n, -5)], n.tensor([], "bool"), "GreaterEqualOptions")
            return [n.op("LOGICAL_AND", [a, b], c, "LogicalAndOptions")]
        return [n.op("LESS", [t[0], number(n, rows)], c, "LessOptions")]

    def body(t):
        i, acc, seq = t
        y, how = step(d, n, acc, form)
        names.append(how)
        if d.coin():
            row = n.op("GATHER", [seq, i], n.tensor(shape[1:], dtype, **q), "GatherOptions", axis=0)
            y = n.op("MAXIMUM", [y, row], n.tensor(shape, dtype, **q), "MaximumMinimumOptions")
        return [counter(n, i, by), y, seq]

    cond = n.body(condition, scalar, form, sequence)
    inside = n.body(body, scalar, form, sequence)
    outs = [n.tensor([], "int32"), n.tensor(shape, dtype, **q), n.tensor(sequence[0], dtype, **q)]
    n.op("WHILE", [number(n, start), x, s], outs, "WhileOptions", condSubgraphIndex=cond, bodySubgraphIndex=inside)
    results = [outs[1]]
    if d.coin():
        results.append(step(d, n, outs[1], form)[0])
    if d.coin(0.3):
        results.append(outs[0])
    runs = [[d.values(shape, dtype), d.values(sequence[0], dtype)] for _ in range(2)]
    return n.done(*results), runs, f"{dtype} {shape} {start}..{rows} by {by} {names}"


@kind("IF")
def branch(d):
    """By an input, or by a constant."""
    form = form_of(d)
    shape, dtype, q = form
    n = Flow()
    decided = d.coin(0.3)
    c = n.tensor([], "bool", data=np.array(d.coin())) if decided else n.input(d.pick([[], [1]]), "bool")
    x = n.input(shape, dtype, **q)
    names = []

    def side(t):
        y = t[0]
        for _ in range(d.int(0, 2) if decided else d.int(1, 2)):
            y, how = step(d, n, y, form)
            names.append(how)
        return [y]

    yes, no = n.body(side, form), n.body(side, form)
    y = n.tensor(shape, dtype, **q)
    n.op("IF", [c, x], y, "IfOptions", thenSubgraphIndex=yes, elseSubgraphIndex=no)
    results = [y, step(d, n, y, form)[0]] if d.coin() else [y]
    runs = []
    for flag in (True, False):
        value = d.values(shape, dtype)
        runs.append([value] if decided else [np.full(n.graph.tensors[c].shape, flag), value])
    return n.done(*results), runs, f"{dtype} {shape} {'constant' if decided else 'input'} {names}"
