"""Native LiteRT in a Python process, one thread. Speaks the JSON lines of runners/process.ts; the clock starts and stops
round the same steps: copy the input in, invoke, copy the output out."""
import base64, json, resource, sys, time

def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()

class Driver:
    def open(self, network, input):
        a = time.perf_counter()
        global np
        import numpy as np
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter
        with open(network["location"], "rb") as f: content = f.read()
        b = time.perf_counter()
        self.interpreter = Interpreter(model_content=content, num_threads=1)
        self.interpreter.allocate_tensors()
        c = time.perf_counter()
        self.i, self.o = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        self.set(input)
        d = time.perf_counter()
        self.run()
        e = time.perf_counter()
        return {"startMs": (b - a) * 1e3, "loadMs": (c - b) * 1e3, "firstMs": (e - d) * 1e3, "info": {}}

    def set(self, input):
        raw = base64.b64decode(input)
        self.x = np.frombuffer(raw, self.i["dtype"]).reshape(self.i["shape"])

    def run(self):
        self.interpreter.set_tensor(self.i["index"], self.x)
        self.interpreter.invoke()
        self.y = self.interpreter.get_tensor(self.o["index"])

    def block(self, budgetMs, maxRuns):
        times, end = [], time.perf_counter() + budgetMs / 1e3
        while True:
            a = time.perf_counter()
            self.run()
            b = time.perf_counter()
            times.append((b - a) * 1e3)
            if len(times) >= maxRuns or b >= end: return times

    def answer(self, input):
        self.set(input)
        self.run()
        return base64.b64encode(self.y.tobytes()).decode()

    def memory(self):
        return {"baseBytes": BASE, "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

BASE = rss()
driver = Driver()

def serve(driver):
    for line in sys.stdin:
        args = json.loads(line)
        op = args.pop("op")
        if op == "close": break
        try:
            answer = {"value": getattr(driver, op)(**args)}
        except Exception as error:
            answer = {"error": str(error) or type(error).__name__}
        sys.stdout.write("\n@" + json.dumps(answer) + "\n")
        sys.stdout.flush()

if __name__ == "__main__":
    serve(driver)
