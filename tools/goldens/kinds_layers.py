"""The layers of 8-bit networks: convolutions, fully connected, sums, products, pools, scales, int8 and the uint8 of before.

A third of the cases has powers of two for scales and small values, so that half of the results or more lie between two integers:
there the rounding of each kernel shows. The others reach the ends of the range.
"""
import numpy as np
from kinds_arithmetic import broadcasting, op
from kinds_int16 import conv_output, window
from net import Net
from record import kind

f32 = np.float32


class Layer:
    """Types and scales of one case: int8 with a scale a channel or for all, or uint8 with one for all."""

    def __init__(self, d, per=True):
        self.d = d
        self.type = d.pick(["int8", "int8", "int8", "uint8"])
        self.per = per and self.type == "int8" and d.coin(0.7)
        self.ties = d.coin(0.35)
        self.input = 2.0 ** d.int(-7, -3) if self.ties else d.scale(-8, -3)
        self.zero = d.zero(self.type)

    def values(self, shape):
        """Near the zero point where ties are wanted, over the whole range elsewhere."""
        if not self.ties:
            return self.d.values(shape, self.type)
        low, high = (-128, 127) if self.type == "int8" else (0, 255)
        return np.clip(self.zero + self.d.r.integers(-5, 6, shape), low, high).astype(self.type)

    def weights(self, b, shape, axis):
        d, n = self.d, shape[axis]
        scale = (lambda: 2.0 ** d.int(-8, -5)) if self.ties else (lambda: d.scale(-9, -5))
        scales = [scale() for _ in range(n)] if self.per else scale()
        zero = d.int(100, 160) if self.type == "uint8" else 0
        if self.ties:
            data = zero + d.r.integers(-3, 4, shape)
        elif self.type == "uint8":
            data = d.values(shape, "uint8")
        else:
            data = np.clip(d.values(shape, "int8"), -127, 127)
        return b.tensor(shape, self.type, scales, zero, data=data, axis=axis), scales

    def bias(self, b, n, scales):
        """In units of a product; of the size that sums have."""
        reach = 9 if self.ties else 4000
        scale = [self.input * s for s in scales] if self.per else self.input * scales
        return b.tensor([n], "int32", scale, 0, data=self.d.r.integers(-reach, reach + 1, n))

    def output(self, b, shape, scales, terms):
        d = self.d
        product = self.input * float(np.mean(scales))
        if self.ties:
            scale = 2.0 ** (np.floor(np.log2(product)) + d.int(1, 3))
        else:
            scale = float(f32(product * 70 * 70 * np.sqrt(terms) / 127 * 2 ** d.r.uniform(-2.5, 1)))
        return b.tensor(shape, self.type, scale, d.zero(self.type))

    def __str__(self):
        return f"{self.type}{', a scale a channel' if self.per else ''}{', ties' if self.ties else ''}"


