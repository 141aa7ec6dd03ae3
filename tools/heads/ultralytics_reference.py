"""test/fixtures/heads/ultralytics.json: YOLO outputs decoded by Ultralytics' own post-processing.

pip install ultralytics; python tools/heads/ultralytics_reference.py
"""
import numpy as np
import torch
import torchvision  # noqa: F401 (its NMS is the one that Ultralytics takes where it is)
import ultralytics
from common import listed, output, write
from ultralytics.utils import nms, ops

rng = np.random.default_rng(11)
STRIDES = (8, 16, 32)


def cells(size, each=1):
    return each * sum((size[0] // s) * (size[1] // s) for s in STRIDES)


def table(count, classes, extra, objects, objectness=False):
    """Rows of shares: clusters of candidates around objects, noise elsewhere."""
    width = 4 + objectness + classes + extra
    rows = rng.uniform(0, 0.2, (count, width))
    rows[:, :4] = rng.uniform(0.1, 0.9, (count, 4))
    for i in range(objects):
        cx, cy = rng.uniform(0.2, 0.8, 2)
        w, h = rng.uniform(0.15, 0.5, 2)
        c = rng.integers(classes)
        for at in rng.choice(count, 6, replace=False):
            rows[at, :4] = np.array([cx, cy, w, h]) + rng.normal(0, 0.02, 4)
            rows[at, 4 + objectness + c] = rng.uniform(0.3, 0.95)
            if objectness:
                rows[at, 4] = rng.uniform(0.5, 0.95)
    if extra:
        rows[:, width - extra:] = rng.uniform(-0.9, 0.9, (count, extra))
    return rows


def case(kind, size, photo, outputs, options, expected, **more):
    return {"kind": kind, "input": list(size), "photo": list(photo), "outputs": outputs, "options": options,
            "expected": expected, **more}


def boxes(pred, size, photo):
    scaled = ops.scale_boxes((size[1], size[0]), pred[:, :4].clone(), (photo[1], photo[0]))
    return listed(torch.cat([scaled, pred[:, 4:6]], 1))


def denormalized(values, size, points=0, at=0):
    """As the TFLite backend does: shares of the input become its pixels."""
    x = torch.from_numpy(values.copy())
    x[:, [0, 2]] *= size[0]
    x[:, [1, 3]] *= size[1]
    for p in range(points):
        x[:, at + 3 * p] *= size[0]
        x[:, at + 3 * p + 1] *= size[1]
    return x


cases = []
for size, photo in (((64, 64), (123, 77)), ((96, 64), (50, 91)), ((64, 64), (640, 480))):
    for conf, iou in ((0.25, 0.7), (0.4, 0.45)):
        options = {"scoreThreshold": conf, "iouThreshold": iou, "maxDetections": 300}
        # YOLOv8, v9, v11: [1, 4 + classes, cells]
        record, values = output(table(cells(size), 3, 0, 3).T[None], 0, 1.1)
        pred = nms.non_max_suppression(denormalized(values, size), conf, iou, max_det=300)[0]
        cases.append(case("yolo8", size, photo, [record], options, {"boxes": boxes(pred, size, photo)}))
        # The same with rows of candidates
        record2 = {**record, "shape": [1, cells(size), 7]}
        import base64
        q = np.frombuffer(base64.b64decode(record["data"]), np.int8).reshape(7, -1).T
        record2["data"] = base64.b64encode(np.ascontiguousarray(q).tobytes()).decode()
        cases.append(case("yolo8", size, photo, [record2], {**options, "head": "yolo8"},
                          {"boxes": boxes(pred, size, photo)}))
    # YOLOv5: [1, 3 * cells, 5 + classes]; its objectness is multiplied in before the same suppression
    record, values = output(table(cells(size, 3), 2, 0, 3, True)[None], 0, 1.1)
    x = torch.from_numpy(values[0].copy())
    x = x[x[:, 4] > 0.25]
    x[:, 5:] *= x[:, 4:5]
    x = torch.cat([x[:, :4], x[:, 5:]], 1).T[None].numpy()
    pred = nms.non_max_suppression(denormalized(x, size), 0.25, 0.45, max_det=300)[0]
    cases.append(case("yolo5", size, photo, [record], {"maxDetections": 300}, {"boxes": boxes(pred, size, photo)}))

for size, photo in (((64, 64), (123, 77)), ((64, 96), (300, 410))):
    # Pose: one class, 17 points
    t = table(cells(size), 1, 51, 2)
    t[:, 5:] = rng.uniform(0, 1, (len(t), 51))
    record, values = output(t.T[None], 0, 1.1)
    pred = nms.non_max_suppression(denormalized(values, size, 17, 5), 0.25, 0.7, nc=1)[0]
    points = ops.scale_coords((size[1], size[0]), pred[:, 6:].view(-1, 17, 3), (photo[1], photo[0]))
    # Ultralytics moves points into the photo; ours stay where the network has them.
    cases.append(case("yolo8-pose", size, photo, [record], {},
                      {"boxes": boxes(pred, size, photo), "points": [listed(p) for p in points], "clipped": True}))
    # Segmentation: two classes, 32 prototypes of a quarter of the input's resolution
    record, values = output(table(cells(size), 2, 32, 2).T[None], -1, 1.1)
    mh, mw = size[1] // 4, size[0] // 4
    proto, p = output(rng.normal(0, 1, (1, mh, mw, 32)).cumsum(1).cumsum(2) / 4, -6, 6, "proto")
    pred = nms.non_max_suppression(denormalized(values, size), 0.25, 0.7, nc=2)[0]
    masks = ops.process_mask(torch.from_numpy(p[0].transpose(2, 0, 1).copy()), pred[:, 6:], pred[:, :4],
                             (size[1], size[0]), upsample=True)
    rows = ["".join(map(str, m.flatten().tolist())) for m in masks]
    # On a photo of the input's own size, so that masks are compared pixel by pixel.
    cases.append(case("yolo8-seg", size, size, [record, proto], {},
                      {"boxes": boxes(pred, size, size), "masks": rows}))

# Suppression inside: [1, 300, 6]
size, photo = (64, 64), (200, 90)
t = np.zeros((300, 6))
for i, s in enumerate(sorted(rng.uniform(0.05, 0.9, 40))[::-1]):
    x, y = rng.uniform(0, 0.7, 2)
    t[i] = (x, y, x + rng.uniform(0.05, 0.3), y + rng.uniform(0.05, 0.3), s, 0)
record, values = output(t[None], 0, 1.1)
x = torch.from_numpy(values.copy())
x[:, :, [0, 2]] *= size[0]
x[:, :, [1, 3]] *= size[1]
pred = nms.non_max_suppression(x, 0.25, end2end=True, max_det=300)[0]
cases.append(case("yolo-nms", size, photo, [record], {"maxDetections": 300}, {"boxes": boxes(pred, size, photo)}))


def quads(pred, size, photo):
    """Corners of turned boxes in the photo, score and class: OBBPredictor.construct_result."""
    turned = torch.cat([pred[:, :4], pred[:, -1:]], 1)
    turned[:, :4] = ops.scale_boxes((size[1], size[0]), turned[:, :4], (photo[1], photo[0]), xywh=True)
    corners = ops.xywhr2xyxyxyxy(turned).reshape(-1, 8)
    return listed(torch.cat([corners, pred[:, 4:6]], 1))


# Boxes turned around their centres: [1, 4 + classes + 1, cells], and the same with suppression inside, [1, 300, 7]
for size, photo in (((64, 64), (123, 77)), ((96, 64), (50, 91))):
    for conf, iou in ((0.25, 0.7), (0.25, 0.3)):
        t = table(cells(size), 3, 1, 5)
        t[:, -1] = rng.uniform(-np.pi / 4, 3 * np.pi / 4, len(t))
        # Candidates of one thing lie alike, but for a little.
        t[t[:, 4:7].max(1) > 0.25, -1] = 0.9 + rng.normal(0, 0.06, (t[:, 4:7].max(1) > 0.25).sum())
        record, values = output(t.T[None], -0.8, 2.4)
        x = denormalized(values, size)
        pred = nms.non_max_suppression(x, conf, iou, nc=3, max_det=300, rotated=True)[0]
        options = {"scoreThreshold": conf, "iouThreshold": iou, "maxDetections": 300}
        cases.append(case("yolo8-obb", size, photo, [record], options,
                          {"quads": quads(pred, size, photo)}, labels=["a", "b", "c"]))
t = np.zeros((300, 7))
for i, s in enumerate(sorted(rng.uniform(0.05, 0.9, 40))[::-1]):
    t[i] = (*rng.uniform(0.2, 0.8, 2), *rng.uniform(0.05, 0.3, 2), s, 0, rng.uniform(-0.7, 2.3))
record, values = output(t[None], -0.8, 2.4)
x = torch.from_numpy(values.copy())
x[:, :, [0, 2]] *= 64
x[:, :, [1, 3]] *= 64
pred = nms.non_max_suppression(x, 0.25, end2end=True, max_det=300)[0]
size, photo = (64, 64), (200, 90)
cases.append(case("yolo-nms", size, photo, [record], {"maxDetections": 300}, {"quads": quads(pred, size, photo)}))
write("ultralytics", f"ultralytics {ultralytics.__version__}, tools/heads/ultralytics_reference.py", cases)
