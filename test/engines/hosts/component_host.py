"""thimble:vision/model in Wasmtime: component_host.py COMPONENT CALL..., a CALL is run=TYPECODE:FILE, or classify=FILE and its like.

Prints one line of JSON for every call. TYPECODE: that of Python's array, of the input's elements.
"""
import array
import json
import sys

from wasmtime import Engine, Store, component


def plain(value):
    """Records, variants and lists as JSON has them; an error as {"error": case, "text": ...}."""
    if isinstance(value, component.Variant):
        return plain(value.payload) if value.tag == "ok" else {"error": value.tag, "text": plain(value.payload)}
    if isinstance(value, component.Record):
        return {name: plain(field) for name, field in vars(value).items()}
    return [plain(v) for v in value] if isinstance(value, (bytes, list, tuple)) else value


path, *calls = sys.argv[1:]
engine = Engine()
store = Store(engine)
instance = component.Linker(engine).instantiate(store, component.Component.from_file(engine, path))
model = instance.get_export_index(store, "thimble:vision/model")
for call in calls:
    name, _, file = call.partition("=")
    function = instance.get_func(store, instance.get_export_index(store, name, model))
    if name == "run":
        code, _, file = file.partition(":")
        data = open(file, "rb").read()
        # list<u8> is bytes in this API.
        arguments = [data if code == "B" else list(array.array(code, data))]
    else:
        arguments = [open(file, "rb").read()] if file else []
    print(json.dumps(plain(function(store, *arguments, *([3] if name == "classify" else [])))))