@kind("CONV_2D")
def conv(d):
    layer, n = Layer(d), d.pick([1, 1, 2])
    ci, o, groups = d.pick([1, 2, 3, 4, 7, 8, 9, 16, 17, 40]), d.pick([1, 2, 3, 4, 5, 8, 11, 16, 33]), 1
    if d.coin(0.1):
        groups = d.pick([2, 3])
        ci, o = groups * d.int(1, 5), groups * d.int(1, 4)
    (kh, kw, h, w, oh, ow), fields = window(d, groups, False)
    b = Net()
    x = b.input([n, h, w, ci], layer.type, layer.input, layer.zero)
    f, scales = layer.weights(b, [o, kh, kw, ci // groups], 0)
    y = layer.output(b, [n, oh, ow, o], scales, kh * kw * ci // groups)
    op(b, "CONV_2D", [x, f, layer.bias(b, o, scales)], [y], "Conv2DOptions", **fields)
    return b.done(y), [[layer.values([n, h, w, ci])] for _ in range(2)], f"{[n, h, w, ci]} {kh}x{kw} to {o}, groups {groups}, {layer} {fields}"


@kind("CONV_2D-3x3")
def conv3(d):
    """Stride 1 and enough channels for Winograd's form."""
    layer = Layer(d)
    h, w, ci, o, same = d.int(3, 14), d.int(3, 14), d.pick([16, 24, 32, 33]), d.pick([8, 16, 19, 32]), d.coin()
    b = Net()
    x = b.input([1, h, w, ci], layer.type, layer.input, layer.zero)
    f, scales = layer.weights(b, [o, 3, 3, ci], 0)
    y = layer.output(b, [1, *(conv_output(v, 3, 1, 1, same) for v in (h, w)), o], scales, 9 * ci)
    fields = dict(padding=0 if same else 1, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    op(b, "CONV_2D", [x, f, layer.bias(b, o, scales)], [y], "Conv2DOptions", fusedActivationFunction=d.pick([0, 1, 3]), **fields)
    return b.done(y), [[layer.values([1, h, w, ci])]], f"{[1, h, w, ci]} to {o}, {'SAME' if same else 'VALID'}, {layer}"


@kind("DEPTHWISE_CONV_2D")
def depthwise(d):
    layer, n = Layer(d), d.pick([1, 1, 2])
    ci, m = d.pick([1, 2, 3, 4, 7, 8, 9, 16, 17, 24, 33]), d.pick([1, 1, 1, 1, 2, 3])
    (kh, kw, h, w, oh, ow), fields = window(d, 1, True)
    b = Net()
    x = b.input([n, h, w, ci], layer.type, layer.input, layer.zero)
    f, scales = layer.weights(b, [1, kh, kw, ci * m], 3)
    y = layer.output(b, [n, oh, ow, ci * m], scales, kh * kw)
    op(b, "DEPTHWISE_CONV_2D", [x, f, layer.bias(b, ci * m, scales)], [y], "DepthwiseConv2DOptions", depthMultiplier=m, **fields)
    return b.done(y), [[layer.values([n, h, w, ci])] for _ in range(2)], f"{[n, h, w, ci]} {kh}x{kw} x{m}, {layer} {fields}"


@kind("TRANSPOSE_CONV")
def transpose_conv(d):
    layer = Layer(d)
    n, h, w, ci, o = d.pick([1, 1, 2]), d.int(1, 6), d.int(1, 6), d.int(1, 9), d.pick([1, 2, 3, 7, 8, 9, 16])
    s, k, same = d.int(1, 3), d.int(1, 4), d.coin()
    shape = [n, h * s, w * s, o] if same else [n, (h - 1) * s + k, (w - 1) * s + k, o]
    b = Net()
    x = b.input([n, h, w, ci], layer.type, layer.input, layer.zero)
    f, scales = layer.weights(b, [o, k, k, ci], 0)
    y = layer.output(b, shape, scales, ci * k)
    inputs = [b.ints(shape), f, x] + ([layer.bias(b, o, scales)] if d.coin(0.7) else [])
    b.op("TRANSPOSE_CONV", inputs, y, "TransposeConvOptions", version=3, padding=0 if same else 1, strideW=s, strideH=s, fusedActivationFunction=d.pick([0, 1, 3]))
    return b.done(y), [[layer.values([n, h, w, ci])]], f"{[n, h, w, ci]} to {shape}, {k}x{k} stride {s}, {layer}"


@kind("FULLY_CONNECTED")
def fully_connected(d):
    layer = Layer(d)
    rows, k, o = d.pick([1, 1, 2, 5]), d.pick([1, 2, 3, 8, 15, 16, 17, 33, 64, 300]), d.pick([1, 2, 3, 4, 7, 8, 10, 17])
    shape, keep = d.pick([[rows, k], [1, rows, k]]), d.coin()
    b = Net()
    x = b.input(shape, layer.type, layer.input, layer.zero)
    f, scales = layer.weights(b, [o, k], 0)
    y = layer.output(b, shape[:-1] + [o] if keep else [rows, o], scales, k)
    third = layer.bias(b, o, scales) if d.coin(0.8) else -1
    op(b, "FULLY_CONNECTED", [x, f, third], [y], "FullyConnectedOptions", keepNumDims=keep, fusedActivationFunction=d.pick([0, 0, 1, 2, 3]))
    return b.done(y), [[layer.values(shape)] for _ in range(2)], f"{shape} to {o}, {layer}"


def pair(name, options):
    @kind(name)
    def make(d):
        a, c, out = broadcasting(d)
        constant = d.coin(0.3)
        if not a or not (c or constant):
            return None
        layer, b = Layer(d), Net()
        second = 2.0 ** d.int(-7, -3) if layer.ties else d.pick([layer.input, d.scale(-8, -3)])
        x = b.input(a, layer.type, layer.input, layer.zero)
        values, zero = layer.values(c), layer.zero if layer.ties else d.zero(layer.type)
        y = b.tensor(c, layer.type, second, zero, data=values) if constant else b.input(c, layer.type, second, zero)
        size = layer.input * second * 64 if name == "MUL" else max(layer.input, second)
        scale = 2.0 ** (np.floor(np.log2(size if name != "MUL" else layer.input * second)) + d.int(0, 2)) if layer.ties else float(f32(size * 2 ** d.r.uniform(-1.5, 1.5)))
        z = b.tensor(out, layer.type, scale, d.zero(layer.type))
        op(b, name, [x, y], [z], options, fusedActivationFunction=d.pick([0, 0, 1, 2, 3]))
        return b.done(z), [[layer.values(a)] + ([] if constant else [layer.values(c)]) for _ in range(2)], f"{a} {c}, {layer}, constant {constant}"


pair("ADD", "AddOptions")
pair("SUB", "SubOptions")
pair("MUL", "MulOptions")


def pool(name):
    @kind(name)
    def make(d):
        layer, b = Layer(d), Net()
        n, c, s, same = d.pick([1, 1, 2]), d.pick([1, 2, 3, 8, 9, 16, 17, 40]), d.pick([1, 1, 2, 3]), d.coin()
        kh, kw = d.int(1, 4), d.int(1, 4)
        h, w = d.int(kh, 9), d.int(kw, 9)
        x = b.input([n, h, w, c], layer.type, layer.input, layer.zero)
        y = b.tensor([n, conv_output(h, kh, s, 1, same), conv_output(w, kw, s, 1, same), c], layer.type, layer.input, layer.zero)
        fields = dict(padding=0 if same else 1, strideH=s, strideW=s, filterHeight=kh, filterWidth=kw)
        op(b, name, [x], [y], "Pool2DOptions", fusedActivationFunction=d.pick([0, 0, 1, 3]), **fields)
        return b.done(y), [[layer.values([n, h, w, c])] for _ in range(2)], f"{[n, h, w, c]} {kh}x{kw} stride {s}, {layer}"


pool("AVERAGE_POOL_2D")
pool("MAX_POOL_2D")


@kind("QUANTIZE")
def requantize(d):
    """One 8-bit scale to another, or from float32."""
    layer, b, shape = Layer(d), Net(), d.shape(1, 4)
    real = d.coin(0.4)
    target = d.pick(["int8", "uint8"])
    scale = layer.input * 2.0 ** d.int(-1, 3) if layer.ties else float(f32(layer.input * 2 ** d.r.uniform(-1, 2)))
    x = b.input(shape, "float32") if real else b.input(shape, layer.type, layer.input, layer.zero)
    y = b.tensor(shape, target, scale, d.zero(target))
    op(b, "QUANTIZE", [x], [y])
    # Halves of the step are ties.
    values = (d.r.integers(-300, 300, shape) * f32(scale / 2)).astype(f32) if layer.ties else d.values(shape, "float32") * f32(scale * 20)
    return b.done(y), [[values if real else layer.values(shape)]], f"{shape} {'float32' if real else layer.type} to {target}, {layer}"


@kind("DEQUANTIZE")
def dequantize(d):
    layer, b, shape = Layer(d), Net(), d.shape(1, 4)
    x = b.input(shape, layer.type, layer.input, layer.zero)
    y = b.tensor(shape, "float32")
    op(b, "DEQUANTIZE", [x], [y])
    return b.done(y), [[layer.values(shape)]], f"{shape}, {layer}"


def resize(name, options):
    @kind(name)
    def make(d):
        layer, b = Layer(d), Net()
        n, h, w, c, to = d.pick([1, 1, 2]), d.int(1, 9), d.int(1, 9), d.pick([1, 2, 3, 8, 17]), [d.int(1, 14), d.int(1, 14)]
        x = b.input([n, h, w, c], layer.type, layer.input, layer.zero)
        y = b.tensor([n, *to, c], layer.type, layer.input, layer.zero)
        align = d.coin(0.3)
        op(b, name, [x, b.ints(to)], [y], options, alignCorners=align, halfPixelCenters=not align and d.coin())
        return b.done(y), [[layer.values([n, h, w, c])]], f"{[n, h, w, c]} to {to}, {layer}, corners {align}"


resize("RESIZE_BILINEAR", "ResizeBilinearOptions")
resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")


@kind("CONCATENATION")
def concatenation(d):
    """Of one scale, or of several that become one."""
    layer, b = Layer(d), Net()
    shape = d.shape(1, 4, 200)
    axis, count = d.int(0, len(shape) - 1), d.int(2, 4)
    alike = d.coin()
    shapes = [[*shape[:axis], d.int(1, 9), *shape[axis + 1 :]] for _ in range(count)]
    inputs = [b.input(s, layer.type, layer.input if alike else d.scale(-8, -3), layer.zero if alike else d.zero(layer.type)) for s in shapes]
    y = b.tensor([*shape[:axis], sum(s[axis] for s in shapes), *shape[axis + 1 :]], layer.type, layer.input, layer.zero)
    op(b, "CONCATENATION", inputs, [y], "ConcatenationOptions", axis=axis)
    return b.done(y), [[d.values(s, layer.type) for s in shapes]], f"{shapes} axis {axis}, {layer}, alike {alike}"
