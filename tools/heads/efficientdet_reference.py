"""test/fixtures/heads/efficientdet.json: EfficientDet-Lite outputs decoded by its authors' code (suppression by class).

pip install tensorflow pyyaml; python tools/heads/efficientdet_reference.py FOLDER
FOLDER: efficientdet of github.com/google/automl
"""
import sys

import numpy as np
import tensorflow as tf
from common import listed, output, write

sys.path.insert(0, sys.argv[1])
from tf2 import anchors, postprocess  # noqa: E402

rng = np.random.default_rng(21)
CLASSES = 3
cases = []
# 128 divides into every level; 160, as 320 does, not into the coarse ones.
for side, photo in [(128, 256), (160, 160)]:
    params = {
        "min_level": 3, "max_level": 7, "num_scales": 3, "aspect_ratios": [1.0, 2.0, 0.5], "anchor_scale": 3.0,
        "image_size": side, "num_classes": CLASSES, "data_format": "channels_last",
        "nms_configs": {"method": "hard", "iou_thresh": 0.5, "score_thresh": 0.5, "sigma": 0, "pyfunc": False,
                        "max_nms_inputs": 0, "max_output_size": 100},
    }
    grid = anchors.Anchors(3, 7, 3, [1.0, 2.0, 0.5], 3.0, (side, side))
    top, left, bottom, right = grid.boxes.numpy().T
    count = len(top)
    codes = rng.normal(0, 0.1, (1, count, 4))
    logits = rng.normal(-5, 1, (1, count, CLASSES))
    centre = np.stack([(top + bottom) / 2, (left + right) / 2], 1)
    size = np.stack([bottom - top, right - left], 1)
    levels = [len(range(0, side, 2**level)) ** 2 * 9 for level in range(3, 8)]
    cuts = np.cumsum([0, *levels])
    # Each level finds something that lies within the image.
    for level, share in enumerate((0.2, 0.3, 0.55, 0.7, 0.8)):
        middle = rng.uniform(share / 2, 1 - share / 2, 2) * side
        fit = np.abs(np.log(size / (share * side))).sum(1) + 4 * np.hypot(*(centre - middle).T) / side
        fit[: cuts[level]] = fit[cuts[level + 1]:] = np.inf
        near = np.argsort(fit)[:5]
        codes[0, near, :2] = (middle - centre[near]) / size[near]
        codes[0, near, 2:] = np.log(share * side / size[near])
        codes[0, near] += rng.normal(0, 0.05, (5, 4))
        logits[0, near] = rng.normal(-5, 1, (5, CLASSES))
        logits[0, near, level % CLASSES] = rng.uniform(0.3, 3, 5)
    scores_record, scores = output(logits, -8, 4, "scores")
    boxes_record, boxes = output(codes, -2, 2, "boxes")
    parts = [[tf.constant(t[:, a:b]) for a, b in zip(cuts, cuts[1:])] for t in (scores, boxes)]
    found, sure, classes, kept = postprocess.postprocess_per_class(params, *parts)
    n = int(kept[0])
    rows = [[*(np.array([b[1], b[0], b[3], b[2]]) * photo / side), s, int(c) - 1]
            for b, s, c in zip(found[0].numpy()[:n], sure[0].numpy()[:n], classes[0].numpy()[:n]) if s >= 0.5]
    cases.append({"kind": "efficientdet", "input": [side, side], "photo": [photo, photo],
                  "outputs": [scores_record, boxes_record], "options": {}, "expected": {"boxes": listed(rows)}})
write("efficientdet", "google/automl, tools/heads/efficientdet_reference.py", cases)
