"""A photo's way in Python, one line of JSON a question: see bench/photos.ts."""
import json
import sys
import time
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

start = json.loads(sys.stdin.readline())
W, H = start["width"], start["height"]
mean = np.asarray(start["mean"], np.float32)
std = np.asarray(start["std"], np.float32)
scale = start["scale"] or 1
tables = [np.asarray(table).astype(start["dtype"]) for table in start["tables"]]
low, high = (-128, 127) if start["dtype"] == "int8" else (0, 255)
resample = {"bilinear": Image.BILINEAR, "nearest": Image.NEAREST, "area": Image.BOX}.get(start["method"], Image.BILINEAR)
mode = "L" if start["channels"] == "gray" else "RGB"
interpreter = None
versions = f"Python {sys.version.split()[0]}, Pillow {PIL.__version__}, NumPy {np.__version__}"
if start["model"]:
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(start["model"], num_threads=1)
    interpreter.allocate_tensors()
    slot = interpreter.get_input_details()[0]
    versions += f", LiteRT {getattr(ai_edge_litert, '__version__', '')}".rstrip()


def fitted(im):
    """Scaled and cropped as the model wants it."""
    w, h = im.size
    if start["fit"] == "crop":
        if "shorterSide" in start:
            short = start["shorterSide"]
            size = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
        else:
            size = (W, int(W * h / w)) if w * H <= h * W else (int(H * w / h), H)
        im = im.resize(size, resample)
        x, y = round((size[0] - W) / 2), round((size[1] - H) / 2)
        return im.crop((x, y, x + W, y + H))
    return im.resize((W, H), resample)


print(json.dumps({"versions": versions}), flush=True)
for line in sys.stdin:
    path = json.loads(line)["path"]
    with open(path, "rb") as f:
        t0 = time.perf_counter()
        im = Image.open(f)
        im.load()
        # Both would copy a photo that needs neither.
        if im.getexif().get(0x0112, 1) != 1:
            im = ImageOps.exif_transpose(im)
        if im.mode != mode:
            im = im.convert(mode)
        t1 = time.perf_counter()
    size = im.size
    pixels = np.asarray(fitted(im))
    if start["channels"] == "bgr":
        pixels = pixels[..., ::-1]
    x = (pixels.astype(np.float32) - mean) / std
    q = np.clip(np.round(x / np.float32(scale)) + start["zeroPoint"], low, high).astype(start["dtype"])
    t2 = time.perf_counter()
    if interpreter:
        interpreter.set_tensor(slot["index"], q.reshape(slot["shape"]))
        interpreter.invoke()
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    t3 = time.perf_counter()
    # The pixels through Thimble's tables: what is compared is decoding, resizing and placing, not NumPy's float32.
    pixels = pixels.reshape(H, W, -1)
    same = np.stack([tables[c][pixels[..., c % pixels.shape[2]]] for c in range(len(tables))], -1)
    answer = {"decode": t1 - t0, "preprocess": t2 - t1, "infer": t3 - t2}
    answer = {key: value * 1e3 for key, value in answer.items()}
    print(json.dumps({**answer, "width": size[0], "height": size[1], "crc": zlib.crc32(same.tobytes())}), flush=True)
