"""test/fixtures/heads/ssd.json: raw SSD outputs decoded by TensorFlow's Object Detection API: its anchor generators, box
coder and suppression by class.

pip install tensorflow tf_slim tf-models-research-object-detection==2.8.0.post1 (--no-deps will do)
python tools/heads/ssd_reference.py
"""
import numpy as np
import tensorflow as tf
from common import listed, output, write
from object_detection.anchor_generators import multiple_grid_anchor_generator, multiscale_grid_anchor_generator
from object_detection.box_coders import faster_rcnn_box_coder
from object_detection.core import box_list, box_list_ops, post_processing

rng = np.random.default_rng(9)
CODER = faster_rcnn_box_coder.FasterRcnnBoxCoder(scale_factors=[10.0, 10.0, 5.0, 5.0])


def ssd(size):
    """As ssd_mobilenet_v1_coco.config and ssdlite_mobilenet_v2_coco.config have it."""
    maps = [(-(-size[1] // 16), -(-size[0] // 16))]
    while len(maps) < 6:
        maps.append(tuple(-(-n // 2) for n in maps[-1]))
    generator = multiple_grid_anchor_generator.create_ssd_anchors(
        num_layers=6, min_scale=0.2, max_scale=0.95, aspect_ratios=(1.0, 2.0, 0.5, 3.0, 0.3333))
    return generator.generate(maps)


def pyramid(size):
    """As ssd_mobilenet_v2_fpnlite_*.config has it."""
    generator = multiscale_grid_anchor_generator.MultiscaleGridAnchorGenerator(
        min_level=3, max_level=7, anchor_scale=4.0, aspect_ratios=[1.0, 2.0, 0.5], scales_per_octave=2)
    maps = [(-(-size[1] // 2**level), -(-size[0] // 2**level)) for level in range(3, 8)]
    return generator.generate(maps, im_height=size[1], im_width=size[0])


cases = []
for kind, size, photo, anchors, classes in [
    ("ssd", (300, 300), (640, 427), ssd, 3),
    ("ssd", (320, 224), (60, 80), ssd, 5),
    ("ssd-fpn", (128, 128), (500, 300), pyramid, 3),
    ("ssd-fpn", (160, 192), (96, 96), pyramid, 2),
]:
    grid = box_list_ops.concatenate(anchors(size))
    centres = grid.get_center_coordinates_and_sizes()
    count = grid.num_boxes_static()
    codes = rng.normal(0, 0.3, (1, count, 4))
    logits = rng.normal(-5, 1, (1, count, classes + 1))
    cy, cx, h, w = [c.numpy() for c in centres]
    for _ in range(6):
        # An object: its code relative to the anchors that overlap it most.
        top, left = rng.uniform(0.05, 0.5, 2)
        bottom, right = (top, left) + rng.uniform(0.2, 0.45, 2)
        c = rng.integers(1, classes + 1)
        fit = np.abs(np.log(h / (bottom - top))) + np.abs(np.log(w / (right - left)))
        fit += 4 * np.hypot(cy - (top + bottom) / 2, cx - (left + right) / 2)
        near = np.argsort(fit)[:5]
        target = np.array([[top, left, bottom, right]] * 5, np.float32)
        some = box_list.BoxList(tf.gather(grid.get(), near))
        codes[0, near] = CODER.encode(box_list.BoxList(tf.constant(target)), some).numpy() + rng.normal(0, 0.2, (5, 4))
        # One class an anchor: ours takes the best, as TFLite_Detection_PostProcess does.
        logits[0, near] = rng.normal(-5, 1, (5, classes + 1))
        logits[0, near, c] = rng.uniform(0.2, 3, 5)
    boxes_record, boxes = output(codes, -12, 12, "boxes")
    scores_record, scores = output(logits, -8, 4, "scores")
    decoded = CODER.decode(tf.constant(boxes[0]), grid).get()
    chosen, kept = post_processing.multiclass_non_max_suppression(
        decoded[:, None], tf.sigmoid(scores[0, :, 1:]), score_thresh=0.5, iou_thresh=0.5, max_size_per_class=100,
        max_total_size=100, change_coordinate_frame=False)
    n = int(kept)
    rows = [[left * photo[0], top * photo[1], right * photo[0], bottom * photo[1], score, index]
            for (top, left, bottom, right), score, index in zip(
                chosen.get().numpy()[:n].tolist(), chosen.get_field("scores").numpy()[:n].tolist(),
                chosen.get_field("classes").numpy()[:n].tolist())]
    cases.append({"kind": kind, "input": list(size), "photo": list(photo), "outputs": [boxes_record, scores_record],
                  "labels": [f"class {i}" for i in range(classes)], "options": {}, "expected": {"boxes": listed(rows)}})
write("ssd", "tf-models-research-object-detection 2.8.0, tools/heads/ssd_reference.py", cases)
