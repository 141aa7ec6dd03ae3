"""Fresh exports of a spread of architectures with random weights, for tools/field: python exports.py OUT_DIR [--seed S] [NAME ...]

Writes OUT_DIR/NAME-FORM.tflite by TensorFlow's converter; FORM: int8 (8-bit inside and at the ends), uint8 (uint8 ends), float (float ends), tensor
(one scale a weight tensor). Every third NAME has a fixed batch, the others an open one. Needs tensorflow 2.21 (Keras 3) and numpy. Then:

    THIMBLE_PYTHON=... npx tsx tools/field/index.ts OUT_DIR
"""
import argparse
import os
import pathlib
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from keras import ops

MODELS = {}


def model(make):
    MODELS[make.__name__] = make
    return make


def image(size=32, channels=3, batch=None):
    return keras.Input([size, size, channels], batch_size=batch)


def application(name, size, **more):
    def make(batch):
        return getattr(keras.applications, name)(weights=None, input_tensor=image(size, 3, batch), classes=10, **more)

    make.__name__ = name + "".join(str(v) for v in more.values())
    return model(make)


application("MobileNet", 64, alpha=0.25)
application("MobileNetV2", 64, alpha=0.35)
application("MobileNetV3Small", 64, alpha=0.75)
application("MobileNetV3Large", 64, alpha=0.75, minimalistic=True)
application("EfficientNetB0", 48)
application("EfficientNetV2B0", 48)
application("NASNetMobile", 64)
application("DenseNet121", 48)
application("ResNet50V2", 48)
application("Xception", 72)


@model
def global_max(batch):
    x = i = image(24, 3, batch)
    x = L.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(i, L.Dense(5, activation="softmax")(L.GlobalMaxPooling2D()(x)))


@model
def instance_norm(batch):
    x = i = image(24, 3, batch)
    x = L.Conv2D(8, 3, padding="same")(x)
    mean = ops.mean(x, axis=[1, 2], keepdims=True)
    var = ops.mean(ops.square(x - mean), axis=[1, 2], keepdims=True)
    x = (x - mean) * ops.rsqrt(var + 1e-3)
    return keras.Model(i, L.Conv2D(3, 3, activation="tanh")(x))


@model
def group_norm(batch):
    x = i = image(16, 3, batch)
    x = L.GroupNormalization(4)(L.Conv2D(8, 3)(x))
    return keras.Model(i, L.Dense(4)(L.Flatten()(L.Activation("relu")(x))))


def attend(x, heads, width):
    y = L.LayerNormalization()(x)
    y = L.MultiHeadAttention(heads, width)(y, y)
    x = x + y
    y = L.LayerNormalization()(x)
    return x + L.Dense(x.shape[-1])(L.Dense(2 * x.shape[-1], activation="gelu")(y))


@model
def transformer(batch):
    x = i = keras.Input([20, 12], batch_size=batch)
    x = L.Dense(16)(x)
    x = attend(attend(x, 2, 8), 4, 4)
    return keras.Model(i, L.Dense(6, activation="softmax")(L.GlobalAveragePooling1D()(x)))


@model
def mobilevit(batch):
    x = i = image(32, 3, batch)
    x = L.Conv2D(16, 3, strides=2, padding="same", activation="swish")(x)
    y = L.Conv2D(12, 1, activation="swish")(L.Conv2D(16, 3, padding="same", activation="swish")(x))
    y = L.Reshape([64, 4, 12])(y)
    y = attend(y, 2, 6)
    y = L.Conv2D(16, 1, activation="swish")(L.Reshape([16, 16, 12])(y))
    x = L.Conv2D(16, 3, padding="same", activation="swish")(L.Concatenate()([x, y]))
    return keras.Model(i, L.Dense(7)(L.GlobalAveragePooling2D()(x)))


@model
def squeeze_excite(batch):
    x = i = image(24, 3, batch)
    x = L.Conv2D(16, 3, strides=2, padding="same")(x)
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Conv2D(16, 1, activation="hard_sigmoid")(L.Conv2D(4, 1, activation="relu")(s))
    x = L.Activation("hard_swish")(L.Multiply()([x, s]))
    return keras.Model(i, L.Dense(3, activation="sigmoid")(L.GlobalAveragePooling2D()(x)))


