"""Thimble's packed module in Wasmtime, through its C API: no JavaScript anywhere. Speaks the JSON lines of litert.py."""
import base64, ctypes, time
from litert import Driver, serve

class Packed(Driver):
    def open(self, network, input):
        a = time.perf_counter()
        import wasmtime
        with open(network["location"], "rb") as f: content = f.read()
        b = time.perf_counter()
        self.store = wasmtime.Store(wasmtime.Engine())
        module = wasmtime.Module(self.store.engine, content)
        exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        call = lambda name, *args: exports[name](self.store, *args)
        assert call("thimble_abi") == 1
        base = ctypes.addressof(exports["memory"].data_ptr(self.store).contents)
        self.input = (base + call("thimble_input_ptr", 0), call("thimble_input_bytes", 0))
        self.output = (base + call("thimble_output_ptr", 0), call("thimble_output_bytes", 0))
        self.invoke = exports["thimble_invoke"]
        self.y = ctypes.create_string_buffer(self.output[1])
        c = time.perf_counter()
        self.set(input)
        d = time.perf_counter()
        self.run()
        e = time.perf_counter()
        # What the Python binding itself costs a call, measured on an export that does nothing.
        empty = exports["thimble_abi"]
        def once():
            t = time.perf_counter()
            empty(self.store)
            return (time.perf_counter() - t) * 1e3
        binding = sorted(once() for _ in range(50))[25]
        return {"startMs": (b - a) * 1e3, "loadMs": (c - b) * 1e3, "firstMs": (e - d) * 1e3, "info": {"bindingMs": binding}}

    def set(self, input):
        self.x = base64.b64decode(input)

    def run(self):
        ctypes.memmove(self.input[0], self.x, self.input[1])
        code = self.invoke(self.store)
        if code: raise RuntimeError(f"thimble_invoke returned {code}")
        ctypes.memmove(self.y, self.output[0], self.output[1])

    def answer(self, input):
        self.set(input)
        self.run()
        return base64.b64encode(self.y.raw).decode()

if __name__ == "__main__":
    serve(Packed())
