"""Small networks with 16-bit activations as TensorFlow's converter exports them, and LiteRT's answers: test/goldens/int16/nets.jsonl.gz.

    python tools/goldens/int16_nets.py export OUT_DIR      (needs tensorflow)
    python tools/goldens/int16_nets.py answer OUT_DIR      (needs ai-edge-litert 2.3.0, numpy)

`export` writes OUT_DIR/NAME.tflite, `answer` OUT_DIR/nets.jsonl.gz: a line each network, {"name", "model", "runs"}, the model and
the tensors of its runs in base64 (row-major bytes).
Weights are random, from a seed; batch norm has moving averages of its own.
"""
import base64
import gzip
import json
import pathlib
import sys

import numpy as np

OUT = pathlib.Path(sys.argv[2])


def b64(a):
    return base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()


def export():
    import tensorflow as tf

    keras = tf.keras
    layers = keras.layers
    tf.keras.utils.set_random_seed(7)

    def norm(x):
        return layers.BatchNormalization()(x)

    def mobilenet_v2():
        i = x = keras.Input((48, 48, 3), batch_size=1)
        x = layers.ReLU(6.0)(norm(layers.Conv2D(8, 3, 2, "same", use_bias=False)(x)))
        for expand, c, s in [(1, 8, 1), (4, 12, 2), (4, 12, 1), (4, 20, 2), (4, 20, 1)]:
            y = x
            if expand > 1:
                y = layers.ReLU(6.0)(norm(layers.Conv2D(x.shape[-1] * expand, 1, use_bias=False)(y)))
            y = layers.ReLU(6.0)(norm(layers.DepthwiseConv2D(3, s, "same", use_bias=False)(y)))
            y = norm(layers.Conv2D(c, 1, use_bias=False)(y))
            x = layers.Add()([x, y]) if s == 1 and x.shape[-1] == c else y
        x = layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(norm(layers.Conv2D(48, 1)(x))))
        return keras.Model(i, layers.Softmax()(layers.Dense(10)(x)))

    def resnet():
        i = x = keras.Input((32, 32, 3), batch_size=1)
        x = layers.ReLU()(norm(layers.Conv2D(12, 5, 2, "same")(x)))
        x = layers.MaxPooling2D(3, 2, "same")(x)
        for c, s in [(12, 1), (20, 2), (20, 1)]:
            y = layers.ReLU()(norm(layers.Conv2D(c, 3, s, "same")(x)))
            y = norm(layers.Conv2D(c, 3, 1, "same")(y))
            if s > 1:
                x = norm(layers.Conv2D(c, 1, s)(x))
            x = layers.ReLU()(layers.Add()([x, y]))
        x = layers.AveragePooling2D(2)(x)
        return keras.Model(i, layers.Dense(7, activation="sigmoid")(layers.Flatten()(x)))

    def audio():
        i = x = keras.Input((40, 13), batch_size=1)
        x = layers.Conv1D(16, 5, 1, "same", dilation_rate=1, activation="tanh")(x)
        a = layers.Conv1D(16, 3, 1, "same", dilation_rate=2, activation="sigmoid")(x)
        b = layers.Conv1D(16, 3, 1, "same", dilation_rate=2, activation="tanh")(x)
        y = layers.Multiply()([a, b])
        x = layers.Concatenate()([x, y])
        x = layers.LeakyReLU(0.2)(layers.Conv1D(24, 1)(x))
        x = layers.MaxPooling1D(2)(x)
        return keras.Model(i, layers.Dense(4)(layers.Flatten()(x)))

    def unet():
        i = x = keras.Input((24, 24, 2), batch_size=1)
        a = layers.Conv2D(8, 3, 1, "same", activation="relu")(x)
        b = layers.Conv2D(12, 3, 2, "same", activation="relu")(a)
        u = layers.Conv2DTranspose(8, 3, 2, "same")(b)
        x = layers.Concatenate()([a, u])
        x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(6, 3, 2, "same")(x))
        return keras.Model(i, layers.Conv2D(1, 1, activation="sigmoid")(x))

    rng = np.random.default_rng(3)
    for name, make in [("mobilenet-v2", mobilenet_v2), ("resnet", resnet), ("audio", audio), ("u-net", unet)]:
        model = make()
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                g, b, m, v = layer.get_weights()
                layer.set_weights([rng.uniform(0.6, 1.6, g.shape), rng.normal(0, 0.4, b.shape), rng.normal(0, 0.3, m.shape), rng.uniform(0.3, 1.5, v.shape)])
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        shape = [1] + list(model.inputs[0].shape[1:])
        converter.representative_dataset = lambda: ([np.random.default_rng(k).normal(0, 1, shape).astype(np.float32)] for k in range(8))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int16
        (OUT / f"{name}.tflite").write_bytes(converter.convert())


def answer():
    from ai_edge_litert.interpreter import Interpreter

    lines = []
    for path in sorted(OUT.glob("*.tflite")):
        it = Interpreter(model_path=str(path), num_threads=1)
        it.allocate_tensors()
        rng = np.random.default_rng(5)
        runs = []
        for spread in (6000, 32767):
            inputs = []
            for d in it.get_input_details():
                x = rng.integers(-spread, spread + 1, d["shape"])
                x = x.astype(np.int16) if d["dtype"] == np.int16 else (x / 8000).astype(np.float32)
                it.set_tensor(d["index"], x)
                inputs.append(b64(x))
            it.invoke()
            runs.append({"inputs": inputs, "outputs": [b64(it.get_tensor(d["index"])) for d in it.get_output_details()]})
        lines.append(json.dumps({"name": path.stem, "model": base64.b64encode(path.read_bytes()).decode(), "runs": runs}, separators=(",", ":")))
    (OUT / "nets.jsonl.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))


OUT.mkdir(parents=True, exist_ok=True)
export() if sys.argv[1] == "export" else answer()
