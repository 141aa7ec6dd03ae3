"""Small ONNX models of single kinds of nodes and the answers of onnx's reference evaluator, for test/onnx-ops.test.ts:
test/fixtures/onnx-ops. Random weights; one seed.

python tools/goldens/onnx_ops.py FOLDER [SEED]     Needs: pip install onnx numpy.
"""
import base64, json, pathlib, sys
import numpy as np, onnx
from onnx import TensorProto, helper as h, numpy_helper
from onnx.reference import ReferenceEvaluator

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
r = np.random.RandomState(int(sys.argv[2]) if len(sys.argv) > 2 else 7)
conv = lambda o, i, k: (r.randn(o, i, k, k) * (2 / (i * k * k)) ** .5).astype("f")
N = h.make_node

def image(*nodes, weights=(), flat=True):
    """input [1, 3, 9, 8] -> 3x3 convolution to 6 channels, `a` -> nodes from a to b -> flattened."""
    first = N("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1])
    last = [N("Flatten", ["b"], ["y"])] if flat else [N("Identity", ["b"], ["y"])]
    return [first, *nodes, *last], [("w", conv(6, 3, 3)), *weights]

ints = lambda *v: np.array(v, np.int64)
MODELS = {
    "reduce_max": image(N("ReduceMax", ["a", "axes"], ["b"], keepdims=1), weights=[("axes", ints(2, 3))]),
    "reduce_max_flat": image(N("ReduceMax", ["a", "axes"], ["b"], keepdims=0), weights=[("axes", ints(2, 3))], flat=False),
    "reduce_min_channels": image(N("ReduceMin", ["a", "axes"], ["b"], keepdims=1), weights=[("axes", ints(1))]),
    "log_softmax": image(N("GlobalAveragePool", ["a"], ["g"]), N("Flatten", ["g"], ["f"]), N("LogSoftmax", ["f"], ["b"], axis=1), flat=False),
    "log_softmax_channels": image(N("LogSoftmax", ["a"], ["b"], axis=1)),
    "gelu": image(N("Gelu", ["a"], ["b"])),
    "gelu_tanh": image(N("Gelu", ["a"], ["b"], approximate="tanh")),
    "layer_norm": image(N("Reshape", ["a", "shape"], ["t"]), N("Transpose", ["t"], ["u"], perm=[0, 2, 1]),
                        N("LayerNormalization", ["u", "gain", "offset"], ["b"], epsilon=1e-5),
                        weights=[("shape", ints(1, 6, 72)), ("gain", r.rand(6).astype("f") + .5), ("offset", r.randn(6).astype("f"))]),
    "average_pool_excluded": image(N("AveragePool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])),
    "average_pool_uneven": image(N("AveragePool", ["a"], ["b"], kernel_shape=[3, 2], pads=[0, 1, 2, 0], strides=[2, 2])),
    "average_pool_counted": image(N("AveragePool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)),
    "max_min": image(N("Conv", ["x", "v"], ["c"], pads=[1, 1, 1, 1]), N("Max", ["a", "c"], ["d"]), N("Min", ["d", "a"], ["b"]), weights=[("v", conv(6, 3, 3))]),
    "powers": image(N("Pow", ["a", "two"], ["c"]), N("Add", ["c", "one"], ["d"]), N("Sqrt", ["d"], ["e"]), N("Log", ["e"], ["b"]),
                    weights=[("two", np.float32(2)), ("one", np.float32(1))]),
    "abs_exp_elu": image(N("Abs", ["a"], ["c"]), N("Neg", ["c"], ["d"]), N("Exp", ["d"], ["e"]), N("Sub", ["a", "e"], ["f"]), N("Elu", ["f"], ["b"])),
    "gelu_erf": image(N("Div", ["a", "root"], ["c"]), N("Erf", ["c"], ["d"]), N("Add", ["d", "one"], ["e"]), N("Mul", ["a", "e"], ["f"]), N("Mul", ["f", "half"], ["b"]),
                      weights=[("root", np.float32(2 ** .5)), ("one", np.float32(1)), ("half", np.float32(.5))]),
    "gelu_erf_halved": image(N("Mul", ["a", "root"], ["c"]), N("Erf", ["c"], ["d"]), N("Add", ["one", "d"], ["e"]), N("Mul", ["half", "a"], ["f"]), N("Mul", ["f", "e"], ["b"]),
                             weights=[("root", np.float32(.5 ** .5)), ("one", np.float32(1)), ("half", np.float32(.5))]),
    "gather_one": image(N("Gather", ["a", "at"], ["b"], axis=1), weights=[("at", np.array(-2, np.int64))]),
    "gather_range": image(N("Gather", ["a", "at"], ["b"], axis=2), weights=[("at", ints(1, 2, 3))]),
    "gather_any": image(N("Gather", ["a", "at"], ["b"], axis=1), weights=[("at", ints(5, 0, 3, 3))]),
    # as_strided of dynamo's exports: another order of the axes as a view of the flat tensor.
    "gather_view": image(N("Reshape", ["a", "all"], ["f"]), N("Gather", ["f", "at"], ["b"], axis=0),
                         weights=[("all", ints(-1)), ("at", np.arange(432, dtype=np.int64).reshape(1, 6, 9, 8).transpose(0, 2, 3, 1))]),
    "attention": image(N("Reshape", ["a", "shape"], ["q"]), N("Transpose", ["q"], ["k"], perm=[0, 2, 1]), N("MatMul", ["q", "k"], ["s"]),
                       N("Mul", ["s", "scale"], ["t"]), N("Softmax", ["t"], ["u"], axis=-1), N("MatMul", ["u", "q"], ["b"]),
                       weights=[("shape", ints(1, 6, 72)), ("scale", np.float32(.1))]),
    "instance_norm": image(N("InstanceNormalization", ["a", "gain", "offset"], ["b"], epsilon=1e-5),
                           weights=[("gain", r.rand(6).astype("f") + .5), ("offset", r.randn(6).astype("f"))]),
    "depth_to_space": image(N("Conv", ["a", "v"], ["c"]), N("DepthToSpace", ["c"], ["b"], blocksize=2), weights=[("v", conv(8, 6, 1))]),
    "depth_to_space_shuffle": image(N("Conv", ["a", "v"], ["c"]), N("DepthToSpace", ["c"], ["b"], blocksize=2, mode="CRD"), weights=[("v", conv(8, 6, 1))]),
    "space_to_depth": image(N("Pad", ["a", "pads"], ["c"]), N("SpaceToDepth", ["c"], ["b"], blocksize=2), weights=[("pads", ints(0, 0, 0, 0, 0, 0, 1, 0))]),
    "line": image(N("Reshape", ["a", "shape"], ["c"]), N("Conv", ["c", "v"], ["d"], pads=[2, 1], strides=[2]), N("Relu", ["d"], ["e"]),
                  N("MaxPool", ["e"], ["f"], kernel_shape=[3], strides=[2]), N("AveragePool", ["f"], ["g"], kernel_shape=[2]), N("GlobalAveragePool", ["g"], ["b"]),
                  weights=[("shape", ints(1, 6, 72)), ("v", (r.randn(4, 6, 5) * .3).astype("f"))]),
    "pad_reflect": image(N("Pad", ["a", "pads"], ["c"], mode="reflect"), N("Conv", ["c", "v"], ["b"]), weights=[("pads", ints(0, 0, 1, 2, 0, 0, 1, 2)), ("v", conv(4, 6, 3))]),
}
# The inputs of the models above stay what they were.
own, state = np.random.RandomState(11), r.get_state()
MODELS |= {
    **{kind.lower(): image(N(kind, ["a"], ["b"], **more)) for kind, more in [
        ("Softplus", {}), ("Softsign", {}), ("Mish", {}), ("Selu", {}), ("Celu", {"alpha": .7}), ("Elu", {"alpha": .4})]},
    "reciprocal": image(N("Abs", ["a"], ["c"]), N("Add", ["c", "one"], ["d"]), N("Reciprocal", ["d"], ["b"]), weights=[("one", np.float32(1))]),
    "group_norm": image(N("GroupNormalization", ["a", "gain", "offset"], ["b"], num_groups=3),
                        weights=[("gain", own.rand(3).astype("f") + .5), ("offset", own.randn(3).astype("f"))]),
    "pad_edge": image(N("Pad", ["a", "pads"], ["b"], mode="edge"), weights=[("pads", ints(0, 0, 1, 2, 0, 0, 2, 1))]),
    "pad_value": image(N("Pad", ["a", "pads", "value"], ["b"]), weights=[("pads", ints(0, 0, 1, 2, 0, 0, 2, 1)), ("value", np.float32(.5))]),
}
r.set_state(state)

answers = {}
text = lambda a: base64.b64encode(np.ascontiguousarray(a).astype("<f4").tobytes()).decode()
for name, (nodes, weights) in MODELS.items():
    graph = h.make_graph(nodes, name, [h.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 9, 8])],
                         [h.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                         [numpy_helper.from_array(v, k) for k, v in weights])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 20)])
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    x = (r.rand(1, 3, 9, 8) * 2 - 1).astype("f")
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    # The reader's graphs have channels last.
    answers[name] = {"x": [text(x.transpose(0, 2, 3, 1))], "y": [text(y)]}
(folder / "answers.json").write_text(json.dumps({"onnx": onnx.__version__, "answers": answers}, indent=1) + "\n")
