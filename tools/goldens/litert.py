"""LiteRT's answers to seeded inputs, for tools/goldens/models.ts.

python litert.py FOLDER    FOLDER holds NAME.tflite and NAME.CASE.inK.bin; writes NAME.CASE.outK.bin beside them.
Needs: pip install ai-edge-litert==2.3.0 numpy. Default interpreter (XNNPACK), one thread. Prints the version.
"""
import pathlib, sys
from importlib.metadata import version
import numpy as np
from ai_edge_litert.interpreter import Interpreter

folder = pathlib.Path(sys.argv[1])
for model in sorted(folder.glob("*.tflite")):
    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    for first in sorted(folder.glob(f"{model.stem}.*.in0.bin")):
        stem = first.name[: -len(".in0.bin")]
        for k, detail in enumerate(inputs):
            data = np.fromfile(folder / f"{stem}.in{k}.bin", detail["dtype"])
            interpreter.set_tensor(detail["index"], data.reshape(detail["shape"]))
        interpreter.invoke()
        for k, detail in enumerate(outputs):
            interpreter.get_tensor(detail["index"]).tofile(folder / f"{stem}.out{k}.bin")
print(version("ai-edge-litert"))
