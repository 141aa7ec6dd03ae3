"""Arithmetic: element by element, with broadcasting, over axes; matrix products.

8-bit ops of one input take all 256 values; scales and zero points reach from what converters write to extremes.
"""
import numpy as np
from net import Net
from record import kind

f32 = np.float32
EIGHT = ["int8", "uint8"]
# The newest version of each op that LiteRT knows, where it is not 2.
VERSIONS = dict.fromkeys("NEG ELU SQUARE FLOOR CEIL ROUND RELU_0_TO_1 RELU_N1_TO_1 HARD_SWISH POW PRELU SIGN ADD_N".split(), 1)
VERSIONS["FULLY_CONNECTED"] = 4
VERSIONS["LOCAL_RESPONSE_NORMALIZATION"] = 1
VERSIONS["L2_POOL_2D"] = 1
VERSIONS["CUMSUM"] = 1
VERSIONS["REDUCE_ANY"] = VERSIONS["REDUCE_ALL"] = 1


def op(m, name, inputs, outputs, options=None, **fields):
    m.op(name, inputs, outputs, options, VERSIONS.get(name, 2), **fields)


def limits(dtype):
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def zero_of(d, dtype):
    low, high = limits(dtype)
    return d.pick([low, high, (low + high + 1) // 2, d.int(low, high)])


def real(d, low, high):
    return f32(np.exp2(d.r.uniform(low, high)))


def noise(d, dtype, shape):
    if dtype == "float32":
        return d.r.normal(0, 3, shape).astype(f32)
    if dtype in ("int32", "int64"):
        return d.r.integers(-40, 41, shape).astype(dtype)
    if dtype == "bool":
        return d.r.random(shape) < d.r.uniform(0, 1)
    low, high = limits(dtype)
    return d.r.integers(low, high + 1, shape).astype(dtype)


def every(d, dtype):
    """All 256 values, mixed, as an image."""
    low, high = limits(dtype)
    return d.r.permutation(np.arange(low, high + 1)).astype(dtype).reshape(1, 16, 16, 1)


def parameters(d, dtype, low=-7, high=-2):
    """Random quantization of an 8-bit type, as Net.tensor takes it; none for others."""
    return {"scale": real(d, low, high), "zero": zero_of(d, dtype)} if dtype in EIGHT else {}


def dims(d, least=1, most=4, size=7):
    s = [d.int(1, size) for _ in range(d.int(least, most))]
    if s and d.coin(0.3):
        s[-1] = d.pick([8, 16, 17, 33, 40])
    return s


def broadcasting(d, most=4):
    """Two shapes and what they broadcast to."""
    out = dims(d, 1, most)

    def part():
        how = d.pick(["same", "same", "ones", "ones", "short", "scalar"])
        if how == "same":
            return list(out)
        if how == "scalar":
            return d.pick([[], [1]])
        s = [v if d.coin() else 1 for v in out]
        return s[d.int(0, len(s) - 1):] if how == "short" else s

    a, b = part(), part()
    return (list(out), b, out) if d.coin() else (a, list(out), out)


def unary(name, dtypes=("int8",), options=None, low=-7, high=0, positive=False, output=None, fields=lambda d: {}):
    """All values of one 8-bit input. `output`: scale and zero point that LiteRT demands."""

    @kind(name)
    def make(d):
        dtype = d.pick(dtypes)
        m = Net()
        scale = real(d, low, high)
        x = m.input([1, 16, 16, 1], dtype, scale, limits(dtype)[0] if positive else zero_of(d, dtype))
        if output:
            so, zo = output(dtype)
        else:
            so, zo = scale if d.coin(0.25) else real(d, low, high), zero_of(d, dtype)
        y = m.tensor([1, 16, 16, 1], dtype, so, zo)
        more = fields(d)
        op(m, name, [x], [y], options, **more)
        return m.done(y), [[every(d, dtype)]], f"{dtype} {more}"


unary("ABS")
unary("EXP", options="ExpOptions")
unary("LOG")
unary("SQRT", positive=True)
unary("RSQRT", positive=True)
unary("NEG", options="NegOptions")
unary("ELU")
unary("RELU_0_TO_1", EIGHT)
unary("RELU_N1_TO_1", EIGHT)
unary("RELU", EIGHT)
unary("RELU6", EIGHT)
unary("HARD_SWISH", EIGHT, "HardSwishOptions")
unary("GELU", EIGHT, "GeluOptions", fields=lambda d: {"approximate": d.coin()})
unary(
    "LEAKY_RELU",
    EIGHT,
    "LeakyReluOptions",
    fields=lambda d: {"alpha": d.pick([0.1, 0.2, 0.01, 0.3, -0.5, 1.5, 1e-4, 0.0, float(d.r.normal())])},
)
unary("LOGISTIC", EIGHT, output=lambda t: (1 / 256, limits(t)[0]))
unary("TANH", EIGHT, output=lambda t: (1 / 128, 0 if t == "int8" else 128))


def binary(name, dtypes=EIGHT, options=None, activation=False, nonzero=False, most=4, same=lambda d: False, output=None):
    @kind(name)
    def make(d):
        dtype = d.pick(dtypes)
        a, b, out = broadcasting(d, most)
        m = Net()
        qa, qb, qo = parameters(d, dtype), parameters(d, dtype), parameters(d, dtype, -7, -1)
        if same(d):
            qb = qo = qa
        elif output and qa:
            qo["scale"] = output(d, qa["scale"], qb["scale"])
        second = noise(d, dtype, b)
        if nonzero:
            z = qb.get("zero", 0) if name == "DIV" else 0
            second = np.where(second == z, second.astype(np.int64) + (1 if z < limits("int32" if not qb else dtype)[1] else -1), second)
            second = second.astype(dtype)
        constant = d.coin(0.35)
        if not a or not (b or constant):
            return None
        x = m.input(a, dtype, **qa)
        y = m.tensor(b, dtype, data=second, **qb) if constant else m.input(b, dtype, **qb)
        z = m.tensor(out, dtype, **qo)
        fields = {"fusedActivationFunction": d.pick([0, 0, 1, 2, 3])} if activation else {}
        pair = [x, y]
        if constant and not nonzero and name != "FLOOR_DIV" and d.coin(0.3):
            pair = [y, x]
        op(m, name, pair, [z], options, **fields)
        return m.done(z), [[noise(d, dtype, a)] + ([] if constant else [second])], f"{dtype} {a} {b} {fields}"


ORDER = dict(dtypes=EIGHT + EIGHT + ["int32", "float32"], options="MaximumMinimumOptions", most=5, same=lambda d: d.coin(0.7))
binary("MAXIMUM", **ORDER)
binary("MINIMUM", **ORDER)
binary(
    "SQUARED_DIFFERENCE",
    ["int8", "int8", "int32", "float32"],
    "SquaredDifferenceOptions",
    output=lambda d, a, b: f32(max(a, b) ** 2) * real(d, 1, 6),
)
binary("DIV", EIGHT + EIGHT + ["int32", "float32"], "DivOptions", True, True, 5, output=lambda d, a, b: f32(a / b) * real(d, -6, 0))
binary("FLOOR_DIV", ["int8", "int32", "float32"], "FloorDivOptions", nonzero=True)
binary("FLOOR_MOD", ["int8", "int32"], "FloorModOptions", nonzero=True)


@kind("PRELU")
def prelu(d):
    dtype = d.pick(EIGHT)
    shape = dims(d)
    slopes = [v if d.coin() else 1 for v in shape]
    if d.coin():
        slopes = slopes[d.int(0, len(slopes) - 1):]
    m = Net()
    q = parameters(d, dtype)
    alpha = noise(d, dtype, slopes)
    constant = d.coin()
    qa = parameters(d, dtype)
    x = m.input(shape, dtype, **q)
    s = m.tensor(slopes, dtype, data=alpha, **qa) if constant else m.input(slopes, dtype, **qa)
    y = m.tensor(shape, dtype, **(q if d.coin() else parameters(d, dtype)))
    op(m, "PRELU", [x, s], [y])
    return m.done(y), [[noise(d, dtype, shape)] + ([] if constant else [alpha])], f"{dtype} {shape} {slopes}"


def reducer(name, dtypes, output, kind_name=None):
    @kind(kind_name or name)
    def make(d):
        dtype = d.pick(dtypes)
        shape = dims(d, 1, 5, 6)
        rank = len(shape)
        axes = sorted(d.r.permutation(rank)[: d.int(1, rank)].tolist())
        keep = d.coin()
        kept = [1 if i in axes else v for i, v in enumerate(shape)] if keep else [v for i, v in enumerate(shape) if i not in axes]
        n = int(np.prod([shape[i] for i in axes]))
        given = [a - rank if d.coin(0.3) else a for a in axes]
        if d.coin(0.25):
            given = given[::-1]
        if len(given) == 1 and d.coin():
            given = given[0]
        m = Net()
        q = parameters(d, dtype)
        x = m.input(shape, dtype, **q)
        if q and not d.coin(0.3):
            q = {"scale": output(d, q["scale"], n), "zero": zero_of(d, dtype)}
        y = m.tensor(kept, dtype, **q)
        op(m, name, [x, m.ints(given)], [y], "ReducerOptions", keepDims=keep)
        return m.done(y), [[noise(d, dtype, shape)]], f"{dtype} {shape} over {given}"


WORDS = EIGHT + EIGHT + ["int32", "float32"]
reducer("REDUCE_MAX", WORDS, lambda d, s, n: real(d, -7, -2))
reducer("REDUCE_MIN", WORDS, lambda d, s, n: real(d, -7, -2))
reducer("SUM", EIGHT + EIGHT + ["int32"], lambda d, s, n: f32(s * np.sqrt(n)) * real(d, -1, 1.5))
reducer("SUM", ["int64"], None, "SUM-int64")
reducer("MEAN", EIGHT + EIGHT + ["int32"], lambda d, s, n: f32(s / np.sqrt(n)) * real(d, -1, 1.5))
reducer("REDUCE_PROD", ["int8", "int8", "int32"], lambda d, s, n: f32(min(1e30, float(s * 60.0) ** min(n, 20) / 100)) * real(d, -1, 1))
for logical in ("REDUCE_ANY", "REDUCE_ALL"):
    reducer(logical, ["bool"], None)


@kind("BATCH_MATMUL")
def batch_matmul(d):
    batch = [d.int(1, 3) for _ in range(d.int(0, 3))]
    a = [v if d.coin(0.7) else 1 for v in batch]
    b = [v if d.coin(0.7) else 1 for v in batch]
    if d.coin(0.3):
        a = a[d.int(0, len(a)):]
    if d.coin(0.3):
        b = b[d.int(0, len(b)):]
    rows, k, columns = (d.pick([1, 2, 3, 4, 5, 8, 13, 17, 32]) for _ in range(3))
    adj_x, adj_y = d.coin(), d.coin()
    sa = a + ([k, rows] if adj_x else [rows, k])
    sb = b + ([columns, k] if adj_y else [k, columns])
    qa, qb = parameters(d, "int8"), parameters(d, "int8")
    if d.coin():
        qb["zero"] = 0
    constant = d.coin(0.2)
    second = noise(d, "int8", sb)
    m = Net()
    x = m.input(sa, "int8", **qa)
    w = m.tensor(sb, "int8", data=second, **qb) if constant else m.input(sb, "int8", **qb)
    scale = f32(qa["scale"] * qb["scale"] * np.sqrt(k) * 120) * real(d, -2, 1)
    y = m.tensor(list(np.broadcast_shapes(tuple(a), tuple(b))) + [rows, columns], "int8", scale, zero_of(d, "int8"))
    op(m, "BATCH_MATMUL", [x, w], [y], "BatchMatMulOptions", adjX=adj_x, adjY=adj_y)
    return m.done(y), [[noise(d, "int8", sa)] + ([] if constant else [second])], f"{sa} {sb} {adj_x} {adj_y} zero {qb['zero']}"


@kind("FULLY_CONNECTED_computed")
def fully_connected(d):
    dtype = d.pick(EIGHT)
    rows, k, columns = (d.pick([1, 2, 3, 4, 5, 8, 13, 17, 32]) for _ in range(3))
    shape = d.pick([[rows, k], [1, rows, k]])
    keep = d.coin()
    qa, qb = parameters(d, dtype), parameters(d, dtype)
    m = Net()
    x, w = m.input(shape, dtype, **qa), m.input([columns, k], dtype, **qb)
    bias = m.tensor([columns], "int32", f32(qa["scale"] * qb["scale"]), data=d.r.integers(-3000, 3000, columns)) if d.coin(0.4) else -1
    scale = f32(qa["scale"] * qb["scale"] * np.sqrt(k) * 120) * real(d, -2, 1)
    y = m.tensor(shape[:-1] + [columns] if keep else [rows, columns], dtype, scale, zero_of(d, dtype))
    act = d.pick([0, 0, 1, 2, 3])
    op(m, "FULLY_CONNECTED", [x, w, bias], [y], "FullyConnectedOptions", keepNumDims=keep, fusedActivationFunction=act)
    return m.done(y), [[noise(d, dtype, shape), noise(d, dtype, [columns, k])]], f"{dtype} {shape} [{columns},{k}] bias {bias} act {act}"


@kind("L2_NORMALIZATION")
def l2_normalization(d):
    dtype = d.pick(EIGHT)
    shape = dims(d)
    m = Net()
    q = parameters(d, dtype)
    x = m.input(shape, dtype, **q)
    y = m.tensor(shape, dtype, 1 / 128, 0 if dtype == "int8" else 128)
    op(m, "L2_NORMALIZATION", [x], [y], "L2NormOptions")
    data = noise(d, dtype, shape)
    if d.coin(0.2):
        data[..., : d.int(1, shape[-1])] = q["zero"]
    return m.done(y), [[data]], f"{dtype} {shape}"


@kind("LOG_SOFTMAX")
def log_softmax(d):
    dtype = d.pick(EIGHT)
    shape = dims(d, 1, 4, 5)
    shape[-1] = d.pick([1, 2, 3, 10, 21, 40, 200])
    m = Net()
    x = m.input(shape, dtype, real(d, -9, 0), zero_of(d, dtype))
    y = m.tensor(shape, dtype, 16 / 256, limits(dtype)[1])
    op(m, "LOG_SOFTMAX", [x], [y], "LogSoftmaxOptions")
    return m.done(y), [[noise(d, dtype, shape)]], f"{dtype} {shape}"


@kind("SOFTMAX")
def softmax(d):
    dtype = d.pick(EIGHT)
    shape = dims(d, 1, 5, 5)
    shape[-1] = d.pick([1, 2, 3, 10, 21, 40])
    m = Net()
    x = m.input(shape, dtype, real(d, -9, 0), zero_of(d, dtype))
    y = m.tensor(shape, dtype, 1 / 256, limits(dtype)[0])
    beta = d.pick([1.0, 1.0, 0.5, 2.0, 0.1])
    op(m, "SOFTMAX", [x], [y], "SoftmaxOptions", beta=beta)
    return m.done(y), [[noise(d, dtype, shape)]], f"{dtype} {shape} {beta}"
