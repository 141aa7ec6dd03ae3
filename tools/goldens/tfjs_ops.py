"""test/fixtures/convert/tfjs-ops.json: ops of TensorFlow graphs by TensorFlow itself, on the numbers that tests call `pseudo`.

    TENSORFLOW_PYTHON tools/goldens/tfjs_ops.py
"""
import json
import pathlib

import numpy as np
import tensorflow as tf

FILE = pathlib.Path(__file__).resolve().parents[2] / "test/fixtures/convert/tfjs-ops.json"


def pseudo(shape):
    i = np.arange(np.prod(shape), dtype=np.uint64)
    return (((i * np.uint64(2654435761) + np.uint64(12345)) % np.uint64(2**32)) / 2.0**31 - 1).astype(np.float32).reshape(shape)


def constant(value):
    return {"shape": list(value.shape), "values": [float(v) for v in value.ravel()]}


def case(op, shape, inputs, attrs, result):
    """`inputs`: constants, and None where the graph's input goes; `attrs` as a GraphDef's JSON has them."""
    return {"op": op, "input": list(shape), "inputs": [None if i is None else constant(i) for i in inputs], "attr": attrs,
            "shape": list(result.shape), "values": [round(float(v), 6) for v in np.asarray(result).ravel()]}


def ints(*values):
    return np.array(values, np.int32)


cases = []
for shape, paddings in (
    ((1, 3, 4, 2), [[0, 0], [0, 0], [0, 0], [0, 3]]),
    ((1, 3, 4, 2), [[0, 0], [1, 2], [0, 1], [2, 1]]),
    ((1, 5), [[0, 0], [1, 2]]),
):
    cases.append(case("Pad", shape, [None, ints(*paddings)], {}, tf.pad(pseudo(shape), paddings)))
for padding, k, stride, size in (("SAME", 3, 2, 8), ("VALID", 2, 2, 8), ("SAME", 2, 1, 4), ("VALID", 3, 1, 6)):
    x, w = pseudo((1, 4, 4, 3)), pseudo((k, k, 2, 3)) * 0.5
    y = tf.nn.conv2d_transpose(x, w, (1, size, size, 2), stride, padding)
    attrs = {"strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}}, "padding": {"s": [ord(c) for c in padding]}}
    cases.append(case("Conv2DBackpropInput", x.shape, [ints(1, size, size, 2), w, None], attrs, y))
x = pseudo((1, 2, 3, 8))
cases.append(case("DepthToSpace", x.shape, [None], {"block_size": {"i": "2"}}, tf.nn.depth_to_space(x, 2)))
for shape, begin, end, strides, masks in (
    ((1, 5, 6, 4), (0, 1, 0, 2), (0, -1, 0, 4), (1, 1, 1, 1), {"begin": 0b0101, "end": 0b0101}),
    ((1, 5, 6, 4), (0, 0, 1, 0), (1, 5, 6, 4), (1, 2, 2, 1), {}),
    ((1, 5, 6, 4), (0, -2, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1), {"shrink_axis": 0b0010, "begin": 0b1101, "end": 0b1101}),
    ((1, 5, 6, 4), (0, 3), (0, 4), (1, 1), {"ellipsis": 0b01, "shrink_axis": 0b10}),
    ((1, 5, 6, 4), (0, 0, 1), (0, 0, 9), (1, 1, 3), {"ellipsis": 0b001, "new_axis": 0b010}),
    ((1, 7), (0, 2), (1, 6), (1, 2), {}),
):
    flags = {f"{name}_mask": masks.get(name, 0) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    y = tf.raw_ops.StridedSlice(input=pseudo(shape), begin=ints(*begin), end=ints(*end), strides=ints(*strides), **flags)
    attrs = {name: {"i": str(value)} for name, value in flags.items()}
    cases.append(case("StridedSlice", shape, [None, ints(*begin), ints(*end), ints(*strides)], attrs, y))
x = pseudo((1, 3, 4, 6))
for op, f in (("Abs", tf.abs), ("Square", tf.square), ("Exp", tf.exp), ("Elu", tf.nn.elu)):
    cases.append(case(op, x.shape, [None], {}, f(x)))
for op, f in (("Max", tf.reduce_max), ("Min", tf.reduce_min), ("Sum", tf.reduce_sum)):
    cases.append(case(op, x.shape, [None, ints(1, -1)], {"keep_dims": {"b": True}}, f(x, (1, -1), keepdims=True)))
for op, f in (("Maximum", tf.maximum), ("Minimum", tf.minimum), ("SquaredDifference", tf.math.squared_difference)):
    c = pseudo((6,)) * 0.5
    cases.append(case(op, x.shape, [None, c], {}, f(x, c)))
# The first of the parts.
cases.append(case("Split", x.shape, [np.int32(-1), None], {"num_split": {"i": "3"}}, tf.split(x, 3, -1)[0]))
cases.append(case("SplitV", x.shape, [None, ints(1, -1), np.int32(2)], {}, tf.split(x, [1, 3], 2)[0]))
text = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
FILE.write_text('{"madeWith":"tensorflow %s, tools/goldens/tfjs_ops.py","cases":[\n%s\n]}\n' % (tf.__version__, text))
print(len(cases), "cases")
