"""Ops that move data."""
from net import Net
from record import kind

WORDS = ["int8", "uint8", "int32", "float32"]


@kind("TILE")
def tile(d):
    dtype = d.pick(WORDS)
    shape = d.shape(1, 5, 120)
    multiples = [d.pick([1, 1, 2, 3]) for _ in shape]
    n = Net()
    q = d.quantized(dtype)
    x = n.input(shape, dtype, **q)
    y = n.tensor([a * b for a, b in zip(shape, multiples)], dtype, **q)
    n.op("TILE", [x, n.ints(multiples, d.pick(["int32", "int64"]))], y)
    return n.done(y), [[d.values(shape, dtype)]], f"{dtype} {shape} x {multiples}"