@model
def unet(batch):
    x = i = image(32, 3, batch)
    a = L.Conv2D(8, 3, padding="same", activation="relu")(x)
    b = L.Conv2D(12, 3, padding="same", activation="relu")(L.MaxPooling2D()(a))
    c = L.Conv2D(16, 3, padding="same", activation="relu")(L.MaxPooling2D()(b))
    d = L.Concatenate()([L.Conv2DTranspose(12, 2, strides=2)(c), b])
    e = L.Concatenate()([L.UpSampling2D(interpolation="bilinear")(L.Conv2D(8, 3, padding="same")(d)), a])
    return keras.Model(i, L.Conv2D(2, 1, activation="sigmoid")(e))


@model
def transposed(batch):
    x = i = image(10, 3, batch)
    x = L.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    x = L.Conv2DTranspose(5, 4, strides=2, padding="valid")(x)
    return keras.Model(i, L.Conv2DTranspose(3, 1, strides=2, padding="same")(x))


@model
def lstm(batch):
    x = i = keras.Input([12, 8], batch_size=1)
    return keras.Model(i, L.Dense(4, activation="softmax")(L.LSTM(10)(x)))


@model
def gru(batch):
    x = i = keras.Input([6, 8], batch_size=1)
    return keras.Model(i, L.Dense(4)(L.GRU(10, unroll=True)(x)))


@model
def conv1d(batch):
    x = i = keras.Input([64, 6], batch_size=batch)
    x = L.MaxPooling1D()(L.Conv1D(16, 5, padding="same", activation="relu")(x))
    x = L.AveragePooling1D()(L.Conv1D(16, 3, dilation_rate=2, activation="elu")(x))
    x = L.SeparableConv1D(12, 3)(x)
    return keras.Model(i, L.Dense(4, activation="softmax")(L.Flatten()(x)))


@model
def yolo_head(batch):
    x = i = image(32, 3, batch)
    x = L.Conv2D(16, 3, strides=2, padding="same", activation="silu")(x)
    p = L.Conv2D(24, 3, strides=2, padding="same", activation="silu")(x)
    up = L.Concatenate()([L.UpSampling2D()(p), x])
    outs = []
    for t in (up, p):
        t = L.Conv2D(4 * 4 + 3, 1)(t)
        n = t.shape[1] * t.shape[2]
        t = L.Reshape([n, 19])(t)
        box = L.Softmax()(L.Reshape([n, 4, 4])(t[..., :16]))
        box = ops.sum(box * ops.cast(ops.arange(4), "float32"), axis=-1)
        outs.append(L.Concatenate()([box, L.Activation("sigmoid")(t[..., 16:])]))
    return keras.Model(i, ops.transpose(L.Concatenate(axis=1)(outs), [0, 2, 1]))


@model
def activations(batch):
    x = i = image(12, 4, batch)
    outs = []
    for a in ("elu", "gelu", "leaky_relu", "softplus", "softsign", "selu", "mish", "exponential", "relu6", "silu", "hard_sigmoid", "tanh", "log_softmax"):
        outs.append(L.Activation(a)(L.Conv2D(4, 1)(x)))
    return keras.Model(i, L.Concatenate()(outs))


@model
def prelu(batch):
    x = i = image(16, 3, batch)
    x = L.PReLU(shared_axes=[1, 2])(L.Conv2D(8, 3)(x))
    x = L.PReLU()(L.DepthwiseConv2D(3, depth_multiplier=2)(x))
    x = L.Conv2D(8, 3, dilation_rate=2, padding="same")(x)
    x = L.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x)
    return keras.Model(i, L.Dense(3)(L.Flatten()(x)))


@model
def arithmetic(batch):
    x = i = image(8, 4, batch)
    a, b = L.Conv2D(6, 1)(x), L.Conv2D(6, 1, activation="sigmoid")(x)
    parts = [L.Maximum()([a, b]), L.Minimum()([a, b]), L.Subtract()([a, b]), L.Average()([a, b]), a / (b + 0.5), ops.abs(a), ops.square(a)]
    parts += [ops.sqrt(b), ops.exp(-ops.square(a)), ops.log(b + 0.1), ops.clip(a, -0.5, 0.5), ops.sin(a), ops.floor(a * 3), ops.sign(a), ops.power(b, 1.5)]
    return keras.Model(i, L.Concatenate()(parts))


@model
def reductions(batch):
    x = i = image(8, 4, batch)
    a = L.Conv2D(6, 3, padding="same")(x)
    parts = [f(a, axis=x, keepdims=True) for f in (ops.max, ops.min, ops.sum, ops.mean, ops.var) for x in ([1, 2],)]
    parts += [ops.std(a, axis=[1, 2], keepdims=True), ops.logsumexp(a, axis=[1, 2], keepdims=True)]
    y = L.Flatten()(L.Concatenate()(parts))
    return keras.Model(i, [y, ops.argmax(a, axis=-1), ops.max(a, axis=-1)])


