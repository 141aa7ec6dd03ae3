"""A WASI command as a component in Wasmtime: python wasi_component.py COMMAND.wasm FOLDER ARGUMENT..."""
import sys

from wasmtime import Engine, Store, WasiConfig
from wasmtime import component

path, folder, *arguments = sys.argv[1:]
engine = Engine()
store = Store(engine)
wasi = WasiConfig()
wasi.argv = [path, *arguments]
wasi.preopen_dir(folder, ".")
wasi.inherit_stdout()
wasi.inherit_stderr()
store.set_wasi(wasi)
linker = component.Linker(engine)
linker.add_wasip2()
instance = linker.instantiate(store, component.Component.from_file(engine, path))
interfaces = (instance.get_export_index(store, f"wasi:cli/run@0.2.{minor}") for minor in range(20))
run = instance.get_func(store, instance.get_export_index(store, "run", next(filter(None, interfaces))))
sys.exit(0 if run(store).tag == "ok" else 1)
