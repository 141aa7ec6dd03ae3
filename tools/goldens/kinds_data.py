"""Ops that move data."""
import numpy as np
from ai_edge_litert import schema_py_generated as S
from net import DTYPES, Net
from record import kind

WORDS = ["int8", "uint8", "int32", "float32"]


@kind("TILE")
def tile(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 5, 120)
    multiples = [d.pick([1, 1, 2, 3]) for _ in shape]
    n = Net()
    q = d.quantized(dtype)
    x = n.input(shape, dtype, **q)
    y = n.tensor([a * b for a, b in zip(shape, multiples)], dtype, **q)
    n.op("TILE", [x, n.ints(multiples, d.pick(["int32", "int64"]))], y)
    return n.done(y), [[d.values(shape, dtype)]], f"{dtype} {shape} x {multiples}"


@kind("TRANSPOSE_CONV-builtin")
def transpose_conv(d):
    """Forms that XNNPACK leaves to the builtin kernel: a computed output size, a kernel smaller than its stride."""
    dtype = d.pick(["int8", "int8", "uint8"])
    n, h, w, c, o = 1, d.int(1, 6), d.int(1, 6), d.int(1, 9), d.pick([1, 2, 3, 7, 8, 9, 16, 19])
    computed = d.coin(0.7)
    s = d.int(1, 3) if computed else d.int(2, 3)
    k = d.int(1, 4) if computed else d.int(1, s - 1)
    same = True if not computed else d.coin()
    out = [n, h * s, w * s, o] if same else [n, (h - 1) * s + k, (w - 1) * s + k, o]
    b = Net()
    si, so = d.scale(-8, -3), d.scale(-6, -1)
    x = b.input([n, h, w, c], dtype, si, d.zero(dtype))
    per = dtype == "int8" and d.coin()
    sw = [d.scale(-10, -5) for _ in range(o)] if per else d.scale(-10, -5)
    zw = 0 if dtype == "int8" else d.zero(dtype)
    low, high = (-127, 127) if dtype == "int8" else (0, 255)
    filt = b.tensor([o, k, k, c], dtype, sw, zw, data=d.values([o, k, k, c], dtype, low, high))
    if computed:
        # The batch of the input and three constants, as Keras writes it.
        shape = b.op("SHAPE", [x], b.tensor([4], "int32"), "ShapeOptions", outType=2)
        first = b.op("STRIDED_SLICE", [shape, b.ints([0]), b.ints([1]), b.ints([1])], b.tensor([], "int32"), "StridedSliceOptions", shrinkAxisMask=1)
        parts = [first] + [b.tensor([], "int32", data=v) for v in out[1:]]
        size = b.op("PACK", parts, b.tensor([4], "int32"), "PackOptions", valuesCount=4, axis=0)
    else:
        size = b.ints(out)
    inputs = [size, filt, x]
    if d.coin():
        inputs.append(b.tensor([o], "int32", sw if not per else [si * v for v in sw], 0, data=d.values([o], "int32", -20000, 20000)))
    y = b.tensor(out, dtype, so, d.zero(dtype))
    act = d.pick([0, 0, 1, 3])
    b.op("TRANSPOSE_CONV", inputs, y, "TransposeConvOptions", version=3, padding=0 if same else 1, strideW=s, strideH=s, fusedActivationFunction=act)
    note = f"{dtype} {[n, h, w, c]} to {out}, {k}x{k} stride {s}, {'SAME' if same else 'VALID'}"
    return b.done(y), [[d.values([n, h, w, c], dtype)] for _ in range(2)], note


def one(d, name, dtype, shape, out, more=(), options=None, q=None, version=1, **fields):
    """A model of one op on one input; `more`: its further inputs, made by functions of the net."""
    b = Net()
    q = d.quantized(dtype) if q is None else q
    x = b.input(shape, dtype, **q)
    rest = [m(b) for m in more]
    y = b.tensor(out, dtype, **q)
    b.op(name, [x, *rest], y, options, version, **fields)
    return b.done(y), [[d.values(shape, dtype)]], f"{dtype} {list(shape)} to {list(out)} {fields or ''}"


def pads(d, shape, most):
    return [[d.int(0, m), d.int(0, m)] if d.coin(0.7) else [0, 0] for m in (most(s) for s in shape)]


def grown(shape, p):
    return [s + a + b for s, (a, b) in zip(shape, p)]


