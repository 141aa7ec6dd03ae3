"""Shortest milliseconds of a run of LiteRT with one thread and with several, in turn. argv: model, threads, seconds."""
import json, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter

path, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
models = []
for n in (1, threads):
    model = Interpreter(model_path=path, num_threads=n)
    model.allocate_tensors()
    for i in model.get_input_details():
        model.set_tensor(i["index"], np.zeros(i["shape"], i["dtype"]))
    models.append(model)
best = [float("inf")] * 2
end = time.perf_counter() + seconds
while time.perf_counter() < end:
    for k, model in enumerate(models):
        for _ in range(10):
            start = time.perf_counter()
            model.invoke()
            best[k] = min(best[k], (time.perf_counter() - start) * 1e3)
print(json.dumps(best))
