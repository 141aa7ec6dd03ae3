"""ONNX twins of quantized .tflite networks, with tf2onnx: usage: twins.py OUT_DIR MODEL.tflite...

For each model OUT_DIR/<name>.qdq.onnx (QuantizeLinear/DequantizeLinear, what ONNX Runtime turns into integer kernels) and
OUT_DIR/<name>.float.onnx (the same weights as float32). tf2onnx mixes int8 and uint8 activations, which stops ONNX Runtime
from fusing a third of the convolutions; so int8 activations become uint8 with the zero point moved by 128, the same real
numbers (and the form that ONNX Runtime's documentation recommends). Free batch dimensions become 1."""
import pathlib, sys, numpy as np, onnx
import tf2onnx.convert
from onnx import TensorProto, numpy_helper

def make_activations_unsigned(model):
    graph = model.graph
    constants = {c.name: c for c in graph.initializer}
    moved = {}
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[0] in constants or len(node.input) < 3: continue
        zero = numpy_helper.to_array(constants[node.input[2]])
        if zero.dtype != np.int8: continue
        name = node.input[2] + "_unsigned"
        if name not in moved: moved[name] = numpy_helper.from_array((zero.astype(np.int16) + 128).astype(np.uint8), name)
        node.input[2] = name
    graph.initializer.extend(moved.values())
    for value in [*graph.input, *graph.output]:
        tensor = value.type.tensor_type
        if tensor.elem_type == TensorProto.INT8: tensor.elem_type = TensorProto.UINT8
        if tensor.shape.dim and not tensor.shape.dim[0].HasField("dim_value"): tensor.shape.dim[0].dim_value = 1
    del graph.value_info[:]

def convert(path, form, target):
    """The tf2onnx command line, in this process: TensorFlow's import is most of its time."""
    arguments = ["--tflite", str(path), "--output", str(target), "--opset", "13"]
    sys.argv = ["tf2onnx.convert", *arguments, *(["--dequantize"] if form == "float" else [])]
    tf2onnx.convert.main()

def main(out, models):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for path in map(pathlib.Path, models):
        for form in ("qdq", "float"):
            target = out / f"{path.stem}.{form}.onnx"
            try:
                convert(path, form, target)
                model = onnx.load(str(target))
                make_activations_unsigned(model)
                onnx.checker.check_model(model)
                onnx.save(onnx.shape_inference.infer_shapes(model), str(target))
                print(target.name, "ok", flush=True)
            except Exception as error:
                target.unlink(missing_ok=True)
                print(target.name, "failed:", (str(error) or type(error).__name__).splitlines()[0], flush=True)

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
