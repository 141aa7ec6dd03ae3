"""Runs inside arm64 Python: as thimble.ts, for a TFLite runtime. Usage: litert.py MODULE RUNS MODEL..."""
import importlib
import os
import sys

module, runs, *models = sys.argv[1:]
Interpreter = importlib.import_module(module).Interpreter
for path in models:
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    sys.stderr.write("@model xnnpack\n")
    sys.stderr.flush()
    for _ in range(2):
        interpreter.invoke()
    for _ in range(int(runs)):
        os.getuid()
        interpreter.invoke()
        os.getuid()
