"""test/fixtures/heads/detr.json: sets of boxes as Ultralytics' RT-DETR predictor and DETR's own post-processing read them.

pip install ultralytics torch; python tools/heads/detr_reference.py
"""
import types

import numpy as np
import torch
import ultralytics
from common import listed, output, write
from ultralytics.models.rtdetr.predict import RTDETRPredictor
from ultralytics.utils import ops

rng = np.random.default_rng(5)
QUERIES = 100


def rows(classes):
    centres = rng.uniform(0.1, 0.9, (QUERIES, 2))
    sides = rng.uniform(0.05, 0.5, (QUERIES, 2))
    return np.concatenate([centres, sides], 1), rng.beta(0.4, 3, (QUERIES, classes))


def expected(boxes, photo):
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, photo[0])
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, photo[1])
    return listed(boxes[np.argsort(-boxes[:, 4], kind="stable")])


def predicted(table, size, photo):
    """What the predictor makes of rows of centre, size, score, class."""
    settings = types.SimpleNamespace(conf=0.25, classes=None, max_det=300)
    names = {i: str(i) for i in range(100)}
    predictor = types.SimpleNamespace(args=settings, model=types.SimpleNamespace(names=names), batch=[["x"]])
    pixels = np.zeros((photo[1], photo[0], 3), np.uint8)
    result = RTDETRPredictor.postprocess(predictor, [table[None]], torch.zeros(1, 3, size[1], size[0]), [pixels])[0]
    return result.boxes.data.numpy().astype(np.float64)


def record_case(kind, size, photo, record, found, **more):
    cases.append({"kind": kind, "input": list(size), "photo": list(photo), "outputs": [record], **more,
                  "options": {"maxDetections": 300}, "expected": {"boxes": expected(found, photo)}})


cases = []
for size, photo, classes in (((64, 64), (123, 77), 24), ((96, 64), (640, 480), 30)):
    # As Ultralytics exported it until 8.3: all classes of every query.
    boxes, scores = rows(classes)
    record, values = output(np.concatenate([boxes, scores], 1)[None], 0, 1.1)
    v = torch.from_numpy(values[0].copy())
    best, label = v[:, 4:].max(-1, keepdim=True)
    table = torch.cat([v[:, :4], best, label], 1)
    record_case("detr", size, photo, record, predicted(table, size, photo))
    # And since: the best of them alone.
    record, values = output(table.numpy()[None], 0, float(classes))
    found = predicted(torch.from_numpy(values[0].copy()), size, photo)
    found[:, 5] = np.round(found[:, 5])
    record_case("yolo-nms", size, photo, record, found, description="Ultralytics RT-DETR-l model trained on x")

for how, classes in (("softmax", 92), ("sigmoid", 80)):
    # As transformers' post_process_object_detection: probabilities, the best class, corners, the photo's size.
    size, photo = (64, 64), (200, 90)
    boxes, _ = rows(classes)
    logits = rng.normal(-4, 1.5, (QUERIES, classes))
    logits[np.arange(QUERIES), rng.integers(0, classes, QUERIES)] += rng.uniform(0, 8, QUERIES)
    box_record, b = output(boxes[None], 0, 1, "pred_boxes")
    score_record, s = output(logits[None], -10, 6, "logits")
    b, s = torch.from_numpy(b[0].copy()), torch.from_numpy(s[0].copy())
    best, label = (s.softmax(-1)[:, :-1] if how == "softmax" else s.sigmoid()).max(-1)
    corners = ops.xywh2xyxy(b) * torch.tensor([photo[0], photo[1], photo[0], photo[1]])
    found = torch.cat([corners, best[:, None], label[:, None]], 1)[best > 0.5].numpy().astype(np.float64)
    cases.append({"kind": "detr", "input": list(size), "photo": list(photo), "outputs": [box_record, score_record], "options": {"maxDetections": 300}, "expected": {"boxes": expected(found, photo)}})
write("detr", f"ultralytics {ultralytics.__version__}, tools/heads/detr_reference.py", cases)
