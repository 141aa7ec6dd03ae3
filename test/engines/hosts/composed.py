"""A component that answers about pictures: composed.py COMPONENT [WIDTH HEIGHT] FILE..., a line for each. label(image) says
what is in an image file; labels(frame, width, height) what is in a camera's frame, as JSON."""
import json
import sys

from wasmtime import Engine, Store, WasiConfig, component

path, *files = sys.argv[1:]
size = []
if files[0].isdigit():
    size = [int(files.pop(0)), int(files.pop(0))]
engine = Engine()
store = Store(engine)
store.set_wasi(WasiConfig())
linker = component.Linker(engine)
linker.add_wasip2()
instance = linker.instantiate(store, component.Component.from_file(engine, path))
for file in files:
    picture = open(file, "rb").read()
    if size:
        function = instance.get_func(store, "labels")
        answer = function(store, picture, *size)
        function.post_return(store)
        print(json.dumps(answer if isinstance(answer, list) else str(answer)))
    else:
        print(instance.get_func(store, "label")(store, picture))