@kind("PAD")
def pad(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 4, 120)
    p = pads(d, shape, lambda s: 3)
    return one(d, "PAD", dtype, shape, grown(shape, p), [lambda b: b.ints(p)])


@kind("PADV2")
def padv2(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 4, 120)
    p = pads(d, shape, lambda s: 3)
    q = d.quantized(dtype)
    value = d.values([], dtype)
    return one(d, "PADV2", dtype, shape, grown(shape, p), [lambda b: b.ints(p), lambda b: b.tensor([], dtype, data=value, **q)], q=q)


@kind("MIRROR_PAD")
def mirror_pad(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 4, 120)
    reflect = d.coin()
    p = pads(d, shape, lambda s: min(3, s - 1 if reflect else s))
    return one(d, "MIRROR_PAD", dtype, shape, grown(shape, p), [lambda b: b.ints(p)], "MirrorPadOptions", mode=0 if reflect else 1)


@kind("REVERSE_V2")
def reverse(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 4)
    first = d.int(0, len(shape) - 1)
    axes = list(range(first, d.int(first, len(shape) - 1) + 1))
    return one(d, "REVERSE_V2", dtype, shape, shape, [lambda b: b.ints(axes)], "ReverseV2Options")


@kind("REVERSE_SEQUENCE")
def reverse_sequence(d):
    dtype = d.pick(WORDS + ["int16", "int64"])
    shape = d.shape(2, 5)
    axis, batch = (int(v) for v in d.r.permutation(len(shape))[:2])
    lengths = d.r.integers(0 if d.coin(0.3) else 1, shape[axis] + 1, shape[batch])
    kind_of = d.pick(["int32", "int64"])
    return one(d, "REVERSE_SEQUENCE", dtype, shape, shape, [lambda b: b.ints(lengths, kind_of)], "ReverseSequenceOptions", seqDim=axis, batchDim=batch)


@kind("BROADCAST_TO")
def broadcast_to(d):
    dtype = d.pick(WORDS)
    out = d.shape(1, 5, 300)
    first = d.int(0, len(out) - 1)
    shape = [s if d.coin() else 1 for s in out[first:]]
    return one(d, "BROADCAST_TO", dtype, shape, out, [lambda b: b.ints(out, d.pick(["int32", "int64"]))], "BroadcastToOptions", version=3)


@kind("TRANSPOSE")
def transpose(d):
    dtype = d.pick(WORDS)
    shape = d.shape(2, 6)
    order = [int(v) for v in d.r.permutation(len(shape))]
    return one(d, "TRANSPOSE", dtype, shape, [shape[i] for i in order], [lambda b: b.ints(order)])


@kind("SPACE_TO_DEPTH")
def space_to_depth(d):
    k = d.int(1, 3)
    n, h, w, c = d.int(1, 2), d.int(1, 4), d.int(1, 4), d.int(1, 9)
    return one(d, "SPACE_TO_DEPTH", d.pick(WORDS), [n, h * k, w * k, c], [n, h, w, c * k * k], (), "SpaceToDepthOptions", blockSize=k)


@kind("DEPTH_TO_SPACE")
def depth_to_space(d):
    k = d.int(1, 3)
    n, h, w, c = d.int(1, 2), d.int(1, 4), d.int(1, 4), d.int(1, 9)
    return one(d, "DEPTH_TO_SPACE", d.pick(WORDS), [n, h, w, c * k * k], [n, h * k, w * k, c], (), "DepthToSpaceOptions", blockSize=k)


@kind("SPACE_TO_BATCH_ND")
def space_to_batch(d):
    k = [d.int(1, 3), d.int(1, 3)]
    p = [[d.int(0, 2), d.int(0, 2)] for _ in k]
    small = [d.int(1, 4) for _ in k]
    size = [s * b - a - z for s, b, (a, z) in zip(small, k, p)]
    if min(size) < 1:
        return None
    n, c = d.int(1, 2), d.int(1, 9)
    return one(d, "SPACE_TO_BATCH_ND", d.pick(WORDS), [n, *size, c], [n * k[0] * k[1], *small, c], [lambda b: b.ints(k), lambda b: b.ints(p)])


