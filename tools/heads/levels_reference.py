"""test/fixtures/heads/levels.json: outputs that come grid by grid, and YOLO in four parts, decoded by the authors' functions.

pip install ultralytics rtmlib insightface facexlib rapid-layout --no-deps (beside numpy, torch and opencv-python);
python tools/heads/levels_reference.py. Neither network nor engine is needed: insightface's imports of those are filled in.
"""
import sys
import types

import numpy as np
import torch
import torchvision

for name, members in {"onnx": (), "onnxruntime": (), "google.protobuf.message": ("DecodeError",)}.items():
    module = types.ModuleType(name)
    for member in members:
        setattr(module, member, Exception)
    sys.modules.setdefault(name, module)
# The packages' own beginnings import engines and downloaders: only the files that decode are wanted.
for package in ("insightface", "insightface.model_zoo", "facexlib", "facexlib.detection", "rapid_layout", "rapid_layout.model_handler",
                "rapid_layout.model_handler.pp", "rtmlib", "rtmlib.tools", "rtmlib.tools.pose_estimation"):
    module = types.ModuleType(package)
    module.__path__ = [f"{p}/{package.replace('.', '/')}" for p in sys.path]
    sys.modules[package] = module

from common import listed, output, write  # noqa: E402
from facexlib.detection.retinaface_utils import PriorBox, decode, decode_landm  # noqa: E402
from insightface.model_zoo.retinaface import RetinaFace  # noqa: E402
from insightface.model_zoo.scrfd import SCRFD  # noqa: E402
from rapid_layout.model_handler.pp.post_process import PPPostProcess  # noqa: E402
from rtmlib.tools.pose_estimation.post_processings import get_simcc_maximum  # noqa: E402
from ultralytics.nn.modules.block import DFL  # noqa: E402
from ultralytics.utils import nms, ops  # noqa: E402
from ultralytics.utils.tal import dist2bbox, make_anchors  # noqa: E402

rng = np.random.default_rng(15)
cases = []


def case(kind, size, outputs, expected, **options):
    cases.append({"kind": kind, "input": list(size), "photo": list(size), "outputs": outputs, "options": options,
                  "expected": expected})


def grids(size, strides, width, low, high, name, first=False):
    """A random output for each stride, recorded, and its real values as [1, width, rows, columns]."""
    records, values = [], []
    for s in strides:
        h, w = size[1] // s, size[0] // s
        record, v = output(rng.uniform(low, high, (1, width, h, w) if first else (1, h, w, width)), low, high, f"{name}_{s}")
        records.append(record)
        values.append(torch.from_numpy(v if first else v.transpose(0, 3, 1, 2).copy()))
    return records, values