@model
def moves(batch):
    x = i = image(8, 4, batch)
    a = L.Conv2D(6, 3, padding="same")(x)
    parts = [ops.flip(a, axis=1), ops.roll(a, 2, axis=2), ops.pad(a[:, 1:-1, 1:-1], [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")]
    parts += [L.ZeroPadding2D(1)(L.Cropping2D(1)(a)), ops.transpose(a, [0, 2, 1, 3]), ops.where(a > 0.1, a, -a), ops.repeat(a[..., :3], 2, axis=-1)]
    return keras.Model(i, L.Concatenate()(parts))


@model
def pixel_shuffle(batch):
    x = i = image(8, 3, 1)
    x = L.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = L.Lambda(lambda t: tf.nn.depth_to_space(t, 2))(x)
    return keras.Model(i, L.Lambda(lambda t: tf.nn.space_to_depth(t, 4))(x))


@model
def dense(batch):
    x = i = keras.Input([40], batch_size=batch)
    x = L.BatchNormalization()(L.Dense(30, activation="relu")(x))
    return keras.Model(i, [L.Dense(5, activation="softmax")(x), ops.matmul(L.Reshape([5, 6])(x), ops.transpose(L.Reshape([5, 6])(x), [0, 2, 1]))])


@model
def preprocessing(batch):
    x = i = image(16, 3, batch)
    x = L.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.05, 0.06, 0.07])(L.Rescaling(1 / 255.0)(x))
    x = L.Resizing(24, 24)(L.Conv2D(6, 3)(x))
    return keras.Model(i, L.Dense(3)(L.Flatten()(x)))


@model
def embedding(batch):
    i = keras.Input([10], batch_size=batch, dtype="int32")
    x = L.Embedding(50, 8)(i)
    return keras.Model(i, L.Dense(3, activation="softmax")(L.GlobalMaxPooling1D()(L.Conv1D(8, 3, activation="relu")(x))))


def randomize(m, rng):
    """Every weight, batch norm's statistics too: fresh ones are zeros and ones."""
    for w in m.weights:
        a = w.numpy()
        name = w.path.split("/")[-1]
        if name in ("moving_variance", "gamma", "variance"):
            w.assign(rng.uniform(0.6, 1.4, a.shape))
        elif name in ("beta", "moving_mean", "bias"):
            w.assign(rng.normal(0, 0.1, a.shape))
        elif a.dtype == np.float32 and a.ndim:
            w.assign(a * 1.2 + rng.normal(0, 0.01, a.shape))


def export(m, form, rng):
    shapes = [([1] + list(t.shape[1:]), t.dtype) for t in m.inputs]

    def data():
        for _ in range(8):
            yield [rng.integers(0, 50, s).astype(np.int32) if t == "int32" else rng.uniform(-1, 1, s).astype(np.float32) for s, t in shapes]

    c = tf.lite.TFLiteConverter.from_keras_model(m)
    c.optimizations = [tf.lite.Optimize.DEFAULT]
    c.representative_dataset = data
    if form != "float":
        c.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        kind = tf.uint8 if form == "uint8" else tf.int8
        if m.inputs[0].dtype != "int32":
            c.inference_input_type = kind
        c.inference_output_type = kind
    if form == "tensor":
        c._experimental_disable_per_channel = True
    return c.convert()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--forms", default="int8,uint8,float,tensor")
    p.add_argument("names", nargs="*")
    a = p.parse_intermixed_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(a.names or MODELS):
        rng = np.random.default_rng([a.seed, zlib.crc32(name.encode())])
        keras.utils.set_random_seed(a.seed + k)
        try:
            m = MODELS[name](1 if k % 3 == 2 else None)
            randomize(m, rng)
        except Exception as e:
            print(f"{name}: not made: {str(e).splitlines()[0][:150]}", flush=True)
            continue
        for form in a.forms.split(","):
            try:
                (a.out / f"{name}-{form}.tflite").write_bytes(export(m, form, rng))
                print(f"{name}-{form}", flush=True)
            except Exception as e:
                print(f"{name}-{form}: not exported: {str(e).splitlines()[0][:150]}", flush=True)


if __name__ == "__main__":
    main()
