"""Ops on 16-bit activations, with 8-bit weights where there are weights: those that LiteRT runs.

Scales reach from what TensorFlow's converter writes to extremes; inputs reach the ends of int16, so that results saturate and
round at ties. The bias is int64, as the converter writes it, or int32.
"""
import numpy as np
from kinds_arithmetic import broadcasting, dims, op
from net import DTYPES, Net
from record import kind

f32 = np.float32
T = "int16"


def conv_output(size, k, stride, dilation, same):
    effective = (k - 1) * dilation + 1
    return -(-size // stride) if same else (size - effective) // stride + 1


def words(d, shape):
    """Values of one of several spreads, extremes among them."""
    spread = d.pick([32767, 32767, 8000, 300, 20])
    x = d.r.integers(-spread, spread + 1, shape)
    if d.coin(0.4):
        x = np.where(d.r.random(shape) < 0.15, 32767, np.where(d.r.random(shape) < 0.15, -32768, x))
    return x.astype(T)


def bias(d, b, n, scales, reach):
    """Constant bias of either width; `reach`: a typical sum, which a few go far beyond."""
    wide = d.coin(0.6)
    x = d.r.normal(0, max(1.0, reach), n)
    if wide and d.coin(0.3):
        x = x * d.pick([1.0, 30.0, 1000.0])
    limit = 2**39 if wide else 2**30
    return b.tensor([n], "int64" if wide else "int32", scales, 0, data=np.clip(x, -limit, limit).astype(np.int64)), wide


def bias_type(d, wide):
    return d.pick([0, DTYPES["int64"]]) if wide else DTYPES["int32"]


def weights(d, shape, per, axis=0):
    w = d.r.integers(-127, 128, shape)
    if d.coin(0.15):
        w = np.where(w < 0, -127, 127)
    if d.coin(0.1):
        w = np.where(w > 60, -128, w)
    n = shape[axis]
    return w, [d.scale(-11, -6) for _ in range(n)] if per else d.scale(-11, -6)


def window(d, groups, depthwise):
    same = d.coin()
    kh, kw = d.pick([1, 1, 2, 3, 3, 5]), d.pick([1, 1, 2, 3, 3, 5])
    sh, sw = (d.pick([1, 1, 2, 3]),) * 2 if depthwise or d.coin(0.7) else (d.pick([1, 2]), d.pick([1, 3]))
    dh, dw = (1, 1) if sh > 1 or sw > 1 or d.coin(0.7) else (d.pick([1, 2, 3]), d.pick([1, 2]))
    h, w = d.int(1, 9), d.int(1, 9)
    if not same:
        h, w = max(h, (kh - 1) * dh + 1), max(w, (kw - 1) * dw + 1)
    oh, ow = conv_output(h, kh, sh, dh, same), conv_output(w, kw, sw, dw, same)
    fields = dict(padding=0 if same else 1, strideH=sh, strideW=sw, dilationHFactor=dh, dilationWFactor=dw)
    return (kh, kw, h, w, oh, ow), dict(fields, fusedActivationFunction=d.pick([0, 0, 1, 2, 3]))


def output_scale(d, k, si, sw, reach):
    """So that a typical sum lands where rounding and saturation both show."""
    s = float(np.mean(sw)) * si * reach * 70 * np.sqrt(k) / 32767
    return float(f32(s * 2 ** d.r.uniform(-4, 3)))


@kind("int16-CONV_2D")
def conv(d):
    n, per = d.pick([1, 1, 2]), d.coin(0.7)
    ci, o, groups = d.pick([1, 2, 3, 4, 7, 8, 9, 16, 17, 40]), d.pick([1, 2, 3, 4, 5, 8, 11, 16]), 1
    if d.coin(0.15):
        groups = d.pick([2, 3])
        ci, o = groups * d.int(1, 5), groups * d.int(1, 4)
    (kh, kw, h, w, oh, ow), fields = window(d, groups, False)
    b = Net()
    si = d.scale(-15, -9)
    x = b.input([n, h, w, ci], T, si)
    filt, sw = weights(d, [o, kh, kw, ci // groups], per)
    data = [words(d, [n, h, w, ci]) for _ in range(2)]
    reach = float(np.mean(np.abs(data[0].astype(float)))) + 1
    k = kh * kw * ci // groups
    f = b.tensor([o, kh, kw, ci // groups], "int8", sw, 0, data=filt)
    bt, wide = bias(d, b, o, [si * v for v in sw] if per else si * sw, reach * 70 * np.sqrt(k))
    y = b.tensor([n, oh, ow, o], T, output_scale(d, k, si, sw, reach))
    # Without the type LiteRT reads a bias of 32 bits as 64.
    op(b, "CONV_2D", [x, f, bt], [y], "Conv2DOptions", quantizedBiasType=bias_type(d, wide), **fields)
    return b.done(y), [[v] for v in data], f"{[n, h, w, ci]} {kh}x{kw} to {o}, groups {groups}, {'int64' if wide else 'int32'} {fields}"


@kind("int16-DEPTHWISE_CONV_2D")
def depthwise(d):
    n, per = d.pick([1, 1, 2]), d.coin(0.8)
    ci, m = d.pick([1, 2, 3, 4, 7, 8, 9, 16, 17, 24]), d.pick([1, 1, 1, 2, 3])
    (kh, kw, h, w, oh, ow), fields = window(d, 1, True)
    o = ci * m
    b = Net()
    si = d.scale(-15, -9)
    x = b.input([n, h, w, ci], T, si)
    filt, sw = weights(d, [1, kh, kw, o], per, 3)
    data = [words(d, [n, h, w, ci]) for _ in range(2)]
    reach = float(np.mean(np.abs(data[0].astype(float)))) + 1
    f = b.tensor([1, kh, kw, o], "int8", sw, 0, data=filt, axis=3)
    bt, wide = bias(d, b, o, [si * v for v in sw] if per else si * sw, reach * 70 * np.sqrt(kh * kw))
    y = b.tensor([n, oh, ow, o], T, output_scale(d, kh * kw, si, sw, reach))
    op(b, "DEPTHWISE_CONV_2D", [x, f, bt], [y], "DepthwiseConv2DOptions", depthMultiplier=m, **fields)
    return b.done(y), [[v] for v in data], f"{[n, h, w, ci]} {kh}x{kw} x{m}, {'int64' if wide else 'int32'} {fields}"


@kind("int16-FULLY_CONNECTED")
def fully_connected(d):
    rows, k, o = d.pick([1, 1, 2, 5]), d.pick([1, 2, 3, 8, 15, 16, 17, 33, 64, 600, 700]), d.pick([1, 2, 3, 4, 7, 8, 10, 17])
    per = d.coin(0.6)
    shape = d.pick([[rows, k], [1, rows, k]])
    keep = d.coin()
    b = Net()
    si = d.scale(-15, -9)
    x = b.input(shape, T, si)
    filt, sw = weights(d, [o, k], per)
    data = [words(d, shape) for _ in range(2)]
    reach = float(np.mean(np.abs(data[0].astype(float)))) + 1
    f = b.tensor([o, k], "int8", sw, 0, data=filt)
    inputs, wide = [x, f, -1], None
    if d.coin(0.8):
        inputs[2], wide = bias(d, b, o, [si * v for v in sw] if per else si * sw, reach * 70 * np.sqrt(k))
    y = b.tensor(shape[:-1] + [o] if keep else [rows, o], T, output_scale(d, k, si, sw, reach))
    act = d.pick([0, 0, 1, 2, 3])
    op(b, "FULLY_CONNECTED", inputs, [y], "FullyConnectedOptions", keepNumDims=keep, fusedActivationFunction=act, quantizedBiasType=0 if wide is None or d.coin() else bias_type(d, wide))
    return b.done(y), [[v] for v in data], f"{shape} to {o}, per channel {per}, wide {wide} act {act}"


@kind("int16-FULLY_CONNECTED_computed")
def fully_connected_computed(d):
    """A filter of 16 bits, constant or not."""
    rows, k, o = d.pick([1, 2, 5]), d.pick([1, 3, 8, 17, 33, 300]), d.pick([1, 2, 4, 7, 17])
    constant, per = d.coin(), d.coin(0.3)
    b = Net()
    si = d.scale(-15, -9)
    x = b.input([rows, k], T, si)
    sw = [d.scale(-15, -9) for _ in range(o)] if constant and per else d.scale(-15, -9)
    second = words(d, [o, k])
    f = b.tensor([o, k], T, sw, 0, data=second) if constant else b.input([o, k], T, sw)
    first = words(d, [rows, k])
    size = float(np.mean(np.abs(first.astype(float))) * np.mean(np.abs(second.astype(float)))) + 1
    y = b.tensor([rows, o], T, float(f32(size * si * float(np.mean(sw)) * np.sqrt(k) / 32767 * 2 ** d.r.uniform(-3, 3))))
    act = d.pick([0, 0, 1, 2, 3])
    op(b, "FULLY_CONNECTED", [x, f, -1], [y], "FullyConnectedOptions", fusedActivationFunction=act)
    return b.done(y), [[first] + ([] if constant else [second])], f"[{rows},{k}] to {o} constant {constant} act {act}"


@kind("int16-TRANSPOSE_CONV")
def transpose_conv(d):
    n, h, w, c, o = d.pick([1, 1, 2]), d.int(1, 6), d.int(1, 6), d.int(1, 9), d.pick([1, 2, 3, 7, 8, 9, 16])
    s, k, same, per = d.int(1, 3), d.int(1, 4), d.coin(), d.coin(0.7)
    out = [n, h * s, w * s, o] if same else [n, (h - 1) * s + k, (w - 1) * s + k, o]
    b = Net()
    si = d.scale(-15, -9)
    x = b.input([n, h, w, c], T, si)
    filt, sw = weights(d, [o, k, k, c], per)
    f = b.tensor([o, k, k, c], "int8", sw, 0, data=filt)
    data = [words(d, [n, h, w, c]) for _ in range(2)]
    reach = float(np.mean(np.abs(data[0].astype(float)))) + 1
    inputs, wide = [b.ints(out), f, x], None
    if d.coin(0.7):
        t, wide = bias(d, b, o, [si * v for v in sw] if per else si * sw, reach * 70 * np.sqrt(c * k))
        inputs.append(t)
    y = b.tensor(out, T, output_scale(d, c * k, si, sw, reach))
    act = d.pick([0, 0, 1, 3])
    b.op("TRANSPOSE_CONV", inputs, y, "TransposeConvOptions", version=3, padding=0 if same else 1, strideW=s, strideH=s, fusedActivationFunction=act, quantizedBiasType=0 if wide is None else bias_type(d, wide))
    return b.done(y), [[v] for v in data], f"{[n, h, w, c]} to {out}, {k}x{k} stride {s}, {'SAME' if same else 'VALID'}, wide {wide}"


def pair(name, options, output, pot=False, fused=True, powers=False):
    @kind(f"int16-{name}")
    def make(d):
        a, c, out = broadcasting(d)
        constant = d.coin(0.3)
        if not a or not (c or constant):
            return None
        b = Net()
        qa, qb = d.scale(-16, -6), d.scale(-16, -6)
        if d.coin(0.3):
            qb = qa
        qo = output(d, qa, qb)
        fields = {"fusedActivationFunction": d.pick([0, 0, 1, 2, 3])} if fused else {}
        if pot and d.coin(0.7):
            fields["potScaleInt16"] = False
        # LiteRT ends the process where such sums broadcast.
        if powers and a == c and d.coin(0.5):
            low = d.int(-15, -8)
            qo = 2.0**low
            qa, qb = (qo, 2.0 ** (low - d.int(0, 4))) if d.coin() else (2.0 ** (low - d.int(0, 4)), qo)
            fields["potScaleInt16"] = d.coin()
        second = words(d, c)
        x = b.input(a, T, qa)
        y = b.tensor(c, T, qb, 0, data=second) if constant else b.input(c, T, qb)
        z = b.tensor(out, T, qo)
        operands = [y, x] if constant and d.coin(0.3) else [x, y]
        op(b, name, operands, [z], options, **fields)
        return b.done(z), [[words(d, a)] + ([] if constant else [second])], f"{a} {c} constant {constant} {fields}"


def near(d, a, b):
    return float(f32(max(a, b) * 2 ** d.r.uniform(-2, 2)))


def product(d, a, b):
    return float(f32(a * b * 32768 * 2 ** d.r.uniform(-4, 1)))


pair("ADD", "AddOptions", near, pot=True, powers=True)
pair("SUB", "SubOptions", near, pot=True, powers=True)
pair("MUL", "MulOptions", product)
pair("DIV", "DivOptions", lambda d, a, b: float(f32(a / b / 32768 * 2 ** d.r.uniform(0, 9))))
pair("FLOOR_DIV", "FloorDivOptions", near, fused=False)
pair("FLOOR_MOD", "FloorModOptions", near, fused=False)


def alike(name, options, more=lambda d: 1):
    """Two operands on one grid, or on several."""

    @kind(f"int16-{name}")
    def make(d):
        a, c, out = broadcasting(d, more(d))
        constant = d.coin(0.3)
        if not a or not (c or constant):
            return None
        b = Net()
        q = d.scale(-16, -6)
        second = words(d, c)
        x = b.input(a, T, q)
        y = b.tensor(c, T, q, 0, data=second) if constant else b.input(c, T, q)
        z = b.tensor(out, T, q)
        op(b, name, [x, y], [z], options)
        return b.done(z), [[words(d, a)] + ([] if constant else [second])], f"{a} {c}"


alike("MAXIMUM", "MaximumMinimumOptions", lambda d: 4)
alike("MINIMUM", "MaximumMinimumOptions", lambda d: 4)


def compare(name):
    @kind(f"int16-{name}")
    def make(d):
        a, c, out = broadcasting(d)
        if not a or not c:
            return None
        b = Net()
        q = d.scale(-16, -6)
        x, y, z = b.input(a, T, q), b.input(c, T, q if d.coin() else d.scale(-16, -6)), b.tensor(out, "bool")
        op(b, name, [x, y], [z], name.title().replace("_", "") + "Options")
        return b.done(z), [[words(d, a), words(d, c)]], f"{a} {c}"


for name in ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]:
    compare(name)


def unary(name, options=None, output=None, spread=(-15, -8), powers=None, fields=lambda d: {}, positive=False):
    """`output`: the scale that LiteRT demands."""

    @kind(f"int16-{name}")
    def make(d):
        b = Net()
        shape = [1, d.int(1, 5), d.pick([8, 16, 33]), d.int(1, 5)]
        si = 2.0 ** d.pick(powers) if powers and d.coin(0.4) else d.scale(*spread)
        so = output if output else (si if d.coin(0.2) else float(f32(si * 2 ** d.r.uniform(-2, 3))))
        x, y = b.input(shape, T, si), b.tensor(shape, T, so)
        more = fields(d)
        op(b, name, [x], [y], options, **more)
        data = words(d, shape)
        return b.done(y), [[np.abs(np.maximum(data, -32767)) if positive else data]], f"{shape} scale {si} to {so} {more}"


unary("LOGISTIC", output=1 / 32768, powers=[-12, -11, -13, -10])
unary("TANH", output=1 / 32768, powers=[-12, -11, -13, -10])
unary("RELU")
unary("RELU6")
unary("LEAKY_RELU", "LeakyReluOptions", fields=lambda d: {"alpha": d.pick([0.1, 0.2, 0.01, 0.3, -0.5, 1.5, 1e-4, 0.0, float(d.r.normal())])})
unary("ABS")
unary("NEG", "NegOptions")
unary("EXP", "ExpOptions", spread=(-18, -11))
unary("LOG", positive=True)
unary("SQRT", positive=True)
unary("RSQRT", positive=True)
unary("GELU", "GeluOptions", fields=lambda d: {"approximate": d.coin()})


@kind("int16-SOFTMAX")
def softmax(d):
    shape = [d.int(1, 3) for _ in range(d.int(0, 3))] + [d.pick([1, 2, 3, 10, 21, 40, 300])]
    b = Net()
    x, y = b.input(shape, T, d.scale(-17, -8)), b.tensor(shape, T, 1 / 32768)
    beta = d.pick([1.0, 1.0, 1.0, 0.5, 2.0, 0.1])
    op(b, "SOFTMAX", [x], [y], "SoftmaxOptions", beta=beta)
    return b.done(y), [[words(d, shape)] for _ in range(2)], f"{shape} beta {beta}"


@kind("int16-ADD-rounding")
def add_rounding(d):
    """Pairs whose sum depends on whether a scaled operand is rounded once or twice."""
    sa, sb = f32(d.scale(-11, -9)), f32(d.scale(-11, -9))
    so = f32(max(sa, sb) * d.r.uniform(0.8, 2))

    def multiplier(v):
        m, e = np.frexp(v)
        return int(round(m * 2**31)), int(e)

    def high(x, m):
        return (x * m + (1 << 30)) >> 31

    def shifted(x, s):
        return x if s <= 0 else (x >> s) + ((x & ((1 << s) - 1)) > (((1 << s) - 1) >> 1) + (x < 0))

    twice = 2 * float(max(sa, sb))
    (ma, ea), (mb, eb), (mo, eo) = (multiplier(v) for v in (float(sa) / twice, float(sb) / twice, twice / (2**15 * float(so))))
    a, b = (d.r.integers(-32768, 32768, 300000) for _ in range(2))
    once = high(a << (15 + ea), ma) + high(b << (15 + eb), mb)
    again = shifted(high(a << 15, ma), -ea) + shifted(high(b << 15, mb), -eb)
    at = np.nonzero(shifted(high(once, mo), -eo) != shifted(high(again, mo), -eo))[0]
    if len(at) < 2:
        return None
    # Blocks of 16 and what is left over.
    at = np.resize(at, 16 * d.int(0, 2) + d.int(1, 15))
    n = Net()
    x, y = n.input([len(at)], T, sa), n.input([len(at)], T, sb)
    z = n.op("ADD", [x, y], n.tensor([len(at)], T, so), "AddOptions", 2, potScaleInt16=False)
    return n.done(z), [[a[at].astype(np.int16), b[at].astype(np.int16)]], f"{len(at)}"


@kind("int16-SOFTMAX-int8")
def softmax_of_eight(d):
    dtype = d.pick(["int8", "uint8"])
    shape = [d.int(1, 3) for _ in range(d.int(0, 3))] + [d.pick([1, 2, 3, 10, 21, 40, 300])]
    b = Net()
    x, y = b.input(shape, dtype, d.scale(-9, 0), d.zero(dtype)), b.tensor(shape, T, 1 / 65536, -32768)
    beta = d.pick([1.0, 1.0, 1.0, 0.5, 2.0, 0.1])
    op(b, "SOFTMAX", [x], [y], "SoftmaxOptions", beta=beta)
    return b.done(y), [[d.values(shape, dtype)] for _ in range(2)], f"{dtype} {shape} beta {beta}"


def pool(name):
    @kind(f"int16-{name}")
    def make(d):
        n, c, same = d.pick([1, 1, 2]), d.pick([1, 2, 3, 7, 8, 9, 16, 17]), d.coin()
        kh, kw = d.pick([1, 2, 2, 3, 3, 5]), d.pick([1, 2, 2, 3, 3, 5])
        sh, sw = d.pick([1, 2, 2, 3]), d.pick([1, 2, 2, 3])
        h, w = d.int(1, 9), d.int(1, 9)
        if not same:
            h, w = max(h, kh), max(w, kw)
        q = d.scale(-15, -8)
        b = Net()
        x = b.input([n, h, w, c], T, q)
        y = b.tensor([n, conv_output(h, kh, sh, 1, same), conv_output(w, kw, sw, 1, same), c], T, q)
        fields = dict(padding=0 if same else 1, strideH=sh, strideW=sw, filterHeight=kh, filterWidth=kw, fusedActivationFunction=d.pick([0, 0, 1, 2, 3]))
        op(b, name, [x], [y], "Pool2DOptions", **fields)
        return b.done(y), [[words(d, [n, h, w, c])] for _ in range(2)], f"{[n, h, w, c]} {fields}"


pool("AVERAGE_POOL_2D")
pool("MAX_POOL_2D")


def reducer(name, output):
    @kind(f"int16-{name}")
    def make(d):
        shape = dims(d, 1, 4, 6)
        rank = len(shape)
        axes = sorted(d.r.permutation(rank)[: d.int(1, rank)].tolist())
        keep = d.coin()
        kept = [1 if i in axes else v for i, v in enumerate(shape)] if keep else [v for i, v in enumerate(shape) if i not in axes]
        n = int(np.prod([shape[i] for i in axes]))
        b = Net()
        q = d.scale(-15, -8)
        x = b.input(shape, T, q)
        y = b.tensor(kept, T, output(d, q, n))
        op(b, name, [x, b.ints([a - rank if d.coin(0.3) else a for a in axes])], [y], "ReducerOptions", keepDims=keep)
        return b.done(y), [[words(d, shape)] for _ in range(2)], f"{shape} over {axes}"


reducer("MEAN", lambda d, s, n: s if d.coin(0.3) else float(f32(s / np.sqrt(n) * 2 ** d.r.uniform(-1, 1.5))))
reducer("SUM", lambda d, s, n: s if d.coin(0.3) else float(f32(s * np.sqrt(n) * 2 ** d.r.uniform(-1, 1.5))))
reducer("REDUCE_MAX", lambda d, s, n: s)
reducer("REDUCE_MIN", lambda d, s, n: s)
reducer("REDUCE_PROD", lambda d, s, n: float(f32(min(1e30, float(s * 15000.0) ** min(n, 20) / 20000)) * f32(2 ** d.r.uniform(-1, 1))))


@kind("int16-BATCH_MATMUL")
def batch_matmul(d):
    batch = [d.int(1, 3) for _ in range(d.int(0, 2))]
    a, c = [v if d.coin(0.7) else 1 for v in batch], [v if d.coin(0.7) else 1 for v in batch]
    rows, k, columns = (d.pick([1, 2, 3, 4, 5, 8, 13, 17, 32]) for _ in range(3))
    adj_x, adj_y, constant = d.coin(), d.coin(), d.coin(0.2)
    sa, sb = a + ([k, rows] if adj_x else [rows, k]), c + ([columns, k] if adj_y else [k, columns])
    b = Net()
    qa, qb = d.scale(-15, -9), d.scale(-15, -9)
    first, second = words(d, sa), words(d, sb)
    x = b.input(sa, T, qa)
    w = b.tensor(sb, T, qb, data=second) if constant else b.input(sb, T, qb)
    size = float(np.mean(np.abs(first.astype(float))) * np.mean(np.abs(second.astype(float)))) + 1
    y = b.tensor(list(np.broadcast_shapes(tuple(a), tuple(c))) + [rows, columns], T, float(f32(size * qa * qb * np.sqrt(k) / 32767 * 2 ** d.r.uniform(-3, 3))))
    op(b, "BATCH_MATMUL", [x, w], [y], "BatchMatMulOptions", adjX=adj_x, adjY=adj_y)
    return b.done(y), [[first] + ([] if constant else [second])], f"{sa} {sb} {adj_x} {adj_y}"


@kind("int16-BATCH_MATMUL-int8")
def batch_matmul8(d):
    """Second operand of 8 bits."""
    rows, k, columns = (d.pick([1, 2, 3, 4, 5, 8, 13, 17, 32]) for _ in range(3))
    b = Net()
    x, w = b.input([2, rows, k], T, d.scale(-15, -9)), b.tensor([k, columns], "int8", d.scale(-9, -6), data=d.values([k, columns], "int8"))
    y = b.tensor([2, rows, columns], T, d.scale(-14, -7))
    op(b, "BATCH_MATMUL", [x, w], [y], "BatchMatMulOptions")
    return b.done(y), [[words(d, [2, rows, k])]], f"{rows} {k} {columns}"


def conversion(name, first, second):
    @kind(f"int16-QUANTIZE-{name}")
    def make(d):
        shape = d.shape(1, 4)
        b = Net()
        eight = lambda t: t in ("int8", "uint8")
        base = d.scale(-14, -9)

        def quantized(t, s):
            if t == "float32":
                return {}
            return {"scale": float(f32(s * (256 if eight(t) else 1))), "zero": d.zero(t)}

        if first == "float32":
            data = d.r.normal(0, d.pick([1, 3, 20]), shape).astype(f32)
            if d.coin(0.5):
                # Ties.
                data = ((d.r.integers(-40000, 40000, shape) + 0.5) * base).astype(f32)
            if d.coin(0.2):
                data = np.where(d.r.random(shape) < 0.3, d.pick([np.inf, -np.inf, 1e20, -1e20]), data).astype(f32)
        else:
            data = words(d, shape) if first == T else d.values(shape, first)
            if first == "int32":
                data = d.r.integers(-(2 ** d.pick([8, 17, 30])), 2 ** d.pick([8, 17, 30]), shape).astype("int32")
        x = b.input(shape, first, **quantized(first, base if d.coin(0.3) else base * 2 ** d.r.uniform(-3, 3)))
        y = b.tensor(shape, second, **quantized(second, base))
        if second == "float32":
            op(b, "DEQUANTIZE", [x], [y], "DequantizeOptions")
        else:
            op(b, "QUANTIZE", [x], [y], "QuantizeOptions")
        return b.done(y), [[data]], f"{first} to {second} {shape}"


for a, b in [("float32", T), (T, "float32"), (T, T), (T, "int8"), (T, "int32"), ("int8", T), ("uint8", T), ("int32", T)]:
    conversion(f"{a}-{b}", a, b)


@kind("int16-CONCATENATION")
def concatenation(d):
    shape = d.shape(1, 4, 100)
    axis, count, same = d.int(0, len(shape) - 1), d.int(2, 4), d.coin(0.7)
    b = Net()
    q = d.scale(-15, -8)
    inputs, data = [], []
    for _ in range(count):
        s = list(shape)
        s[axis] = d.int(1, 4)
        inputs.append(b.input(s, T, q if same else d.scale(-15, -8)))
        data.append(words(d, s))
    out = list(shape)
    out[axis] = sum(x.shape[axis] for x in data)
    y = b.tensor(out, T, q)
    op(b, "CONCATENATION", inputs, [y], "ConcatenationOptions", axis=axis)
    return b.done(y), [data], f"{out} axis {axis} one grid {same}"


def moved(name, make):
    """An op that moves data: `make(d, net, x, shape)` adds it and returns its outputs."""

    @kind(f"int16-{name}")
    def build(d):
        b = Net()
        q = d.scale(-15, -8)
        shape = d.shape(2, 4, 200)
        if name.startswith("RESIZE") or "BATCH" in name:
            shape = [d.pick([1, 1, 2]) if "BATCH" not in name else 4, 2 * d.int(1, 4), 2 * d.int(1, 4), 4 * d.int(1, 4)]
        x = b.input(shape, T, q)
        outs = make(d, b, x, shape, q)
        if outs is None:
            return None
        return b.done(*outs), [[words(d, shape)]], f"{shape}"


def out(b, shape, q, dtype=T):
    return b.tensor(shape, dtype, q)


def reshape(d, b, x, s, q):
    new = [int(np.prod(s[:2]))] + s[2:]
    return [b.op("RESHAPE", [x, b.ints(new)], out(b, new, q), "ReshapeOptions", newShape=new)]


def padded(name):
    def make(d, b, x, s, q):
        p = [[d.int(0, 2), d.int(0, 2)] if d.coin(0.7) else [0, 0] for _ in s]
        more = [] if name == "PAD" else [b.tensor([], T, q, data=words(d, []))]
        return [b.op(name, [x, b.ints(p), *more], out(b, [v + a + z for v, (a, z) in zip(s, p)], q), name.title().replace("2", "2") + "Options" if name == "PAD" else "PadV2Options", 2)]

    return make


def mirrored(d, b, x, s, q):
    p = [[d.int(0, min(2, v - 1)), d.int(0, min(2, v - 1))] for v in s]
    return [b.op("MIRROR_PAD", [x, b.ints(p)], out(b, [v + a + z for v, (a, z) in zip(s, p)], q), "MirrorPadOptions", 2, mode=0)]


def transposed(d, b, x, s, q):
    order = d.r.permutation(len(s)).tolist()
    return [b.op("TRANSPOSE", [x, b.ints(order)], out(b, [s[i] for i in order], q), "TransposeOptions", 4)]


def strided(d, b, x, s, q):
    begin = [d.int(0, v - 1) for v in s]
    step = [d.pick([1, 1, 2]) for _ in s]
    new = [-(-(v - a) // k) for v, a, k in zip(s, begin, step)]
    return [b.op("STRIDED_SLICE", [x, b.ints(begin), b.ints(s), b.ints(step)], out(b, new, q), "StridedSliceOptions", 2)]


def sliced(d, b, x, s, q):
    begin = [d.int(0, v - 1) for v in s]
    size = [d.int(1, v - a) for v, a in zip(s, begin)]
    return [b.op("SLICE", [x, b.ints(begin), b.ints(size)], out(b, size, q), "SliceOptions", 4)]


def split(d, b, x, s, q):
    axis = next((i for i, v in enumerate(s) if v % 2 == 0), None)
    if axis is None:
        return None
    new = [v // 2 if i == axis else v for i, v in enumerate(s)]
    outs = [out(b, new, q), out(b, new, q)]
    b.op("SPLIT", [b.ints(axis), x], outs, "SplitOptions", 4, numSplits=2)
    return outs


def split_v(d, b, x, s, q):
    axis = next((i for i, v in enumerate(s) if v > 1), None)
    if axis is None:
        return None
    first = d.int(1, s[axis] - 1)
    sizes = [first, s[axis] - first]
    outs = [out(b, [k if i == axis else v for i, v in enumerate(s)], q) for k in sizes]
    b.op("SPLIT_V", [x, b.ints(sizes), b.ints(axis)], outs, "SplitVOptions", 2, numSplits=2)
    return outs


def unpack(d, b, x, s, q):
    axis = d.int(0, len(s) - 1)
    outs = [out(b, s[:axis] + s[axis + 1 :], q) for _ in range(s[axis])]
    b.op("UNPACK", [x], outs, "UnpackOptions", 4, axis=axis, num=s[axis])
    return outs


def pack(d, b, x, s, q):
    axis = d.int(0, len(s))
    return [b.op("PACK", [x, x], out(b, s[:axis] + [2] + s[axis:], q), "PackOptions", 4, axis=axis, valuesCount=2)]


def resized(name):
    def make(d, b, x, s, q):
        size = [d.int(1, 12), d.int(1, 12)]
        align = d.coin(0.3)
        fields = dict(alignCorners=align, halfPixelCenters=not align and d.coin())
        return [b.op(name, [x, b.ints(size)], out(b, [s[0], *size, s[3]], q), "ResizeBilinearOptions" if "BILINEAR" in name else "ResizeNearestNeighborOptions", 4, **fields)]

    return make


def tiled(d, b, x, s, q):
    m = [d.pick([1, 2]) for _ in s]
    return [b.op("TILE", [x, b.ints(m)], out(b, [v * k for v, k in zip(s, m)], q), "TileOptions", 3)]


def broadcast_to(d, b, x, s, q):
    return [b.op("BROADCAST_TO", [x, b.ints([2] + s)], out(b, [2] + s, q), "BroadcastToOptions", 3)]


def reverse(d, b, x, s, q):
    return [b.op("REVERSE_V2", [x, b.ints([d.int(0, len(s) - 1)])], out(b, s, q), "ReverseV2Options", 3)]


def batches(name):
    def make(d, b, x, s, q):
        n, h, w, c = s
        new = [n * 4, h // 2, w // 2, c] if name[0] == "S" else [n // 4, h * 2, w * 2, c]
        return [b.op(name, [x, b.ints([2, 2]), b.ints([[0, 0], [0, 0]])], out(b, new, q), ("SpaceToBatchND" if name[0] == "S" else "BatchToSpaceND") + "Options", 3)]

    return make


def gather(d, b, x, s, q):
    index = d.r.integers(0, s[-1], [d.int(1, 4)])
    return [b.op("GATHER", [x, b.ints(index)], out(b, s[:-1] + list(index.shape), q), "GatherOptions", 4, axis=len(s) - 1)]


def gather_nd(d, b, x, s, q):
    index = np.stack([d.r.integers(0, s[0], 3), d.r.integers(0, s[1], 3)], 1)
    return [b.op("GATHER_ND", [x, b.ints(index)], out(b, [3] + s[2:], q), "GatherNdOptions", 4)]


def top_k(d, b, x, s, q):
    k = d.int(1, s[-1])
    outs = [out(b, s[:-1] + [k], q), b.tensor(s[:-1] + [k], "int32")]
    b.op("TOPK_V2", [x, b.ints(k)], outs, "TopKV2Options", 3)
    return outs


def select(d, b, x, s, q):
    c = b.tensor(s, "bool", data=d.r.integers(0, 2, s))
    return [b.op("SELECT_V2", [c, x, b.tensor(s, T, q, data=words(d, s))], out(b, s, q), "SelectV2Options")]


def cast(d, b, x, s, q):
    t = d.pick(["float32", "int32", "int8", "int64"])
    return [b.op("CAST", [x], b.tensor(s, t), "CastOptions", 4)]


def fill(d, b, x, s, q):
    return [b.op("ADD", [x, b.op("FILL", [b.ints(s), b.tensor([], T, q, data=words(d, []))], out(b, s, q), "FillOptions", 3)], out(b, s, q), "AddOptions", 2)]


def dims_of(d, b, x, s, q):
    t = b.op("EXPAND_DIMS", [x, b.ints(0)], out(b, [1] + s, q), "ExpandDimsOptions")
    return [b.op("SQUEEZE", [t], out(b, s, q), "SqueezeOptions", squeezeDims=[0])]


MOVED = dict(
    RESHAPE=reshape, PAD=padded("PAD"), PADV2=padded("PADV2"), MIRROR_PAD=mirrored, TRANSPOSE=transposed, STRIDED_SLICE=strided, SLICE=sliced,
    SPLIT=split, SPLIT_V=split_v, UNPACK=unpack, PACK=pack, RESIZE_BILINEAR=resized("RESIZE_BILINEAR"),
    RESIZE_NEAREST_NEIGHBOR=resized("RESIZE_NEAREST_NEIGHBOR"), TILE=tiled, BROADCAST_TO=broadcast_to, REVERSE_V2=reverse,
    SPACE_TO_BATCH_ND=batches("SPACE_TO_BATCH_ND"),
    BATCH_TO_SPACE_ND=batches("BATCH_TO_SPACE_ND"), GATHER=gather, GATHER_ND=gather_nd, TOPK_V2=top_k,
    SELECT_V2=select, CAST=cast, FILL=fill, EXPAND_DIMS=dims_of,
)
for name, make in MOVED.items():
    moved(name, make)