@kind("BATCH_TO_SPACE_ND")
def batch_to_space(d):
    k = [d.int(1, 3), d.int(1, 3)]
    p = [[d.int(0, 2), d.int(0, 2)] for _ in k]
    small = [d.int(1, 4) for _ in k]
    size = [s * b - a - z for s, b, (a, z) in zip(small, k, p)]
    if min(size) < 1:
        return None
    n, c = d.int(1, 2), d.int(1, 9)
    return one(d, "BATCH_TO_SPACE_ND", d.pick(WORDS), [n * k[0] * k[1], *small, c], [n, *size, c], [lambda b: b.ints(k), lambda b: b.ints(p)])


@kind("STRIDED_SLICE")
def strided_slice(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 4)
    begin, end, step, out = [], [], [], []
    masks = dict(beginMask=0, endMask=0, ellipsisMask=0, newAxisMask=0, shrinkAxisMask=0)
    given = d.int(1, len(shape))
    for i in range(given):
        s = shape[i]
        k = d.pick([1, 1, 1, 2, 3, -1, -2])
        a, z = d.int(-s, s - 1), d.int(-s - 1, s + 1)
        if d.coin(0.2):
            masks["beginMask"] |= 1 << i
        if d.coin(0.2):
            masks["endMask"] |= 1 << i
        if d.coin(0.2):
            masks["shrinkAxisMask"] |= 1 << i
            k = 1
        begin.append(a), end.append(z), step.append(k)
    # numpy says what is left.
    x = np.zeros(shape)
    index = []
    for i in range(given):
        if masks["shrinkAxisMask"] >> i & 1:
            index.append(0 if masks["beginMask"] >> i & 1 else begin[i])
        else:
            index.append(slice(None if masks["beginMask"] >> i & 1 else begin[i], None if masks["endMask"] >> i & 1 else end[i], step[i]))
    out = x[tuple(index)].shape
    if 0 in out:
        return None
    return one(d, "STRIDED_SLICE", dtype, shape, out, [lambda b: b.ints(begin), lambda b: b.ints(end), lambda b: b.ints(step)], "StridedSliceOptions", **masks)


@kind("SLICE")
def slice_(d):
    shape = d.shape(1, 5)
    begin = [d.int(0, s - 1) for s in shape]
    size = [-1 if d.coin(0.2) else d.int(1, s - b) for s, b in zip(shape, begin)]
    out = [s - b if k == -1 else k for s, b, k in zip(shape, begin, size)]
    t = d.pick(["int32", "int64"])
    return one(d, "SLICE", d.pick(WORDS), shape, out, [lambda b: b.ints(begin, t), lambda b: b.ints(size, t)])


@kind("GATHER")
def gather(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 4, 200)
    axis = d.int(0, len(shape) - 1)
    batch = d.int(0, axis) if d.coin(0.3) else 0
    inner = d.shape(0, 2, 12)
    places = [*shape[:batch], *inner]
    index = d.values(places, "int32", 0, shape[axis] - 1)
    out = [*shape[:axis], *inner, *shape[axis + 1 :]]
    if batch == 0 and d.coin(0.3):
        # Indices that the model is given.
        b = Net()
        q = d.quantized(dtype)
        x, i = b.input(shape, dtype, **q), b.input(places, d.pick(["int32", "int64"]))
        y = b.tensor(out, dtype, **q)
        b.op("GATHER", [x, i], y, "GatherOptions", axis=axis, batchDims=0)
        t = {v: k for k, v in DTYPES.items()}[b.graph.tensors[i].type]
        return b.done(y), [[d.values(shape, dtype), index.astype(t)]], f"{dtype} {shape} axis {axis} by {places} {t}"
    return one(d, "GATHER", dtype, shape, out, [lambda b: b.ints(index)], "GatherOptions", axis=axis - len(shape) if d.coin(0.2) else axis, batchDims=batch)


@kind("GATHER_ND")
def gather_nd(d):
    shape = d.shape(1, 4, 200)
    depth = d.int(1, len(shape))
    places = d.shape(0, 2, 12)
    index = np.stack([d.values(places, "int32", 0, s - 1) for s in shape[:depth]], -1)
    return one(d, "GATHER_ND", d.pick(WORDS), shape, [*places, *shape[depth:]], [lambda b: b.ints(index)])


