"""float32 ops: alone, and between DEQUANTIZE and QUANTIZE as functions of one 8-bit tensor."""
import numpy as np
from net import Net
from record import kind

f32 = np.float32
# Options table and fields by op.
UNARY = {
    "ABS": ("AbsOptions", {}),
    "CEIL": (None, {}),
    "COS": ("CosOptions", {}),
    "ELU": (None, {}),
    "EXP": ("ExpOptions", {}),
    "FLOOR": (None, {}),
    "GELU": ("GeluOptions", {"approximate": False}),
    "HARD_SWISH": ("HardSwishOptions", {}),
    "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.2}),
    "LOG": (None, {}),
    "LOGISTIC": (None, {}),
    "NEG": ("NegOptions", {}),
    "RELU": (None, {}),
    "RELU6": (None, {}),
    "RELU_0_TO_1": (None, {}),
    "RELU_N1_TO_1": (None, {}),
    "ROUND": (None, {}),
    "RSQRT": (None, {}),
    "SIGN": ("SignOptions", {}),
    "SIN": (None, {}),
    "SQRT": (None, {}),
    "SQUARE": ("SquareOptions", {}),
    "TANH": (None, {}),
}
BINARY = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "POW": "PowOptions",
}
# Of numbers above 0 only: elsewhere they are no numbers, whose sign differs from machine to machine.
POSITIVE = {"LOG", "SQRT", "RSQRT", "POW"}


def unary(d, n, name, x, shape):
    options, fields = UNARY[name]
    fields = dict(fields)
    if name == "GELU":
        fields["approximate"] = d.coin()
    if name == "LEAKY_RELU":
        fields["alpha"] = d.pick([0.1, 0.2, 0.01, 1.5, float(d.r.normal())])
    return n.op(name, [x], n.tensor(shape, "float32"), options, **fields)


@kind("FLOAT_UNARY")
def float_unary(d):
    """Of any floats."""
    name = d.pick(list(UNARY))
    shape = d.shape(1, 4, 400)
    n = Net()
    x = n.input(shape, "float32")
    y = unary(d, n, name, x, shape)
    values = d.r.normal(0, 1, shape) if d.coin() else d.r.uniform(-20, 20, shape)
    if d.coin(0.2):
        values = np.exp2(d.r.uniform(-20, 12, shape)) * d.pick([-1, 1])
    if name in POSITIVE:
        values = np.abs(values)
    return n.done(y), [[values.astype(f32)]], f"{name} {shape}"


def link(d, n, x, shape, positive):
    """One op of a chain. Returns tensor, name, whether its values are above 0."""
    if d.coin(0.6):
        while True:
            name = d.pick(list(UNARY))
            if positive or name not in POSITIVE:
                break
        return unary(d, n, name, x, shape), name, name in ("EXP", "LOGISTIC") or positive and name in ("SQUARE", "SQRT", "RSQRT")
    name = d.pick([b for b in BINARY if positive or b != "POW"])
    y = n.tensor(shape, "float32")
    how = d.pick(["constant", "constant", "self", "broadcast"])
    number = f32(d.pick([0.5, 2.0, -1.5, 3.0, 1e-3, 6.0, float(d.r.normal())]))
    if name == "POW":
        number = f32(d.pick([2.0, 0.5, 3.0, -1.0, 1.7, -0.5]))
        how = "constant"
    if how == "self":
        if name == "DIV":
            name = "MUL"
        other = x
    elif how == "constant":
        other = n.tensor(d.pick([[], [1]]), "float32", data=number)
    else:
        c = d.r.normal(0, 2, [shape[-1]]).astype(f32)
        other = n.tensor([shape[-1]], "float32", data=np.where(np.abs(c) < 0.1, f32(1), c))
    pair = [x, other] if name == "POW" or positive or name != "DIV" and d.coin() else [x, other]
    if how == "constant" and name not in ("POW", "DIV") and d.coin(0.3):
        pair = [other, x]
    fields = {"fusedActivationFunction": d.pick([0, 0, 0, 1, 3])} if name in ("ADD", "SUB", "MUL", "DIV") else {}
    n.op(name, pair, y, BINARY[name], version=1 if name in ("POW",) else 2, **fields)
    return y, f"{name} {how} {number}", False


