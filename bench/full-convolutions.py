"""Networks of full 3x3 convolutions with random weights, as TFLite's converter quantizes them: YOLOv8n's graph for 192 and
320 pixels, and VGG's first blocks on 96. Their times are those of trained ones; their answers mean nothing.

Usage: python bench/full-convolutions.py FOLDER     (needs TensorFlow 2.21)
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

L = tf.keras.layers


def conv(x, channels, kernel=3, stride=1, silu=True):
    x = L.Conv2D(channels, kernel, stride, padding="same")(x)
    return x * tf.keras.activations.sigmoid(x) if silu else L.ReLU()(x)


def c2f(x, channels, depth, shortcut=True):
    half = channels // 2
    x = conv(x, channels, 1)
    last = x[..., half:]
    parts = [x[..., :half], last]
    for _ in range(depth):
        y = conv(conv(last, half), half)
        last = L.Add()([last, y]) if shortcut else y
        parts.append(last)
    return conv(L.Concatenate()(parts), channels, 1)


def sppf(x, channels):
    pools = [conv(x, channels // 2, 1)]
    for _ in range(3):
        pools.append(L.MaxPool2D(5, 1, "same")(pools[-1]))
    return conv(L.Concatenate()(pools), channels, 1)


def yolov8n(size):
    image = tf.keras.Input((size, size, 3), batch_size=1)
    x = c2f(conv(conv(image, 16, 3, 2), 32, 3, 2), 32, 1)
    p3 = c2f(conv(x, 64, 3, 2), 64, 2)
    p4 = c2f(conv(p3, 128, 3, 2), 128, 2)
    p5 = sppf(c2f(conv(p4, 256, 3, 2), 256, 1), 256)
    n4 = c2f(L.Concatenate()([L.UpSampling2D(2)(p5), p4]), 128, 1, False)
    n3 = c2f(L.Concatenate()([L.UpSampling2D(2)(n4), p3]), 64, 1, False)
    m4 = c2f(L.Concatenate()([conv(n3, 64, 3, 2), n4]), 128, 1, False)
    m5 = c2f(L.Concatenate()([conv(m4, 128, 3, 2), p5]), 256, 1, False)
    heads = []
    for scale in (n3, m4, m5):
        boxes = L.Conv2D(64, 1)(conv(conv(scale, 64), 64))
        classes = L.Conv2D(80, 1)(conv(conv(scale, 80), 80))
        heads.append(L.Concatenate()([boxes, classes]))
    return tf.keras.Model(image, heads)


def vgg():
    image = tf.keras.Input((96, 96, 3), batch_size=1)
    x = image
    for channels, depth in ((64, 2), (128, 2), (256, 3)):
        for _ in range(depth):
            x = conv(x, channels, silu=False)
        x = L.MaxPool2D(2)(x)
    return tf.keras.Model(image, L.Dense(10)(L.GlobalAveragePooling2D()(x)))


def quantized(model, random):
    for w in model.weights:
        if w.shape.rank == 1:
            w.assign(random.normal(0, 0.2, w.shape))
    shape = model.inputs[0].shape
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([random.normal(0, 1, shape).astype("f4")] for _ in range(4))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


for name, make in (("yolov8n_like_192", lambda: yolov8n(192)), ("vgg_96", vgg), ("yolov8n_like_320", lambda: yolov8n(320))):
    tf.keras.utils.set_random_seed(1)
    with open(os.path.join(sys.argv[1], f"{name}.tflite"), "wb") as file:
        file.write(quantized(make(), np.random.default_rng(1)))
