"""test/fixtures/heads/centernet.json: CenterNet outputs decoded by its authors' code, on square photos.

pip install torch opencv-python; python tools/heads/centernet_reference.py FOLDER
FOLDER: src/lib of github.com/xingyizhou/CenterNet
"""
import sys

import numpy as np
import torch
from common import listed, output, write

sys.path.insert(0, sys.argv[1])
from models.decode import ctdet_decode  # noqa: E402

rng = np.random.default_rng(17)
CLASSES = 3
cases = []
for side, photo, offsets in [(128, 128, True), (128, 320, True), (96, 96, False)]:
    n = side // 4
    heat = rng.normal(-6, 1, (1, n, n, CLASSES))
    sizes = rng.uniform(2, 12, (1, n, n, 2))
    for _ in range(6):
        x, y, c = rng.integers(3, n - 3), rng.integers(3, n - 3), rng.integers(CLASSES)
        yy, xx = np.mgrid[:n, :n]
        heat[0, ..., c] = np.maximum(heat[0, ..., c], rng.uniform(0.5, 2.5) - 0.7 * ((xx - x) ** 2 + (yy - y) ** 2))
    heat_record, h = output(heat, -10, 3, "heat")
    sizes_record, s = output(sizes, 0, 12, "sizes")
    offsets_record, o = output(rng.uniform(0, 1, (1, n, n, 2)), 0, 1, "offsets")
    first = [torch.from_numpy(t.transpose(0, 3, 1, 2).copy()) for t in (h, s, o)]
    found = ctdet_decode(first[0].sigmoid(), first[1], reg=first[2] if offsets else None, K=100)[0].numpy()
    rows = [[*(row[:4] * photo / n), row[4], row[5]] for row in found if row[4] >= 0.3]
    cases.append({"kind": "centernet", "input": [side, side], "photo": [photo, photo],
                  "outputs": [heat_record, sizes_record, *([offsets_record] if offsets else [])],
                  "options": {"head": "centernet"}, "expected": {"boxes": listed(rows)}})
write("centernet", "CenterNet's ctdet_decode, tools/heads/centernet_reference.py", cases)