@kind("FLOAT_CHAIN")
def float_chain(d):
    """DEQUANTIZE (or CAST), one to four ops, QUANTIZE or not."""
    dtype = d.pick(["int8", "int8", "uint8"])
    low = -128 if dtype == "int8" else 0
    shape = d.pick([[1, 16, 16, 1], [1, 8, 8, 4], [256], [4, 64], [1, 2, 4, 32]])
    n = Net()
    positive = d.coin(0.4)
    x = n.input(shape, dtype, d.scale(-7, -3), low - 0 if positive else d.zero(dtype))
    y = n.op("DEQUANTIZE", [x], n.tensor(shape, "float32"), version=2)
    names = []
    if positive:
        # Above 0, not at it.
        z = n.tensor(shape, "float32")
        n.op("ADD", [y, n.tensor([], "float32", data=f32(d.pick([1e-3, 1e-5, 0.01])))], z, "AddOptions", version=2)
        y = z
    outs = []
    for _ in range(d.int(1, 4)):
        y, name, positive = link(d, n, y, shape, positive)
        names.append(name)
        if d.coin(0.15):
            outs.append(y)
    if d.coin(0.7):
        q = n.tensor(shape, dtype, d.scale(-7, -3), d.zero(dtype))
        y = n.op("QUANTIZE", [y], q, version=2)
    outs.append(y)
    data = d.r.permutation(np.arange(low, low + 256)).astype(dtype).reshape(shape)
    return n.done(*dict.fromkeys(outs)), [[data]], f"{dtype} {shape} {names}"


@kind("POW")
def power(d):
    a, b = d.shape(1, 4, 300), []
    if d.coin():
        b = [v if d.coin() else 1 for v in a]
    dtype = d.pick(["float32", "float32", "int32"])
    n = Net()
    x = n.input(a, dtype)
    if dtype == "int32":
        xs, ys = d.values(a, dtype, -9, 9), d.values(b, dtype, 0, 6)
    else:
        xs, ys = np.exp2(d.r.uniform(-6, 6, a)).astype(f32), d.r.uniform(-4, 4, b).astype(f32)
        if d.coin(0.4):
            xs, ys = d.r.normal(0, 3, a).astype(f32), np.full(b, d.pick([2, 3, -1, 1, 0]), f32)
    constant = d.coin() or not b
    y = n.tensor(b, dtype, data=ys) if constant else n.input(b, dtype)
    z = n.op("POW", [x, y], n.tensor(a, dtype), "PowOptions")
    return n.done(z), [[xs] + ([] if constant else [ys])], f"{dtype} {a} {b}"


@kind("FLOAT_LOG_SOFTMAX")
def log_softmax(d):
    shape = d.shape(1, 4, 400)
    shape[-1] = d.pick([1, 2, 3, 4, 5, 8, 10, 13, 17, 21, 40, 100])
    n = Net()
    x = n.input(shape, "float32")
    y = n.op("LOG_SOFTMAX", [x], n.tensor(shape, "float32"), "LogSoftmaxOptions")
    return n.done(y), [[(d.r.normal(0, 1, shape) * d.pick([0.1, 1, 5, 40])).astype(f32)]], f"{shape}"


@kind("FLOAT_RESIZE_NEAREST_NEIGHBOR")
def resize_nearest(d):
    dtype = d.pick(["float32", "float32", "int8", "uint8"])
    size = [d.int(1, 2), d.int(1, 6), d.int(1, 6), d.int(1, 5)]
    out = [d.int(1, 13), d.int(1, 13)]
    n = Net()
    q = d.quantized(dtype)
    x = n.input(size, dtype, **q)
    y = n.tensor([size[0], *out, size[3]], dtype, **q)
    flags = d.pick([{}, {"alignCorners": True}, {"halfPixelCenters": True}])
    n.op("RESIZE_NEAREST_NEIGHBOR", [x, n.ints(out)], y, "ResizeNearestNeighborOptions", 3, **flags)
    return n.done(y), [[d.values(size, dtype)]], f"{dtype} {size} to {out} {flags}"