@kind("SPLIT_V")
def split_v(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 4)
    axis = d.int(0, len(shape) - 1)
    left, sizes = shape[axis], []
    while left:
        sizes.append(d.int(1, left))
        left -= sizes[-1]
    b = Net()
    q = d.quantized(dtype)
    x = b.input(shape, dtype, **q)
    ys = [b.tensor([*shape[:axis], s, *shape[axis + 1 :]], dtype, **q) for s in sizes]
    b.op("SPLIT_V", [x, b.ints(sizes), b.tensor([], "int32", data=axis)], ys, "SplitVOptions", numSplits=len(sizes))
    return b.done(*ys), [[d.values(shape, dtype)]], f"{dtype} {shape} axis {axis} into {sizes}"


@kind("PACK")
def pack(d):
    dtype = d.pick(WORDS)
    shape = d.shape(0, 3, 100)
    axis = d.int(0, len(shape))
    n = d.int(1, 4)
    b = Net()
    q = d.quantized(dtype)
    xs = [b.input(shape, dtype, **q) for _ in range(n)]
    y = b.tensor([*shape[:axis], n, *shape[axis:]], dtype, **q)
    b.op("PACK", xs, y, "PackOptions", valuesCount=n, axis=axis)
    return b.done(y), [[d.values(shape, dtype) for _ in xs]], f"{dtype} {n} of {shape} along {axis}"


def binary(d, name, dtype, out_dtype="bool", scales=(-9, -1)):
    out = d.shape(1, 4, 200)
    a = [s if d.coin(0.8) else 1 for s in out]
    b = [s if d.coin(0.8) else 1 for s in out][d.int(0, len(out) - 1) :]
    y = np.broadcast_shapes(tuple(a), tuple(b))
    n = Net()
    grid = {"scale": d.scale(*scales), "zero": d.zero(dtype)} if dtype in ("int8", "uint8") else {}
    other = grid if d.coin() or not grid else {"scale": d.scale(*scales), "zero": d.zero(dtype)}
    x, z = n.input(a, dtype, **grid), n.input(b, dtype, **other)
    o = n.tensor(y, out_dtype)
    n.op(name, [x, z], o)
    low, high = (-3, 3) if dtype in ("int32", "int64") else (None, None)
    values = [d.values(s, dtype, low, high) for s in (a, b)]
    if dtype == "float32":
        values = [np.round(v) for v in values]
    return n.done(o), [values], f"{dtype} {a} with {b}"


@kind("COMPARE")
def compare(d):
    name = d.pick(["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"])
    return binary(d, name, d.pick(["int8", "uint8", "int32", "int64", "float32"]))


@kind("COMPARE-coarse")
def compare_coarse(d):
    """Scales on both sides of 1; of one of exactly 1 LiteRT ends the process."""
    name = d.pick(["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"])
    return binary(d, name, d.pick(["int8", "uint8"]), scales=d.pick([(-2, 3), (0.1, 13)]))


@kind("LOGICAL")
def logical(d):
    return binary(d, d.pick(["LOGICAL_AND", "LOGICAL_OR"]), "bool")


@kind("SELECT_V2")
def select(d):
    dtype = d.pick(WORDS)
    out = d.shape(1, 4, 200)
    shapes = [[s if d.coin(0.8) else 1 for s in out] for _ in range(3)]
    n = Net()
    q = d.quantized(dtype)
    ins = [n.input(shapes[0], "bool"), n.input(shapes[1], dtype, **q), n.input(shapes[2], dtype, **q)]
    y = n.tensor(np.broadcast_shapes(*map(tuple, shapes)), dtype, **q)
    n.op("SELECT_V2", ins, y, "SelectV2Options")
    return n.done(y), [[d.values(s, t) for s, t in zip(shapes, ("bool", dtype, dtype))]], f"{dtype} {shapes}"


@kind("CAST")
def cast(d):
    a, b = d.pick(["int8", "uint8", "int32", "int64", "float32", "bool"]), d.pick(["int8", "uint8", "int32", "int64", "float32", "bool"])
    shape = d.shape()
    n = Net()
    x = n.input(shape, a)
    y = n.tensor(shape, b)
    n.op("CAST", [x], y, "CastOptions", inDataType=DTYPES[a], outDataType=DTYPES[b])
    low, high = (0, 100) if "uint8" in (a, b) or a == "float32" else (None, None)
    if np.dtype(a).itemsize < 4:
        low = high = None
    return n.done(y), [[d.values(shape, a, low, high)]], f"{a} to {b} {shape}"