def sparse(records, values, size, strides, low, high, name):
    """Scores that are low but for a few cells."""
    # No two of those alike, so that there is one order.
    levels = list(rng.permutation(np.arange(0, high, (high - low) / 255)))
    for s in strides:
        shape = (1, size[1] // s, size[0] // s, 3)
        real = rng.uniform(low, low / 2, shape)
        for at in np.argwhere(rng.uniform(size=shape) < 0.025):
            real[tuple(at)] = levels.pop()
        record, v = output(real, low, high, f"{name}_{s}")
        records.append(record)
        values.append(torch.from_numpy(v.transpose(0, 3, 1, 2).copy()))


# YOLOv8 before its end: 64 numbers of a box, logits of classes, mask coefficients, prototypes.
STRIDES = [8, 16, 32]
for size in ((96, 64),):
    r_box, box = grids(size, STRIDES, 64, -4, 4, "box")
    r_cls, cls = [], []
    sparse(r_cls, cls, size, STRIDES, -8, 4, "cls")
    r_mask, coefficients = grids(size, STRIDES, 32, -1, 1, "mask")
    proto, p = output(rng.normal(0, 1, (1, size[1] // 4, size[0] // 4, 32)).cumsum(1).cumsum(2) / 4, -6, 6, "proto")
    anchors, strides = (x.transpose(0, 1) for x in make_anchors(box, STRIDES, 0.5))
    flat = lambda parts: torch.cat([x.flatten(2) for x in parts], 2)
    boxes = dist2bbox(DFL(16)(flat(box)), anchors.unsqueeze(0), xywh=True, dim=1) * strides
    table = torch.cat([boxes, flat(cls).sigmoid(), flat(coefficients)], 1)
    pred = nms.non_max_suppression(table.detach(), 0.25, 0.7, nc=3)[0]
    masks = ops.process_mask(torch.from_numpy(p[0].transpose(2, 0, 1).copy()), pred[:, 6:], pred[:, :4],
                             (size[1], size[0]), upsample=True)
    drawn = {"boxes": listed(pred[:, :6]), "masks": ["".join(map(str, m.flatten().tolist())) for m in masks]}
    case("yolo-levels", size, [*r_box, *r_cls, *r_mask, proto], drawn, head="yolo-levels")
    # The same before its last concatenation: boxes, probabilities, coefficients apart.
    parts = []
    for name, of, low, high in (("boxes", boxes / torch.tensor([size[0], size[1]] * 2)[None, :, None], -0.5, 1.5),
                                ("scores", (flat(cls) + 8) / 12, 0, 1), ("coefficients", flat(coefficients), -1, 1)):
        parts.append(output(of.detach().numpy(), low, high, name))
    values = [torch.from_numpy(v.copy()) for _, v in parts]
    values[0] = values[0] * torch.tensor([size[0], size[1]] * 2)[None, :, None]
    pred = nms.non_max_suppression(torch.cat(values, 1), 0.7, 0.7, nc=3)[0]
    masks = ops.process_mask(torch.from_numpy(p[0].transpose(2, 0, 1).copy()), pred[:, 6:], pred[:, :4],
                             (size[1], size[0]), upsample=True)
    drawn = {"boxes": listed(pred[:, :6]), "masks": ["".join(map(str, m.flatten().tolist())) for m in masks]}
    case("yolo-parts", size, [parts[1][0], proto, parts[0][0], parts[2][0]], drawn, scoreThreshold=0.7)

# PicoDet: scores, then 32 numbers of a box.
STRIDES4 = [8, 16, 32, 64]
size = (128, 64)
r_box, box = grids(size, STRIDES4, 32, -4, 4, "box")
r_cls, cls = [], []
for s in STRIDES4:
    # One class a cell at most: PaddleDetection would take a cell for several.
    real = rng.uniform(0, 0.3, (1, size[1] // s, size[0] // s, 3))
    hot = rng.uniform(size=real.shape[:3]) < 0.15
    real[hot, rng.integers(3)] = rng.uniform(0.5, 0.99, hot.sum())
    record, v = output(real, 0, 1, f"cls_{s}")
    r_cls.append(record)
    cls.append(v.reshape(1, -1, 3))
rows = [x.flatten(2).transpose(1, 2).numpy() for x in box]
found, scores, names = PPPostProcess(["0", "1", "2"], 0.5, 0.6)(
    (size[1], size[0]), np.zeros((1, 3, size[1], size[0]), np.float32), [*cls, *rows])
want = [[*b, s, int(n)] for b, s, n in zip(found, scores, names)]
case("picodet", size, [*r_cls, *r_box], {"boxes": listed(want)}, head="picodet", maxDetections=1000)

# NanoDet-Plus: one table; distances from the upper left corners of cells (nanodet_plus_head.py, read).
r_table, table = output(np.concatenate([np.where(rng.uniform(size=(1, 170, 2)) < 0.05, rng.uniform(0.3, 1, (1, 170, 2)), 0.1),
                                        rng.uniform(-4, 4, (1, 170, 32))], 2), -4, 4, "table")
centres = np.concatenate([[(x * s, y * s) for y in range(64 // s) for x in range(128 // s)] for s in STRIDES4])
per = np.concatenate([[s] * ((64 // s) * (128 // s)) for s in STRIDES4])
distances = torch.from_numpy(table[0, :, 2:].reshape(-1, 4, 8).copy()).softmax(2).numpy() @ np.arange(8) * per[:, None]
corners = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], 1)
best = table[0, :, :2].argmax(1)
sure = table[0, :, :2].max(1)
keep = np.flatnonzero(sure > 0.35)
kept = torchvision.ops.batched_nms(torch.from_numpy(corners[keep]), torch.from_numpy(sure[keep]).double(), torch.from_numpy(best[keep]), 0.6)
case("nanodet", (128, 64), [r_table], {"boxes": listed([[*corners[i], sure[i], best[i]] for i in keep[kept]])}, head="nanodet")

def suppressed(kind, dets):
    """The rows that InsightFace's own suppression keeps: it counts the pixels of both corners, which must tell here."""
    net = kind.__new__(kind)
    net.nms_thresh = 0.4
    keep = np.array(net.nms(dets))
    others = torchvision.ops.nms(torch.from_numpy(dets[:, :4]), torch.from_numpy(dets[:, 4]), 0.4).numpy()
    print(kind.__name__, len(keep), len(others))
    assert keep.tolist() != others.tolist()
    return keep


# SCRFD: two candidates a cell.
for points in (True, False):
    size = (96, 64)
    records, outs = [], []
    # No two scores alike, so that there is one order.
    rank, at = rng.permutation(256) / 256, 0
    for width, low, high in ((1, 0, 255 / 256), (4, 0, 1.5), (10, -2, 2))[: 3 if points else 2]:
        for s in STRIDES:
            n = 2 * (size[1] // s) * (size[0] // s)
            real = rank[at:at + n, None] if width == 1 else rng.uniform(low, high, (n, width))
            at += n if width == 1 else 0
            record, v = output(real, low, high, f"{width}_{s}")
            records.append(record)
            outs.append(v)
    net = SCRFD.__new__(SCRFD)
    net.batched, net.use_kps, net.fmc, net._feat_stride_fpn, net._num_anchors = False, points, 3, STRIDES, 2
    net.center_cache, net.output_names, net.input_name, net.nms_thresh = {}, None, "image", 0.4
    net._prepare_input_blob = lambda img, size: img.transpose(2, 0, 1)[None]
    net._session_for_input_size = lambda size: types.SimpleNamespace(run=lambda *_: outs)
    scores, boxes, marks = (np.vstack(x) if x else None for x in net.forward(np.zeros((size[1], size[0], 3), np.float32), 0.5))
    dets = np.hstack([boxes, scores]).astype(np.float32)
    order = dets[:, 4].argsort(kind="stable")[::-1]
    dets = dets[order]
    keep = suppressed(SCRFD, dets)
    expected = {"boxes": listed(np.concatenate([dets[keep], np.zeros((len(keep), 1))], 1))}
    if points:
        expected["points"] = [listed(m) for m in marks[order][keep]]
    case("scrfd", size, records, expected, maxDetections=1000)

# RetinaFace.
size = (96, 64)
cfg = {"min_sizes": [[16, 32], [64, 128], [256, 512]], "steps": STRIDES, "clip": False}
priors = PriorBox(cfg, image_size=(size[1], size[0])).forward()
n = len(priors)
face = rng.permutation(256)[None, :n, None] / 256
r_conf, conf = output(np.concatenate([1 - face, face], 2), 0, 255 / 256, "conf")
r_loc, loc = output(rng.normal(0, 1, (1, n, 4)), -3, 3, "loc")
r_marks, marks = output(rng.normal(0, 2, (1, n, 10)), -6, 6, "landms")
scale = np.array([size[0], size[1]])
boxes = decode(torch.from_numpy(loc[0]), priors, [0.1, 0.2]).numpy() * np.tile(scale, 2)
marks = decode_landm(torch.from_numpy(marks[0]), priors, [0.1, 0.2]).numpy() * np.tile(scale, 5)
keep = np.flatnonzero(conf[0, :, 1] > 0.6)
keep = keep[conf[0, keep, 1].argsort(kind="stable")[::-1]]
dets = np.hstack([boxes[keep], conf[0, keep, 1:]]).astype(np.float32)
# facexlib's newer releases suppress with torchvision's, which does not count pixels inclusively.
kept = suppressed(RetinaFace, dets)
case("retinaface", size, [r_loc, r_conf, r_marks],
     {"boxes": listed([[*dets[k], 0] for k in kept]), "points": [listed(marks[keep[k]].reshape(5, 2)) for k in kept]},
     maxDetections=1000)

# SimCC: scores are MMPose's, the lesser of both.
size = (64, 96)
r_x, x = output(rng.uniform(0, 0.9, (1, 17, 128)), 0, 1, "simcc_x")
r_y, y = output(rng.uniform(0, 0.9, (1, 17, 192)), 0, 1, "simcc_y")
places, _ = get_simcc_maximum(x.copy(), y.copy())
sure = np.minimum(x.max(2), y.max(2))
case("simcc", size, [r_x, r_y], {"points": [listed(np.concatenate([places[0] / 2, sure[0][:, None]], 1))]})

write("levels", "ultralytics, insightface, facexlib, rapid_layout and rtmlib, tools/heads/levels_reference.py", cases)
