"""A component whose label(image) says what is in a photo: composed.py COMPONENT FILE..., one line for each."""
import sys

from wasmtime import Engine, Store, WasiConfig, component

path, *files = sys.argv[1:]
engine = Engine()
store = Store(engine)
store.set_wasi(WasiConfig())
linker = component.Linker(engine)
linker.add_wasip2()
instance = linker.instantiate(store, component.Component.from_file(engine, path))
for file in files:
    print(instance.get_func(store, "label")(store, open(file, "rb").read()))
