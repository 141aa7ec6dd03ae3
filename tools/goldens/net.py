"""Builds small .tflite models: tensors, ops and options by the schema's own object API."""
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as S

DTYPES = {
    "float32": S.TensorType.FLOAT32,
    "int8": S.TensorType.INT8,
    "uint8": S.TensorType.UINT8,
    "int16": S.TensorType.INT16,
    "int32": S.TensorType.INT32,
    "int64": S.TensorType.INT64,
    "bool": S.TensorType.BOOL,
}
UNION = {k: v for k, v in vars(S.BuiltinOptions).items() if isinstance(v, int)}


class Net:
    """One subgraph under construction. Tensors are numbers; ops run in the order they are added."""

    def __init__(self):
        self.model = S.ModelT()
        self.model.version = 3
        self.model.description = "op"
        self.model.buffers = [S.BufferT()]
        self.model.operatorCodes = []
        self.graph = S.SubGraphT()
        self.graph.tensors = []
        self.graph.operators = []
        self.graph.inputs = []
        self.graph.outputs = []
        self.model.subgraphs = [self.graph]
        self.codes = {}

    def tensor(self, shape, dtype="int8", scale=None, zero=0, data=None, axis=0, variable=False, signature=None):
        """`scale`, `zero`: one number, or one per index of `axis`. `data`: contents of a constant."""
        t = S.TensorT()
        t.name = f"t{len(self.graph.tensors)}"
        t.shape = [int(d) for d in shape]
        t.type = DTYPES[dtype]
        t.isVariable = variable
        t.buffer = 0
        if signature is not None:
            t.shapeSignature = [int(d) for d in signature]
        if scale is not None:
            q = S.QuantizationParametersT()
            q.scale = np.atleast_1d(np.asarray(scale, np.float32))
            q.zeroPoint = np.broadcast_to(np.asarray(zero, np.int64), q.scale.shape).copy()
            q.quantizedDimension = axis
            t.quantization = q
        if data is not None:
            b = S.BufferT()
            b.data = np.frombuffer(np.ascontiguousarray(np.asarray(data).astype(np.dtype(dtype))).tobytes(), np.uint8)
            t.buffer = len(self.model.buffers)
            self.model.buffers.append(b)
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def input(self, shape, dtype="int8", scale=None, zero=0, **more):
        i = self.tensor(shape, dtype, scale, zero, **more)
        self.graph.inputs.append(i)
        return i

    def ints(self, values, dtype="int32"):
        values = np.asarray(values, np.dtype(dtype))
        return self.tensor(values.shape, dtype, data=values)

    def op(self, name, inputs, outputs, options=None, version=1, **fields):
        """`options`: name of the options table, e.g. "GatherOptions"; `fields`: its fields, e.g. axis=1. Returns the first output."""
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        key = (name, version)
        if key not in self.codes:
            c = S.OperatorCodeT()
            c.builtinCode = getattr(S.BuiltinOperator, name)
            c.deprecatedBuiltinCode = min(c.builtinCode, 127)
            c.version = version
            self.codes[key] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(c)
        op = S.OperatorT()
        op.opcodeIndex = self.codes[key]
        op.inputs = list(inputs)
        op.outputs = outputs
        if options:
            op.builtinOptionsType = UNION[options]
            op.builtinOptions = getattr(S, options + "T")()
            for k, v in fields.items():
                setattr(op.builtinOptions, k, v)
        self.graph.operators.append(op)
        return outputs[0] if outputs else None

    def done(self, *outputs):
        """The file's bytes."""
        self.graph.outputs = list(outputs)
        b = flatbuffers.Builder(1 << 16)
        b.Finish(self.model.Pack(b), file_identifier=b"TFL3")
        return bytes(b.Output())


class Dice:
    """Random shapes, scales and values of one case, from a seed."""

    def __init__(self, seed):
        self.r = np.random.default_rng(seed)

    def int(self, low, high):
        """Low to high, both included."""
        return int(self.r.integers(low, high + 1))

    def pick(self, choices):
        return choices[int(self.r.integers(len(choices)))]

    def coin(self, p=0.5):
        return bool(self.r.random() < p)

    def shape(self, least=1, most=5, elements=400):
        """A shape of `least` to `most` dimensions, with some dimensions of 1."""
        while True:
            s = [self.pick([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 19]) for _ in range(self.int(least, most))]
            if np.prod(s) <= elements:
                return s

    def scale(self, low=-9, high=2):
        return float(np.float32(2 ** self.r.uniform(low, high)))

    def zero(self, dtype):
        return {"int8": lambda: self.int(-128, 127), "uint8": lambda: self.int(0, 255)}.get(dtype, lambda: 0)()

    def values(self, shape, dtype, low=None, high=None):
        """Values over the whole range of a type, extremes among them; int32 and float32: small ones unless told."""
        n = np.dtype(dtype)
        if n == np.bool_:
            return self.r.integers(0, 2, shape).astype(n)
        if n.kind == "f":
            return self.r.uniform(-8 if low is None else low, 8 if high is None else high, shape).astype(n)
        info = np.iinfo(n)
        if low is None:
            low, high = (info.min, info.max) if n.itemsize <= 2 else (-100, 100)
        x = self.r.integers(low, high, shape, np.int64, endpoint=True)
        if self.coin(0.3):
            x = np.where(self.r.random(shape) < 0.2, low, np.where(self.r.random(shape) < 0.2, high, x))
        return x.astype(n)

    def quantized(self, dtype):
        """Scale and zero point as keywords of Net.tensor; none for types that have none."""
        return {"scale": self.scale(), "zero": self.zero(dtype)} if dtype in ("int8", "uint8") else {}
