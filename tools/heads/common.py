"""Made-up 8-bit outputs of networks, and the file that records what reference decoders make of them."""
import base64
import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "test/fixtures/heads"


def quantized(real, low, high):
    """An int8 output that holds `real`, and the float32 values that it stands for."""
    scale = np.float32((high - low) / 255)
    zero = int(np.clip(np.round(-128 - low / scale), -128, 127))
    q = np.clip(np.round(real / scale) + zero, -128, 127).astype(np.int8)
    return q, ((q.astype(np.float32) - zero) * scale).astype(np.float32), scale, zero


def output(real, low, high, name="out"):
    """A recorded output and its real values."""
    q, values, scale, zero = quantized(real, low, high)
    record = {
        "name": name,
        "shape": list(q.shape),
        "scale": float(scale),
        "zeroPoint": zero,
        "data": base64.b64encode(q.tobytes()).decode(),
    }
    return record, values


def write(name, made_with, cases):
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    (FOLDER / f"{name}.json").write_text('{"madeWith":%s,"cases":[\n%s\n]}\n' % (json.dumps(made_with), text))
    print(name, len(cases), "cases")


def listed(rows, digits=5):
    return [[round(float(v), digits) for v in row] for row in rows]