@kind("TOPK_V2")
def top_k(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 3)
    k = d.int(1, shape[-1])
    n = Net()
    q = d.quantized(dtype)
    x = n.input(shape, dtype, **q)
    ys = [n.tensor([*shape[:-1], k], dtype, **q), n.tensor([*shape[:-1], k], "int32")]
    n.op("TOPK_V2", [x, n.tensor([], "int32", data=k)], ys, "TopKV2Options")
    values = d.values(shape, dtype, *((-5, 5) if d.coin() else (None, None))) if dtype != "uint8" else d.values(shape, dtype)
    return n.done(*ys), [[values]], f"{dtype} {shape} {k}"


@kind("ARG_MIN")
def arg_min(d):
    dtype = d.pick(["int8", "uint8"])
    shape = d.shape(1, 4)
    axis = d.int(0, len(shape) - 1)
    n = Net()
    x = n.input(shape, dtype, **d.quantized(dtype))
    t = d.pick(["int32", "int64"])
    y = n.tensor([s for i, s in enumerate(shape) if i != axis], t)
    n.op("ARG_MIN", [x, n.tensor([], "int32", data=axis)], y, "ArgMinOptions", outputType=DTYPES[t])
    return n.done(y), [[d.values(shape, dtype)]], f"{dtype} {shape} {axis}"


