"""float32 over rows, windows and matrices, and ops on 32-bit words: what stands before QUANTIZE and behind DEQUANTIZE."""
import numpy as np
from net import DTYPES, Net
from record import kind

f32 = np.float32


def noise(d, shape, scale=1.0):
    return (d.r.normal(0, scale, shape)).astype(f32)


def alone(d, name, shape, out, options=None, version=1, dtype="float32", data=None, more=(), **fields):
    """A model of one op; `more`: its further inputs, made by functions of the net."""
    n = Net()
    x = n.input(shape, dtype)
    y = n.op(name, [x, *[m(n) for m in more]], n.tensor(out, dtype), options, version, **fields)
    return n.done(y), [[noise(d, shape) if data is None else data]], f"{name} {dtype} {list(shape)} to {list(out)} {fields or ''}"


DEPTHS = [1, 2, 3, 5, 7, 8, 9, 10, 13, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 100]


@kind("FLOAT_SOFTMAX")
def softmax(d):
    shape = d.shape(1, 4, 60)
    shape[-1] = d.pick(DEPTHS)
    data = noise(d, shape, d.pick([0.1, 1, 5, 40]))
    return alone(d, "SOFTMAX", shape, shape, "SoftmaxOptions", data=data, beta=1.0)


@kind("FLOAT_L2_NORMALIZATION")
def l2_normalization(d):
    shape = d.shape(1, 4, 100)
    shape[-1] = d.pick(DEPTHS)
    return alone(d, "L2_NORMALIZATION", shape, shape, "L2NormOptions")


@kind("FLOAT_SUM")
def sums(d):
    return reduction(d, d.pick(["SUM", "MEAN"]))


@kind("FLOAT_REDUCE_PROD")
def products(d):
    return reduction(d, "REDUCE_PROD")


def reduction(d, name):
    shape = [d.pick([1, 2, 3, 4, 5, 8, 9]) for _ in range(d.int(1, 6))]
    shape[d.int(0, len(shape) - 1)] = d.pick(DEPTHS)
    while np.prod(shape) > 4000:
        shape[int(np.argmax(shape))] = 2
    rank = len(shape)
    axes = sorted(d.r.permutation(rank)[: d.int(1, rank)].tolist())
    keep = d.coin()
    out = [1 if i in axes else v for i, v in enumerate(shape)] if keep else [v for i, v in enumerate(shape) if i not in axes]
    given = [a - rank if d.coin(0.3) else a for a in axes]
    return alone(d, name, shape, out, "ReducerOptions", 2, more=[lambda n: n.ints(given)], keepDims=keep, data=noise(d, shape) + f32(d.pick([0, 0, 3])))


def from_eight(d, n, shape):
    """A float tensor of that shape from an int8 input, so that the model is no float one. Returns it and the input's data."""
    x = n.input(shape, "int8", d.scale(-7, -4), d.zero("int8"))
    return n.op("DEQUANTIZE", [x], n.tensor(shape, "float32"), version=2), d.values(shape, "int8")


