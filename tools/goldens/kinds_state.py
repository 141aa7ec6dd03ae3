"""Ops whose state outlives a run: resource variables, LSTM, SVDF. Their runs are sequences."""
import numpy as np
from ai_edge_litert import schema_py_generated as S
from net import Net
from record import kind


class Stream(Net):
    """A net with resource variables and the subgraph that initializes them."""

    def __init__(self):
        super().__init__()
        self.initials = []

    def handle(self, name):
        t = self.tensor([], "int32")
        self.graph.tensors[t].type = S.TensorType.RESOURCE
        self.op("VAR_HANDLE", [], t, "VarHandleOptions", container="", sharedName=name)
        return t

    def variable(self, name, shape, dtype, data, **q):
        """`data`: what it begins with; None: nothing initializes it."""
        if data is not None:
            self.initials.append((name, shape, dtype, data, q))
        return self.handle(name)

    def call_once(self):
        op = S.OperatorT()
        self.op("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
        self.graph.operators.insert(0, self.graph.operators.pop())
        return op

    def done(self, *outputs):
        if self.initials:
            self.call_once()
            main = self.graph
            self.graph = init = S.SubGraphT()
            init.tensors, init.operators, init.inputs, init.outputs = [], [], [], []
            for name, shape, dtype, data, q in self.initials:
                h = self.handle(name)
                self.op("ASSIGN_VARIABLE", [h, self.tensor(shape, dtype, data=data, **q)], [])
            self.graph = main
            self.model.subgraphs.append(init)
        return super().done(*outputs)


@kind("VARIABLES")
def variables(d):
    """A window that slides over what comes in, and one variable that is read, swapped or passed on."""
    dtype = d.pick(["int8", "int8", "uint8", "int16", "int32", "float32"])
    q = d.quantized(dtype)
    keep, fresh, c = d.int(1, 9), d.int(1, 4), d.int(1, 20)
    n = Stream()
    x = n.input([1, fresh, 1, c], dtype, **q)
    shape = [1, keep, 1, c]
    uniform = d.coin()
    start = np.full(shape, d.values([1], dtype)[0]) if uniform else d.values(shape, dtype)
    window = n.variable("window", shape, dtype, start, **q)
    old = n.tensor(shape, dtype, **q)
    n.op("READ_VARIABLE", [window], old)
    both = n.tensor([1, keep + fresh, 1, c], dtype, **q)
    n.op("CONCATENATION", [old, x], both, "ConcatenationOptions", axis=1)
    last = n.tensor(shape, dtype, **q)
    n.op("STRIDED_SLICE", [both, n.ints([0, fresh, 0, 0]), n.ints([1, keep + fresh, 1, c]), n.ints([1, 1, 1, 1])], last, "StridedSliceOptions")
    n.op("ASSIGN_VARIABLE", [window, last], [])
    outs = [both]
    what = d.pick(["none", "again", "swap", "copy", "late"])
    if what == "again":
        y = n.tensor(shape, dtype, **q)
        n.op("READ_VARIABLE", [n.handle("window")], y)
        outs.append(y)
    if what == "swap":
        other = n.variable("other", shape, dtype, d.values(shape, dtype), **q)
        a, b = n.tensor(shape, dtype, **q), n.tensor(shape, dtype, **q)
        n.op("READ_VARIABLE", [other], a)
        n.op("READ_VARIABLE", [window], b)
        n.op("ASSIGN_VARIABLE", [other, b], [])
        n.op("ASSIGN_VARIABLE", [window, a], [])
        outs.append(b)
    if what == "copy":
        flat = n.tensor([keep * c], dtype, **q)
        n.op("RESHAPE", [old, n.ints([keep * c])], flat)
        outs.append(flat)
    if what == "late":
        late = n.variable("late", shape, dtype, None)
        n.op("ASSIGN_VARIABLE", [late, old], [])
        y = n.tensor(shape, dtype, **q)
        n.op("READ_VARIABLE", [late], y)
        outs.append(y)
    runs = [[d.values([1, fresh, 1, c], dtype)] for _ in range(6)]
    return n.done(*outs), runs, f"{dtype} keeps {keep} of {fresh} new, {c} channels, {what}"


@kind("LSTM")
def lstm(d):
    batch, steps, inputs, cells = d.int(1, 3), d.int(1, 5), d.int(1, 40), d.int(1, 24)
    cifg, peephole, projected = d.coin(0.3), d.coin(0.3), d.coin(0.3)
    if peephole:
        projected = False
    outputs = d.int(1, 24) if projected else cells
    major = d.coin()
    cell_scale = 2.0 ** d.int(-15, -9)
    n = Net()
    x_scale, x_zero = d.scale(-6, 1), d.zero("int8")
    x = n.input([steps, batch, inputs] if major else [batch, steps, inputs], "int8", x_scale, x_zero)
    h_scale, h_zero = d.scale(-8, -5), d.zero("int8")
    # Gates should neither be always saturated nor always near zero.
    reach = d.r.uniform(0.5, 4)

    def weights(rows, columns, scale):
        w = d.values([rows, columns], "int8", -127, 127)
        return n.tensor([rows, columns], "int8", reach / (127 * 128 * scale * np.sqrt(columns) / 2), data=w)

    def bias(size):
        return n.tensor([size], "int32", 1.0, data=d.values([size], "int32", -3000, 3000))

    w = [-1 if cifg and g == 0 else weights(cells, inputs, x_scale) for g in range(4)]
    r = [-1 if cifg and g == 0 else weights(cells, outputs, h_scale) for g in range(4)]
    b = [-1 if cifg and g == 0 else bias(cells) for g in range(4)]
    p = [-1, -1, -1]
    if peephole:
        p = [-1 if cifg and g == 0 else n.tensor([cells], "int16", d.scale(-16, -13), data=d.values([cells], "int16")) for g in range(3)]
    hidden_scale, hidden_zero = (d.scale(-8, -6), d.zero("int8")) if projected else (h_scale, h_zero)
    projection = [-1, -1]
    if projected:
        pw = n.tensor([outputs, cells], "int8", d.scale(-9, -6), data=d.values([outputs, cells], "int8", -127, 127))
        projection = [pw, bias(outputs) if d.coin() else -1]
    hidden = n.tensor([batch, outputs], "int8", h_scale, h_zero, variable=True)
    cell = n.tensor([batch, cells], "int16", cell_scale, 0, variable=True)
    y = n.tensor([steps, batch, outputs] if major else [batch, steps, outputs], "int8", h_scale, h_zero)
    n.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [x, *w, *r, *p, *b, *projection, hidden, cell, -1, -1, -1, -1],
        y,
        "UnidirectionalSequenceLSTMOptions",
        fusedActivationFunction=S.ActivationFunctionType.TANH,
        cellClip=d.pick([0.0, 0.0, 10.0, 0.7]),
        projClip=d.pick([0.0, 0.3]) if projected else 0.0,
        timeMajor=major,
    )
    gates = [n.tensor([0], "int16", 2.0**-12, 0) for _ in range(4)]
    n.graph.operators[-1].intermediates = [*gates, n.tensor([0], "int8", hidden_scale, hidden_zero)]
    runs = [[d.values(n.graph.tensors[x].shape, "int8")] for _ in range(4)]
    note = f"{batch}x{steps}x{inputs} to {cells}, {outputs}{' cifg' * cifg}{' peephole' * peephole}{' projected' * projected}{' time-major' * major}"
    return n.done(y), runs, note


