"""wasm3 (an interpreter for microcontrollers) through pywasm3: wasm3_host.py MODULE.wasm OUTPUTS RUNS IN0[,IN1]=PREFIX ..."""
import importlib.metadata
import json
import statistics
import sys
import time

import wasm3

STACK_BYTES = 64 * 1024


def main(path, outputs, runs, *cases):
    environment = wasm3.Environment()
    runtime = environment.new_runtime(STACK_BYTES)
    runtime.load(environment.parse_module(open(path, "rb").read()))
    call = {name: runtime.find_function("thimble_" + name) for name in ("abi", "input_ptr", "input_bytes", "output_ptr", "output_bytes", "invoke")}
    memory = runtime.get_memory(0)

    def invoke(files):
        for i, file in enumerate(files):
            data = open(file, "rb").read()
            assert len(data) == call["input_bytes"](i), f"input {i} has {len(data)} bytes"
            at = call["input_ptr"](i)
            memory[at:at + len(data)] = data
        before = time.perf_counter()
        status = call["invoke"]()
        assert status == 0, f"thimble_invoke returned {status}"
        return (time.perf_counter() - before) * 1e3

    for case in cases:
        files, prefix = case.split("=")
        invoke(files.split(","))
        for i in range(int(outputs)):
            at = call["output_ptr"](i)
            open(prefix + str(i), "wb").write(bytes(memory[at:at + call["output_bytes"](i)]))
    times = [invoke(cases[0].split("=")[0].split(",")) for _ in range(int(runs))]
    print(json.dumps({"engine": f"wasm3 (pywasm3 {importlib.metadata.version('pywasm3')})", "abi": call["abi"](), "memoryBytes": len(memory), "ms": statistics.median(times or [0])}))


main(*sys.argv[1:])
