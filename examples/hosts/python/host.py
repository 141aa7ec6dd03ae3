"""A packed model in Python, with Wasmtime: host.py MODULE.wasm INPUT OUTPUT"""
import sys
import time

from wasmtime import Instance, Module, Store

path, source, target = sys.argv[1:]
store = Store()
model = Instance(store, Module.from_file(store.engine, path), []).exports(store)
memory = model["memory"]
data = open(source, "rb").read()
if len(data) != model["thimble_input_bytes"](store, 0):
    sys.exit("the input has another size than the model's")
best = float("inf")
for _ in range(20):
    # Inputs share memory with what comes after them: written before every run.
    memory.write(store, data, model["thimble_input_ptr"](store, 0))
    start = time.perf_counter()
    status = model["thimble_invoke"](store)
    best = min(best, (time.perf_counter() - start) * 1e3)
    if status:
        sys.exit(f"thimble_invoke returned {status}")
at, size = (model[f"thimble_output_{what}"](store, 0) for what in ("ptr", "bytes"))
open(target, "wb").write(memory.read(store, at, at + size))
print(f"{best:.2f} ms, {memory.data_len(store)} bytes")
