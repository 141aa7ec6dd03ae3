"""test/fixtures/heads/yolo-grid.json: grids of YOLOv2 and of YOLOv3 and its tiny form, decoded by OpenCV's Darknet
layers (`region` and `yolo`), then suppressed by class by its NMSBoxesBatched.

pip install opencv-python==4.11.0.86; python tools/heads/yolo_grid_reference.py
"""
import cv2
import numpy as np
from common import listed, output, write

rng = np.random.default_rng(31)


def decoded(values, anchors, classes, version):
    """Rows of centre, size, objectness and class scores, shares of the input. `anchors` in cells."""
    rows, columns, channels = values.shape
    kind = "region" if version == "v2" else "yolo"
    flat = ",".join(f"{v:.9f}" for pair in anchors for v in pair)
    count = len(anchors)
    mask = ",".join(map(str, range(count)))
    cfg = f"[net]\nwidth={columns}\nheight={rows}\nchannels={channels}\n\n[{kind}]\nmask={mask}\nanchors={flat}\n"
    cfg += f"classes={classes}\nnum={count}\ncoords=4\nsoftmax=1\nthresh=0.001\n\n"
    net = cv2.dnn.readNetFromDarknet(np.frombuffer(cfg.encode(), np.uint8))
    net.setInput(values.transpose(2, 0, 1)[None].copy())
    return net.forward()


def case(side, photo, grids, classes, version, options, iou=0.5):
    records, found = [], []
    for cells, anchors in grids:
        t = rng.normal(0, 0.5, (1, cells, cells, len(anchors), 5 + classes))
        t[..., 4] = rng.normal(-6, 1, t.shape[:-1])
        for _ in range(3):
            y, x = rng.integers(0, cells, 2)
            for a in range(len(anchors)):
                t[0, y, x, a, 4] = rng.uniform(1.5, 4)
                t[0, y, x, a, 5 + rng.integers(classes)] = rng.uniform(3, 5)
        record, values = output(t.reshape(1, cells, cells, -1), -9, 6, f"grid{cells}")
        records.append(record)
        found.append(decoded(values[0], anchors, classes, version))
    rows = np.concatenate(found)
    scores = rows[:, 5:].max(1)
    index = rows[:, 5:].argmax(1)
    keep = scores >= 0.5
    rows, scores, index = rows[keep], scores[keep], index[keep]
    boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]], 1).astype(float)
    chosen = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), index.tolist(), 0.5, iou)
    want = [[boxes[i, 0] * photo, boxes[i, 1] * photo, (boxes[i, 0] + boxes[i, 2]) * photo,
             (boxes[i, 1] + boxes[i, 3]) * photo, scores[i], index[i]] for i in chosen]
    return {"kind": "yolo-grid", "input": [side, side], "photo": [photo, photo], "outputs": records,
            "options": options, "expected": {"boxes": listed(want)}}


V3 = [[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)], [(116, 90), (156, 198), (373, 326)]]
TINY = [[(23, 27), (37, 58), (81, 82)], [(81, 82), (135, 169), (344, 319)]]
VOC = [(1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52)]


def cells_of(anchors, stride):
    return [(w / stride, h / stride) for w, h in anchors]


cases = [
    case(416, 416, [(26, cells_of(TINY[0], 16)), (13, cells_of(TINY[1], 32))], 3, "v3", {}),
    case(96, 192, [(12, cells_of(V3[0], 8)), (6, cells_of(V3[1], 16)), (3, cells_of(V3[2], 32))], 2, "v3", {}),
    case(416, 300, [(13, VOC)], 3, "v2", {"head": {
        "kind": "yolo-grid", "grids": [{"output": 0, "anchors": VOC}], "unit": "cells", "version": "v2",
        "scoreThreshold": 0.5, "iouThreshold": 0.4, "range": "unit"}}, 0.4),  # what a region layer suppresses by itself
]
write("yolo-grid", f"OpenCV {cv2.__version__}, tools/heads/yolo_grid_reference.py", cases)