@kind("CONV_2D-negative")
def conv_negative(d):
    """A filter with a negative scale, which XNNPACK refuses: the builtin kernel."""
    h, w, c, o = d.int(1, 6), d.int(1, 6), d.int(1, 9), d.pick([1, 3, 8, 11, 19])
    k, s = d.int(1, 3), d.int(1, 2)
    same = d.coin() or k > min(h, w)
    out = [1, -(-h // s), -(-w // s), o] if same else [1, (h - k) // s + 1, (w - k) // s + 1, o]
    b = Net()
    si = d.scale(-8, -3)
    x = b.input([1, h, w, c], "int8", si, d.zero("int8"))
    sw = np.array([d.scale(-10, -5) * d.pick([-1, 1, 1]) for _ in range(o)])
    sw[d.int(0, o - 1)] *= -1
    if min(sw) > 0:
        sw[0] = -sw[0]
    filt = b.tensor([o, k, k, c], "int8", sw, 0, data=d.values([o, k, k, c], "int8", -127, 127))
    bias = b.tensor([o], "int32", si * sw, 0, data=d.values([o], "int32", -20000, 20000))
    y = b.tensor(out, "int8", d.scale(-6, -1), d.zero("int8"))
    act = d.pick([0, 0, 1, 3])
    b.op("CONV_2D", [x, filt, bias], y, "Conv2DOptions", 3, padding=0 if same else 1, strideW=s, strideH=s, dilationWFactor=1, dilationHFactor=1, fusedActivationFunction=act)
    return b.done(y), [[d.values([1, h, w, c], "int8")] for _ in range(2)], f"{[h, w, c]} to {out} {k}x{k} stride {s}"


def stored(dense, order, block_map, blocks, sparse):
    """Values and level tables of a dense array stored in `order`; `sparse`: which levels keep only places that hold something."""
    rank = dense.ndim
    size = list(dense.shape)
    for d, b in zip(block_map, blocks):
        size[d] //= b
    extent = [size[d] if d < rank else blocks[d - rank] for d in order]

    def place(at):
        """Where a list of level indices is in the dense array; the levels left out give whole ranges."""
        out = [slice(None)] * rank
        known = dict(zip(order, at))
        for d in range(rank):
            if d not in known:
                continue
            block = blocks[block_map.index(d)] if d in block_map else 1
            start = known[d] * block
            if d in block_map and rank + block_map.index(d) in known:
                out[d] = slice(start + known[rank + block_map.index(d)], start + known[rank + block_map.index(d)] + 1)
            else:
                out[d] = slice(start, start + block)
        return tuple(out)

    values, segments, indices = [], [[0] for _ in order], [[] for _ in order]

    def walk(at):
        level = len(at)
        if level == len(order):
            values.append(dense[place(at)].reshape(-1)[0])
            return
        for i in range(extent[level]):
            if sparse[level]:
                if not np.any(dense[place([*at, i])]):
                    continue
                indices[level].append(i)
            walk([*at, i])
        if sparse[level]:
            segments[level].append(len(indices[level]))

    walk([])
    return np.array(values, dense.dtype), extent, segments, indices


def index_vector(values, wide):
    name = "Int32Vector" if wide or max(values, default=0) > 65535 else "Uint16Vector" if max(values, default=0) > 255 else "Uint8Vector"
    v = getattr(S, name + "T")()
    v.values = list(values)
    return getattr(S.SparseIndexVector, name), v


def sparse_constant(n, d, dense, **q):
    """A constant whose values are stored sparsely, in a random form of those that the format has."""
    rank = dense.ndim
    block_map, blocks = [], []
    for dim in range(rank):
        choices = [b for b in (2, 4) if dense.shape[dim] % b == 0]
        if choices and d.coin(0.3):
            block_map.append(dim)
            blocks.append(d.pick(choices))
    order = [int(v) for v in d.r.permutation(rank)] + [rank + int(v) for v in d.r.permutation(len(blocks))]
    sparse = [level < rank and d.coin() for level in range(len(order))]
    values, extent, segments, indices = stored(dense, order, block_map, blocks, sparse)
    t = n.tensor(dense.shape, str(dense.dtype), data=values, **q)
    s = S.SparsityParametersT()
    s.traversalOrder, s.blockMap, s.dimMetadata = order, block_map, []
    for level in range(len(order)):
        m = S.DimensionMetadataT()
        if sparse[level]:
            m.format = S.DimensionType.SPARSE_CSR
            m.arraySegmentsType, m.arraySegments = index_vector(segments[level], d.coin(0.3))
            m.arrayIndicesType, m.arrayIndices = index_vector(indices[level], d.coin(0.3))
        else:
            m.format, m.denseSize = S.DimensionType.DENSE, extent[level]
        s.dimMetadata.append(m)
    n.graph.tensors[t].sparsity = s
    return t, f"order {order}, blocks {blocks} of {block_map}, sparse {[int(v) for v in sparse]}"


@kind("DENSIFY")
def densify(d):
    """Weights of a float layer, or a plain constant, stored sparsely. Sparse 8-bit weights of a layer LiteRT refuses."""
    n = Net()
    what = d.pick(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAXIMUM", "MAXIMUM"])
    dtype = d.pick(["int8", "float32"]) if what == "MAXIMUM" else "float32"
    c, o = d.pick([3, 4, 8, 12]), d.pick([2, 4, 7, 8])
    k = d.int(1, 3)
    shape = {"CONV_2D": [o, k, k, c], "DEPTHWISE_CONV_2D": [1, k, k, c]}.get(what, [o, c])
    dense = (d.values(shape, dtype) * (d.r.random(shape) < d.pick([0.0, 0.2, 0.6]))).astype(dtype)
    q = {"scale": d.scale()} if dtype == "int8" else {}
    weights, note = sparse_constant(n, d, dense, **q)
    full = n.tensor(shape, dtype, **q)
    n.op("DENSIFY", [weights], full)
    note = f"{what}, {dtype} {shape}, {note}"
    if what == "MAXIMUM":
        x = n.input(shape, dtype, **q)
        y = n.tensor(shape, dtype, **q)
        n.op("MAXIMUM", [x, full], y)
        return n.done(y), [[d.values(shape, dtype)]], note
    x_shape = [2, c] if what == "FULLY_CONNECTED" else [1, d.int(3, 6), d.int(3, 6), c]
    scale = d.scale(-6, 0)
    x = n.input(x_shape, "int8", scale, 0)
    real = n.op("DEQUANTIZE", [x], n.tensor(x_shape, "float32"))
    channels = c if what == "DEPTHWISE_CONV_2D" else o
    bias = n.tensor([channels], "float32", data=d.values([channels], "float32"))
    y = n.tensor([2, o] if what == "FULLY_CONNECTED" else [*x_shape[:3], channels], "float32")
    options = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions", "FULLY_CONNECTED": "FullyConnectedOptions"}[what]
    stride = {} if what == "FULLY_CONNECTED" else {"strideW": 1, "strideH": 1}
    multiplier = {"depthMultiplier": 1} if what == "DEPTHWISE_CONV_2D" else {}
    n.op(what, [real, full, bias], y, options, **stride, **multiplier)
    return n.done(y), [[d.values(x_shape, "int8")]], note
