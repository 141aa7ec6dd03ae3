"""test/fixtures/heads/yolox.json: YOLOX outputs decoded by YOLOX' own code, as its demo calls it.

pip install pixeltable-yolox loguru torch torchvision (the package keeps Megvii's modules); python tools/heads/yolox_reference.py
"""
import importlib.metadata
import types

import numpy as np
import torch
from common import listed, output, write
from yolox.models.yolo_head import YoloxHead
from yolox.utils.boxes import postprocess

rng = np.random.default_rng(5)
STRIDES = (8, 16, 32)


def table(size, classes, objects):
    """Rows of cell offsets, logarithms of sizes and scores: clusters of candidates around objects, noise elsewhere."""
    grids = [(size[1] // s, size[0] // s, s) for s in STRIDES]
    cells = np.array([(x, y, s) for h, w, s in grids for y in range(h) for x in range(w)], float)
    rows = np.concatenate([rng.normal(0, 0.3, (len(cells), 4)), rng.uniform(0, 0.3, (len(cells), 1 + classes))], 1)
    for _ in range(objects):
        middle = rng.uniform(0.2, 0.8, 2) * size
        side = rng.uniform(24, 90, 2)
        c = rng.integers(classes)
        near = np.argsort(np.hypot(*((cells[:, :2] + 0.5) * cells[:, 2:] - middle).T))[:7]
        for at in near:
            x, y, s = cells[at]
            rows[at, :2] = middle / s - (x, y) + rng.normal(0, 0.1, 2)
            rows[at, 2:4] = np.log(side / s) + rng.normal(0, 0.05, 2)
            rows[at, 4] = rng.uniform(0.6, 1)
            rows[at, 5 + c] = rng.uniform(0.4, 1)
    return rows[None]


cases = []
for size, photo, classes in [((160, 160), (640, 480), 80), ((352, 256), (300, 500), 6), ((192, 192), (40, 40), 1)]:
    record, values = output(table(size, classes, 6), -4, 4)
    head = types.SimpleNamespace(hw=[(size[1] // s, size[0] // s) for s in STRIDES], strides=STRIDES)
    decoded = YoloxHead.decode_outputs(head, torch.from_numpy(values), torch.float32)
    found = postprocess(decoded, classes, 0.25, 0.45, class_agnostic=True)[0]
    ratio = min(size[1] / photo[1], size[0] / photo[0])
    rows = [[*(found[i, :4] / ratio).tolist(), float(found[i, 4] * found[i, 5]), int(found[i, 6])]
            for i in range(0 if found is None else len(found))]
    cases.append({"kind": "yolox", "input": list(size), "photo": list(photo), "outputs": [record],
                  "options": {"head": "yolox"}, "expected": {"boxes": listed(rows)}})
write("yolox", f"pixeltable-yolox {importlib.metadata.version('pixeltable-yolox')}, tools/heads/yolox_reference.py", cases)
