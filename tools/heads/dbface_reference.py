"""test/fixtures/heads/dbface.json: DBFace outputs decoded by DBFace's own main.py.

pip install torch opencv-python numpy; python tools/heads/dbface_reference.py FOLDER     FOLDER: github.com/dlunion/DBFace
"""
import sys
import types

import numpy as np
import torch
from common import listed, output, write

folder = sys.argv[1]
sys.path.insert(0, folder)
# The network's own definition is not needed, and its modules ask for more packages.
sys.modules["model"] = types.ModuleType("model")
sys.modules["model.DBFace"] = types.SimpleNamespace(DBFace=None)
import common as _  # noqa: E402, F401  (ours, kept by its other name)

ours = sys.modules.pop("common")
import main  # noqa: E402

main.HAS_CUDA = False
rng = np.random.default_rng(8)
cases = []
for side, faces in [(128, 3), (128, 6), (192, 4)]:
    n = side // 4
    heat = rng.uniform(0, 0.3, (1, n, n, 1))
    sides = rng.uniform(2, 6, (1, n, n, 4))
    points = rng.normal(0, 0.3, (1, n, n, 10))
    for _i in range(faces):
        x, y = rng.integers(4, n - 4, 2)
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                heat[0, y + dy, x + dx, 0] = rng.uniform(0.35, 0.95)
    # Equal to the left and right: two peaks, of which suppression keeps one.
    heat[0, y, x], heat[0, y, x + 1] = 0.97, 0.97
    (r_heat, heat), (r_sides, sides), (r_points, points) = output(heat, 0, 1, "hm"), output(sides, -1, 8, "tlrb"), output(points, -1, 1, "landmark")
    tensors = [torch.from_numpy(np.ascontiguousarray(t.transpose(0, 3, 1, 2))) for t in (heat, sides, points)]
    found = main.detect(lambda _image: tensors, np.zeros((side, side, 3), np.uint8))
    cases.append({"kind": "dbface", "input": [side, side], "photo": [side, side], "outputs": [r_points, r_sides, r_heat], "options": {},
                  "expected": {"boxes": listed([[o.x, o.y, o.r, o.b, o.score, 0] for o in found]),
                               "points": [listed(o.landmark) for o in found]}})
write("dbface", "DBFace, tools/heads/dbface_reference.py", cases)