@kind("SVDF")
def svdf(d):
    batch, inputs, rank, units, depth = d.int(1, 3), d.int(1, 40), d.int(1, 3), d.int(1, 20), d.int(1, 12)
    filters = rank * units
    n = Net()
    x_scale = d.scale(-6, 1)
    x = n.input([batch, inputs], "int8", x_scale, d.zero("int8"))
    w_scale = d.scale(-9, -5)
    f = n.tensor([filters, inputs], "int8", w_scale, data=d.values([filters, inputs], "int8", -127, 127))
    t_scale = d.scale(-17, -13)
    t = n.tensor([filters, depth], "int16", t_scale, data=d.values([filters, depth], "int16", -32767, 32767) // 8)
    s_scale = x_scale * w_scale * 74 * 74 * np.sqrt(inputs) / 8000 * d.r.uniform(0.3, 4)
    bias = n.tensor([units], "int32", 1.0, data=d.values([units], "int32", -100000, 100000)) if d.coin(0.8) else -1
    state = n.tensor([batch, filters * depth], "int16", s_scale, 0, variable=True)
    y_scale = s_scale * t_scale * 8000 * 2000 * np.sqrt(depth * rank) / 64 * d.r.uniform(0.3, 4)
    y = n.tensor([batch, units], "int8", y_scale, d.pick([-128, d.zero("int8")]))
    n.op("SVDF", [x, f, t, bias, state], y, "SVDFOptions", rank=rank, fusedActivationFunction=S.ActivationFunctionType.RELU)
    runs = [[d.values([batch, inputs], "int8")] for _ in range(d.int(2, 14))]
    return n.done(y), runs, f"{batch}x{inputs}, rank {rank}, {units} units, depth {depth}"
