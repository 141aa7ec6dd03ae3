"""Models with open batches and image sizes, and what LiteRT answers when their inputs are resized (`resize_tensor_input`).

    python tools/goldens/resized.py OUT.json.gz

One JSON array: {"name", "model", "runs": [{"shapes": [[..], ..], "inputs": [..], "outputs": [{"shape", "data"}]}]}, bytes in base64. Equal
everywhere. Needs ai-edge-litert 2.3.0, numpy, flatbuffers.
"""
import base64
import gzip
import json
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from net import Dice, Net

SHAPES = [[1, 8, 8, 3], [3, 8, 8, 3], [2, 5, 7, 3], [1, 17, 10, 3]]
NAMES = {}


def network(make):
    NAMES[make.__name__.replace("_", " ")] = make
    return make


class Layers(Net):
    """Layers of int8 with random weights."""

    def __init__(self, d):
        super().__init__()
        self.d = d

    def open(self, dtype="int8", channels=3):
        zero = 3 if dtype == "int8" else 131
        return self.input([1, 8, 8, channels], dtype, 0.04, zero, signature=[-1, -1, -1, channels])

    def filter(self, shape, bias):
        w = self.tensor(shape, "int8", 0.01, data=self.d.r.integers(-127, 128, shape))
        return w, self.tensor([bias], "int32", 0.0004, data=self.d.r.integers(-300, 300, bias))

    def conv(self, x, inner, out, stride=1, k=3):
        w, b = self.filter([out, k, k, inner], out)
        y = self.tensor([1, 1, 1, out], "int8", 0.05, -5)
        return self.op("CONV_2D", [x, w, b], y, "Conv2DOptions", 3, padding=0, strideW=stride, strideH=stride, fusedActivationFunction=1)

    def depthwise(self, x, c):
        w, b = self.filter([1, 3, 3, c], c)
        y = self.tensor([1, 1, 1, c], "int8", 0.03, 2)
        return self.op("DEPTHWISE_CONV_2D", [x, w, b], y, "DepthwiseConv2DOptions", 3, padding=0, strideW=2, strideH=2, depthMultiplier=1)

    def dense(self, x, inner, out):
        w, b = self.filter([out, inner], out)
        return self.op("FULLY_CONNECTED", [x, w, b], self.tensor([1, out], "int8", 0.1, 4), "FullyConnectedOptions", 4)

    def softmax(self, x, out):
        return self.op("SOFTMAX", [x], self.tensor([1, out], "int8", 1 / 256, -128), "SoftmaxOptions", 2, beta=1.0)

    def mean(self, x, c):
        return self.op("MEAN", [x, self.ints([1, 2])], self.tensor([1, c], "int8", 0.03, 2), "ReducerOptions", 2, keepDims=False)

    def dimension(self, shape, i):
        """One number of a SHAPE's result."""
        places = [self.ints([i]), self.ints([i + 1]), self.ints([1])]
        return self.op("STRIDED_SLICE", [shape, *places], self.tensor([], "int32"), "StridedSliceOptions", shrinkAxisMask=1)

    def shape(self, x):
        return self.op("SHAPE", [x], self.tensor([4], "int32"), "ShapeOptions", outType=2)


@network
def classifier(d):
    n = Layers(d)
    x = n.depthwise(n.conv(n.open(), 3, 8, 2), 8)
    return n.done(n.softmax(n.dense(n.mean(x, 8), 8, 5), 5)), SHAPES, 1


@network
def chain_of_shapes(d):
    """Flatten as Keras writes it: the batch of the input, and what is left over."""
    n = Layers(d)
    x = n.mean(n.conv(n.open(), 3, 8, 2), 8)
    wide = n.op("RESHAPE", [x, n.op("PACK", [n.op("STRIDED_SLICE", [n.op("SHAPE", [x], n.tensor([2], "int32"), "ShapeOptions", outType=2), n.ints([0]), n.ints([1]), n.ints([1])], n.tensor([], "int32"), "StridedSliceOptions", shrinkAxisMask=1), n.tensor([], "int32", data=2), n.tensor([], "int32", data=-1)], n.tensor([3], "int32"), "PackOptions", valuesCount=3, axis=0)], n.tensor([1, 2, 4], "int8", 0.03, 2))
    return n.done(wide), SHAPES, 1


@network
def computed_size(d):
    """Twice the size by nearest neighbours, joined with a transposed convolution."""
    n = Layers(d)
    x = n.conv(n.open(), 3, 4)
    shape = n.shape(x)
    two = n.tensor([], "int32", data=2)
    h, w = (n.op("MUL", [n.dimension(shape, i), two], n.tensor([], "int32"), "MulOptions") for i in (1, 2))
    size = n.op("PACK", [h, w], n.tensor([2], "int32"), "PackOptions", valuesCount=2, axis=0)
    up = n.op("RESIZE_NEAREST_NEIGHBOR", [x, size], n.tensor([1, 1, 1, 4], "int8", 0.05, -5), "ResizeNearestNeighborOptions", 2)
    full = n.op("PACK", [n.dimension(shape, 0), h, w, n.tensor([], "int32", data=4)], n.tensor([4], "int32"), "PackOptions", valuesCount=4, axis=0)
    filt, bias = n.filter([4, 3, 3, 4], 4)
    y = n.tensor([1, 1, 1, 4], "int8", 0.05, -5)
    n.op("TRANSPOSE_CONV", [full, filt, x, bias], y, "TransposeConvOptions", 3, padding=0, strideW=2, strideH=2)
    return n.done(n.op("CONCATENATION", [up, y], n.tensor([1, 1, 1, 8], "int8", 0.05, -5), "ConcatenationOptions", 2, axis=3)), SHAPES, 1


@network
def two_inputs(d):
    n = Layers(d)
    a, b = n.open("uint8", 2), n.open("uint8", 2)
    y = n.op("ADD", [a, b], n.tensor([1, 8, 8, 2], "uint8", 0.07, 120), "AddOptions", 2)
    return n.done(n.op("MAX_POOL_2D", [y], n.tensor([1, 4, 4, 2], "uint8", 0.07, 120), "Pool2DOptions", 1, padding=0, strideW=2, strideH=2, filterWidth=3, filterHeight=3)), [s[:3] + [2] for s in SHAPES], 2


def b64(a):
    return base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()


def main():
    out = []
    for k, (name, make) in enumerate(NAMES.items()):
        d = Dice([11, k])
        model, shapes, inputs = make(d)
        runs = []
        for shape in shapes:
            it = Interpreter(model_content=model, num_threads=1)
            for detail in it.get_input_details():
                it.resize_tensor_input(detail["index"], shape)
            it.allocate_tensors()
            xs = [d.values(shape, np.dtype(detail["dtype"]).name) for detail in it.get_input_details()]
            for detail, x in zip(it.get_input_details(), xs):
                it.set_tensor(detail["index"], x)
            it.invoke()
            ys = [it.get_tensor(detail["index"]) for detail in it.get_output_details()]
            runs.append({"shapes": [shape] * inputs, "inputs": [b64(x) for x in xs], "outputs": [{"shape": list(y.shape), "data": b64(y)} for y in ys]})
        out.append({"name": name, "model": base64.b64encode(model).decode(), "runs": runs})
    data = gzip.compress(json.dumps(out, separators=(",", ":")).encode(), 9, mtime=0)
    open(sys.argv[1], "wb").write(data)
    print(len(data))


if __name__ == "__main__":
    main()