def along(size, k, s, same):
    return -(-size // s) if same else (size - k) // s + 1


@kind("FLOAT_POOL")
def pool(d):
    name = d.pick(["AVERAGE_POOL_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"])
    h, w = d.int(1, 9), d.int(1, 9)
    kh, kw = d.int(1, min(h, 5)), d.int(1, min(w, 5))
    if d.coin(0.2):
        kh, kw = h, w
    sh, sw = (d.int(1, 3), d.int(1, 3)) if kh * kw > 1 else (1, 1)
    same = d.coin()
    n, c = d.int(1, 2), d.pick([1, 2, 3, 8, 9, 17])
    out = [n, along(h, kh, sh, same), along(w, kw, sw, same), c]
    act = d.pick([0, 0, 1, 3])
    fields = dict(padding=0 if same else 1, strideH=sh, strideW=sw, filterHeight=kh, filterWidth=kw, fusedActivationFunction=act)
    return alone(d, name, [n, h, w, c], out, "Pool2DOptions", **fields)


@kind("FLOAT_RESIZE_BILINEAR")
def resize(d):
    n, h, w, c = d.int(1, 2), d.int(1, 6), d.int(1, 6), d.int(1, 9)
    size = [d.int(1, 13), d.int(1, 13)]
    flags = d.pick([{}, {"alignCorners": True}, {"halfPixelCenters": True}])
    return alone(d, "RESIZE_BILINEAR", [n, h, w, c], [n, *size, c], "ResizeBilinearOptions", 3, more=[lambda b: b.ints(size)], **flags)


@kind("FLOAT_CONV")
def conv(d):
    name = d.pick(["CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
    n, h, w = d.int(1, 2), d.int(1, 7), d.int(1, 7)
    kh, kw = (d.int(1, 5), d.int(1, 5)) if d.coin(0.8) else (1, 1)
    sh, sw = d.int(1, 2), d.int(1, 2)
    dh, dw = (d.int(1, 2), d.int(1, 2)) if d.coin(0.3) and name[0] != "T" else (1, 1)
    same = d.coin()
    groups = d.pick([1, 1, 2]) if name == "CONV_2D" else 1
    inner = d.pick([1, 2, 3, 8, 17])
    c = groups * inner
    act = d.pick([0, 0, 1, 2, 3])
    b = Net()
    x, data = from_eight(d, b, [n, h, w, c])
    if name == "TRANSPOSE_CONV":
        o = d.pick([1, 3, 8, 17])
        kh, kw = max(kh, sh), max(kw, sw)
        out = [n, h * sh, w * sw, o] if same else [n, (h - 1) * sh + kh, (w - 1) * sw + kw, o]
        filt = b.tensor([o, kh, kw, c], "float32", data=noise(d, [o, kh, kw, c], 0.3))
        inputs = [b.ints(out), filt, x]
        if d.coin(0.7):
            inputs.append(b.tensor([o], "float32", data=noise(d, [o])))
        y = b.op(name, inputs, b.tensor(out, "float32"), "TransposeConvOptions", 4, padding=0 if same else 1, strideW=sw, strideH=sh, fusedActivationFunction=act)
        return b.done(y), [[data]], f"{name} {[n, h, w, c]} to {out} {kh}x{kw} stride {sh} {sw}"
    reach = (kh - 1) * dh + 1, (kw - 1) * dw + 1
    if not same and (reach[0] > h or reach[1] > w):
        return None
    m = d.pick([1, 1, 2])
    o = c * m if name[0] == "D" else groups * d.pick([1, 3, 8, 17])
    shape = [1, kh, kw, o] if name[0] == "D" else [o, kh, kw, inner]
    filt, bias = b.tensor(shape, "float32", data=noise(d, shape, 0.3)), b.tensor([o], "float32", data=noise(d, [o]))
    out = [n, along(h, reach[0], sh, same), along(w, reach[1], sw, same), o]
    fields = dict(padding=0 if same else 1, strideW=sw, strideH=sh, dilationWFactor=dw, dilationHFactor=dh, fusedActivationFunction=act)
    if name[0] == "D":
        fields["depthMultiplier"] = m
    y = b.op(name, [x, filt, bias], b.tensor(out, "float32"), "DepthwiseConv2DOptions" if name[0] == "D" else "Conv2DOptions", 2, **fields)
    return b.done(y), [[data]], f"{name} {[n, h, w, c]} to {out} {kh}x{kw} stride {sh} {sw} dilation {dh} {dw} groups {groups}"


@kind("FLOAT_MATMUL")
def matmul(d):
    rows, k, columns = (d.pick([1, 2, 3, 5, 8, 13, 17, 33]) for _ in range(3))
    b = Net()
    if d.coin():
        shape = d.pick([[rows, k], [1, rows, k]])
        keep = d.coin()
        x, data = from_eight(d, b, shape)
        w = b.tensor([columns, k], "float32", data=noise(d, [columns, k]))
        bias = b.tensor([columns], "float32", data=noise(d, [columns])) if d.coin() else -1
        out = shape[:-1] + [columns] if keep else [rows, columns]
        act = d.pick([0, 0, 1, 2, 3])
        y = b.op("FULLY_CONNECTED", [x, w, bias], b.tensor(out, "float32"), "FullyConnectedOptions", 5, keepNumDims=keep, fusedActivationFunction=act)
        return b.done(y), [[data]], f"FULLY_CONNECTED {shape} {columns}"
    batch = [d.int(1, 3) for _ in range(d.int(0, 2))]
    adj_x, adj_y = d.coin(), d.coin()
    sa = batch + ([k, rows] if adj_x else [rows, k])
    sb = [v if d.coin(0.7) else 1 for v in batch] + ([columns, k] if adj_y else [k, columns])
    x = b.input(sa, "float32")
    constant = d.coin(0.3)
    second = noise(d, sb)
    w = b.tensor(sb, "float32", data=second) if constant else b.input(sb, "float32")
    y = b.op("BATCH_MATMUL", [x, w], b.tensor(batch + [rows, columns], "float32"), "BatchMatMulOptions", adjX=adj_x, adjY=adj_y)
    return b.done(y), [[noise(d, sa)] + ([] if constant else [second])], f"BATCH_MATMUL {sa} {sb} {adj_x} {adj_y}"


@kind("FLOAT_PRELU")
def prelu(d):
    shape = d.shape(2, 4, 300)
    slopes = [v if d.coin() else 1 for v in shape][d.int(0, len(shape) - 1) :]
    data = noise(d, slopes)
    return alone(d, "PRELU", shape, shape, more=[lambda n: n.tensor(slopes, "float32", data=data)])


@kind("ARG_MAX32")
def arg_max(d):
    name = d.pick(["ARG_MAX", "ARG_MIN"])
    dtype = d.pick(["float32", "float32", "int32", "bool"]) if name == "ARG_MAX" else d.pick(["float32", "int32"])
    shape = d.shape(1, 4, 300)
    axis = d.int(0, len(shape) - 1)
    wide = d.coin()
    n = Net()
    x = n.input(shape, dtype)
    y = n.tensor([v for i, v in enumerate(shape) if i != axis], "int64" if wide else "int32")
    n.op(name, [x, n.ints(axis)], y, "ArgMaxOptions" if name == "ARG_MAX" else "ArgMinOptions", outputType=DTYPES["int64" if wide else "int32"])
    data = d.values(shape, dtype, *((-3, 3) if dtype != "bool" and d.coin() else ()))
    return n.done(y), [[np.round(data) if dtype == "float32" and d.coin() else data]], f"{name} {dtype} {shape} axis {axis}"


@kind("CUMSUM")
def cumsum(d):
    dtype = d.pick(["int32", "int64", "float32", "float32"])
    shape = d.shape(1, 4, 300)
    axis = d.int(-len(shape), len(shape) - 1)
    fields = {"exclusive": d.coin(), "reverse": d.coin()}
    return alone(d, "CUMSUM", shape, shape, "CumsumOptions", dtype=dtype, data=d.values(shape, dtype), more=[lambda n: n.ints(axis)], **fields)


@kind("ADD_N")
def add_n(d):
    dtype = d.pick(["int32", "float32", "float32"])
    shape = d.shape(1, 4, 200)
    n = Net()
    xs = [n.input(shape, dtype) for _ in range(d.int(2, 6))]
    y = n.op("ADD_N", xs, n.tensor(shape, dtype), "AddNOptions")
    return n.done(y), [[d.values(shape, dtype) for _ in xs]], f"{dtype} {shape} {len(xs)}"


@kind("ONE_HOT")
def one_hot(d):
    dtype = d.pick(["int8", "uint8", "int32", "float32", "bool", "int64"])
    shape = d.shape(1, 4, 60)
    depth = d.int(1, 6)
    axis = d.int(-1, len(shape))
    at = len(shape) if axis == -1 else axis
    n = Net()
    index = d.pick(["int32", "int64"])
    x = n.input(shape, index)
    q = d.quantized(dtype)
    on, off = (n.tensor([], dtype, data=d.values([], dtype), **q) for _ in range(2))
    y = n.tensor(shape[:at] + [depth] + shape[at:], dtype, **q)
    n.op("ONE_HOT", [x, n.ints(depth), on, off], y, "OneHotOptions", axis=axis)
    return n.done(y), [[d.r.integers(-1, depth + 1, shape).astype(index)]], f"{dtype} {shape} {depth} {axis}"


@kind("EMBEDDING_LOOKUP")
def embedding(d):
    dtype = d.pick(["float32", "float32", "int8", "uint8"])
    rows, rest = d.int(1, 9), d.shape(1, 3, 30)
    count = d.int(1, 7)
    n = Net()
    q = d.quantized(dtype)
    x = n.input([count], "int32")
    w = n.tensor([rows] + rest, dtype, data=d.values([rows] + rest, dtype), **q)
    y = n.op("EMBEDDING_LOOKUP", [x, w], n.tensor([count] + rest, dtype, **q), version=1 if dtype == "float32" else 3)
    return n.done(y), [[d.r.integers(0, rows, [count]).astype(np.int32)]], f"{dtype} {rows} {rest}"


@kind("SCATTER_ND")
def scatter(d):
    dtype = d.pick(["float32", "int32", "int64", "int8"])
    shape = d.shape(1, 4, 200)
    depth = d.int(1, len(shape))
    count = d.int(1, 6)
    places = np.stack([d.r.integers(0, v, count) for v in shape[:depth]], -1).astype(np.int32)
    n = Net()
    q = d.quantized(dtype)
    computed = d.coin()
    at = n.input([count, depth], "int32") if computed else n.ints(places)
    x = n.input([count] + shape[depth:], dtype, **q)
    y = n.op("SCATTER_ND", [at, x, n.ints(shape)], n.tensor(shape, dtype, **q), "ScatterNdOptions")
    return n.done(y), [([places] if computed else []) + [d.values([count] + shape[depth:], dtype)]], f"{dtype} {shape} {depth}"


@kind("GATHER-batch")
def gather(d):
    dtype = d.pick(["int8", "uint8", "int32", "float32"])
    shape = d.shape(2, 4, 200)
    batch = d.int(1, len(shape) - 1)
    axis = d.int(batch, len(shape) - 1)
    places = shape[:batch] + d.shape(0, 2, 12)
    n = Net()
    q = d.quantized(dtype)
    x, at = n.input(shape, dtype, **q), n.input(places, "int32")
    y = n.tensor(shape[:axis] + places[batch:] + shape[axis + 1 :], dtype, **q)
    n.op("GATHER", [x, at], y, "GatherOptions", 5, axis=axis, batchDims=batch)
    return n.done(y), [[d.values(shape, dtype), d.r.integers(0, shape[axis], places).astype(np.int32)]], f"{dtype} {shape} {places} axis {axis}"


@kind("COMPARE-5")
def compare(d):
    """Broadcasting over more dimensions than a record has loops."""
    out = [d.int(2, 3) for _ in range(5)]
    a = [v if d.coin() else 1 for v in out]
    b = [v if a[i] == 1 or d.coin() else 1 for i, v in enumerate(out)]
    dtype = d.pick(["int8", "int32", "float32"])
    n = Net()
    scales = [dict(scale=d.scale(-9, -1), zero=d.zero(dtype)) if dtype == "int8" else {} for _ in range(2)]
    x, z = n.input(a, dtype, **scales[0]), n.input(b, dtype, **scales[1])
    name = d.pick(["EQUAL", "LESS", "GREATER_EQUAL", "NOT_EQUAL"])
    options = "".join(w.title() for w in name.split("_")) + "Options"
    y = n.op(name, [x, z], n.tensor(out, "bool"), options, 2)
    return n.done(y), [[d.values(a, dtype, -3, 3), d.values(b, dtype, -3, 3)]], f"{name} {dtype} {a} {b}"


@kind("INT64")
def int64_pairs(d):
    """What LiteRT has of pairs of int64: indices that a model computes when it runs."""
    name = d.pick(["ADD", "SUB", "MUL", "FLOOR_MOD", "MAXIMUM", "MINIMUM"])
    shape = d.shape(1, 4, 80)
    other = [v if d.coin(0.7) else 1 for v in shape][d.int(0, len(shape) - 1) :]
    shapes = [shape, other] if d.coin() else [other, shape]
    n = Net()

    def values(s, second):
        x = d.r.integers(-(2**40), 2**40, s) if d.coin(0.4) else d.r.integers(-50, 50, s)
        return np.where(x == 0, 7, x) if name == "FLOOR_MOD" and second else x

    constant = d.coin(0.4)
    a = n.input(shapes[0], "int64")
    b = n.tensor(shapes[1], "int64", data=values(shapes[1], True)) if constant else n.input(shapes[1], "int64")
    y = n.tensor(np.broadcast_shapes(*shapes), "int64")
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}.get(name)
    n.op(name, [a, b], y, options)
    runs = [[values(shapes[0], False)] + ([] if constant else [values(shapes[1], True)]) for _ in range(2)]
    return n.done(y), runs, f"{name} {shapes[0]} with {shapes[1]}"
