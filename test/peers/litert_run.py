"""Runs a .tflite in LiteRT's default interpreter: MODEL INPUT OUTPUT, raw bytes of the one input and the one output."""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model, source, target = sys.argv[1:]
interpreter = Interpreter(model_path=model)
interpreter.allocate_tensors()
(into,) = interpreter.get_input_details()
(out,) = interpreter.get_output_details()
shape, dtype = into["shape"], into["dtype"]
results = []
for values in np.fromfile(source, dtype).reshape(-1, *shape):
    interpreter.set_tensor(into["index"], values)
    interpreter.invoke()
    results.append(interpreter.get_tensor(out["index"]).tobytes())
with open(target, "wb") as f:
    f.write(b"".join(results))
