"""Wasmtime through its Python API: wasmtime_host.py MODULE.wasm OUTPUTS RUNS IN0[,IN1]=PREFIX ..."""
import importlib.metadata
import json
import os
import statistics
import sys
import time

import wasmtime


COMPILER = os.environ.get("THIMBLE_WASMTIME", "Cranelift")


def configured():
    """Cranelift, or the compiler that THIMBLE_WASMTIME names."""
    config = wasmtime.Config()
    config.wasm_custom_page_sizes = True
    if COMPILER == "Pulley":
        config.target = "pulley64"
    if COMPILER == "Winch":
        # The API names two strategies only; wasmtime.h has the third: WASMTIME_STRATEGY_WINCH.
        wasmtime._ffi.wasmtime_config_strategy_set(config.ptr(), 2)
    return config


def main(path, outputs, runs, *cases):
    engine = wasmtime.Engine(configured())
    store = wasmtime.Store(engine)
    module = wasmtime.Module.from_file(engine, path)
    assert not module.imports, "the module has imports"
    e = wasmtime.Instance(store, module, []).exports(store)
    memory = e["memory"]
    assert memory.type(store).limits.min == memory.type(store).limits.max, "the memory is not fixed"

    def invoke(files):
        for i, file in enumerate(files):
            data = open(file, "rb").read()
            assert len(data) == e["thimble_input_bytes"](store, i), f"input {i} has {len(data)} bytes"
            memory.write(store, data, e["thimble_input_ptr"](store, i))
        before = time.perf_counter()
        status = e["thimble_invoke"](store)
        assert status == 0, f"thimble_invoke returned {status}"
        return (time.perf_counter() - before) * 1e3

    for case in cases:
        files, prefix = case.split("=")
        invoke(files.split(","))
        for i in range(int(outputs)):
            at = e["thimble_output_ptr"](store, i)
            open(prefix + str(i), "wb").write(memory.read(store, at, at + e["thimble_output_bytes"](store, i)))
    times = [invoke(cases[0].split("=")[0].split(",")) for _ in range(int(runs))]
    print(json.dumps({"engine": f"Wasmtime {importlib.metadata.version('wasmtime')} x64" + ("" if COMPILER == "Cranelift" else f", {COMPILER}"), "abi": e["thimble_abi"](store), "memoryBytes": memory.data_len(store), "ms": statistics.median(times or [0])}))


main(*sys.argv[1:])
