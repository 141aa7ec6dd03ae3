"""Small Keras 3 models with operations on tensors, nested models and normalizations, and Keras' own outputs, for
test/keras-ops.test.ts: test/fixtures/keras-ops. Random weights; one seed.

python tools/goldens/keras_ops.py FOLDER [SEED [NAME...]]     NAME: these alone. Needs: pip install tensorflow-cpu (Keras 3).
"""
import base64, io, json, os, pathlib, sys, zipfile
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import numpy as np, keras
from keras import layers as L, ops

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
keras.utils.set_random_seed(seed)
MODELS = {}
I = lambda *s: keras.Input(s)

def m(f):
    MODELS[f.__name__] = f
    return f

@m
def ops_scale():
    x=i=I(16,16,3)
    x=x/255.0
    x=x*2-1
    y=L.Conv2D(8,3,strides=2)(x)
    y=ops.relu(y)
    y=ops.mean(y,axis=[1,2])
    return keras.Model(i,L.Dense(4)(y))

@m
def resnet_prep():
    i=I(32,32,3)
    x=keras.applications.resnet50.preprocess_input(i)
    x=L.Conv2D(8,3,padding='same',activation='relu')(x)
    return keras.Model(i,L.Dense(3)(L.GlobalAveragePooling2D()(x)))

@m
def slices():
    i=I(16,16,6)
    a=i[:,:,:,:3]
    b=i[..., 3:]
    c=ops.concatenate([a,b],axis=-1)
    d=c[:,2:14:2,1:-1,:]
    return keras.Model(i,L.Conv2D(4,3)(d))

@m
def maxmin():
    i=I(8,8,4)
    a=L.Conv2D(4,3,padding='same')(i)
    b=L.Conv2D(4,1)(i)
    x=L.Maximum()([a,b])
    y=L.Minimum()([a,b])
    z=L.Subtract()([x,y])
    w=L.Average()([x,z])
    return keras.Model(i,L.GlobalMaxPooling2D()(w))

@m
def ops_maxmin():
    i=I(8,8,4)
    a=L.Conv2D(4,3,padding='same')(i)
    x=ops.maximum(a,0.1*a)
    y=ops.minimum(x,1.0)
    return keras.Model(i,ops.max(y,axis=(1,2)))

@m
def upsample():
    i=I(8,8,3)
    x=L.Conv2D(4,3,padding='same',activation='relu')(i)
    x=L.UpSampling2D()(x)
    x=L.UpSampling2D(2,interpolation='bilinear')(x)
    return keras.Model(i,L.Conv2D(2,3,padding='same')(x))

@m
def groupnorm():
    i=I(8,8,3)
    x=L.Conv2D(8,3,padding='same')(i)
    x=L.GroupNormalization(4)(x)
    x=L.Activation('swish')(x)
    x=L.GroupNormalization(-1)(x)
    return keras.Model(i,x)

@m
def layernorm():
    i=I(8,8,3)
    x=L.Conv2D(8,3,padding='same')(i)
    x=L.LayerNormalization()(x)
    x=L.Activation('gelu')(x)
    return keras.Model(i,x)

@m
def nested():
    i=I(12,12,3)
    a=keras.Sequential([I(12,12,3),L.Conv2D(4,3),L.BatchNormalization(),L.ReLU()])
    j=keras.Input((10,10,4))
    inner=keras.Model(j,[L.Conv2D(4,1)(j),L.MaxPooling2D()(j)])
    p,q=inner(a(i))
    return keras.Model(i,[L.GlobalAveragePooling2D()(p),L.Flatten()(q)])

@m
def kops():
    i=I(8,8,4)
    x=L.Conv2D(4,3,padding='same')(i)
    x=ops.relu6(x)
    x=ops.reshape(x,(-1,64,4))
    x=ops.transpose(x,(0,2,1))
    x=ops.expand_dims(x,-1)
    x=ops.squeeze(x,-1)
    x=ops.sigmoid(x)
    x=ops.tanh(x)+ops.sqrt(x+1.0)
    return keras.Model(i,L.Flatten()(x))

@m
def kops2():
    i=I(8,8,4)
    x=L.Conv2D(4,3,padding='same')(i)
    x=ops.clip(x,-1.,1.)
    x=ops.leaky_relu(x,0.3)
    x=ops.abs(x)
    x=ops.square(x)
    x=-x
    x=ops.exp(x)
    x=ops.pad(x,[[0,0],[1,1],[2,0],[0,0]])
    return keras.Model(i,ops.sum(x,axis=(1,2)))

@m
def hardacts():
    i=I(8,8,4)
    x=L.Conv2D(4,3,padding='same',activation='hard_sigmoid')(i)
    y=L.Conv2D(4,3,padding='same',activation='hard_swish')(i)
    z=L.Activation('hard_silu')(y)
    w=L.Activation('elu')(L.Conv2D(4,1)(i))
    return keras.Model(i,L.Concatenate()([x,y,z,w]))

@m
def acts():
    i=I(8,8,4)
    o=[]
    for a in ['selu','softplus','softsign','mish','silu','relu6','leaky_relu','exponential','log_softmax','tanh']: o.append(L.Activation(a)(L.Conv2D(2,1)(i)))
    return keras.Model(i,L.Concatenate()(o))

@m
def conv1d():
    i=I(64,3)
    x=L.Conv1D(8,5,strides=2,activation='relu')(i)
    x=L.MaxPooling1D()(x)
    x=L.BatchNormalization()(x)
    x=L.SeparableConv1D(8,3,padding='same')(x)
    x=L.GlobalAveragePooling1D()(x)
    return keras.Model(i,L.Dense(4,activation='softmax')(x))

@m
def conv1dcausal():
    i=I(32,2)
    x=L.Conv1D(8,3,padding='causal',dilation_rate=2)(i)
    x=L.UpSampling1D(2)(x)
    x=L.ZeroPadding1D(1)(x)
    x=L.AveragePooling1D(2)(x)
    return keras.Model(i,L.Flatten()(x))

@m
def rescale():
    i=I(16,16,3)
    x=L.Rescaling(1/127.5,offset=-1)(i)
    x=L.Normalization(mean=[.1,.2,.3],variance=[1,2,3])(x)
    x=L.RandomFlip()(x)
    x=L.Resizing(8,8)(x)
    x=L.CenterCrop(6,6)(x)
    return keras.Model(i,L.Conv2D(2,3)(x))

@m
def twoin():
    a=I(8,8,3)
    b=I(5)
    x=L.GlobalAveragePooling2D()(L.Conv2D(4,3)(a))
    y=L.Dense(4,activation='relu')(b)
    z=L.Dot(axes=1)([x,y])
    return keras.Model([a,b],L.Concatenate()([x,y,z]))

@m
def groups():
    i=I(8,8,8)
    x=L.Conv2D(8,3,groups=4,padding='same')(i)
    x=L.SpatialDropout2D(.1)(x)
    x=L.UnitNormalization()(x)
    return keras.Model(i,x)

@m
def matmul():
    i=I(6,8)
    x=ops.matmul(i,ops.transpose(i,(0,2,1)))
    x=ops.softmax(x,axis=-1)
    return keras.Model(i,ops.matmul(x,i))

@m
def stacksplit():
    i=I(8,8,6)
    a,b,c=ops.split(i,3,axis=-1)
    d=ops.stack([a,b,c],axis=1)
    e=ops.mean(d,axis=1)
    return keras.Model(i,L.Conv2D(2,1)(e))

@m
def lam():
    i=I(8,8,3)
    x=ops.subtract(i,127.5)
    x=ops.divide(x,127.5)
    x=ops.add(x,0.1)
    x=x*np.array([1.,2.,3.],'f')
    x=ops.power(x,2.0)
    return keras.Model(i,L.Conv2D(2,1)(x))

@m
def imresize():
    i=I(8,8,3)
    x=ops.image.resize(i,(16,16))
    x=ops.image.resize(x,(8,8),interpolation='nearest')
    return keras.Model(i,L.Conv2D(2,1)(x))

@m
def argm():
    i=I(8,8,3)
    x=L.Conv2D(5,1)(i)
    return keras.Model(i,ops.argmax(x,axis=-1))

def small(kind, *layers, shape=(8, 6, 4)):
    """A convolution (or a dense layer) and what follows it."""
    def make():
        i = I(*shape)
        x = L.Conv2D(6, 3, padding="same")(i) if len(shape) == 3 else L.Dense(6)(i)
        for layer in layers: x = layer(x)
        return keras.Model(i, x)
    make.__name__ = kind
    return m(make)

def several(kind, *functions, shape=(8, 6, 4)):
    """Functions of one tensor, each an output."""
    def make():
        i = I(*shape)
        x = L.Conv2D(6, 3, padding="same")(i) if len(shape) == 3 else L.Dense(6)(i)
        return keras.Model(i, [f(x) for f in functions])
    make.__name__ = kind
    return m(make)

a = keras.activations
several("acts2", a.celu, lambda x: L.Activation("hard_tanh")(x), a.log_sigmoid, a.soft_shrink, a.tanh_shrink, a.squareplus, a.sparse_plus, a.sparse_sigmoid, a.glu)
several("relus", L.ReLU(3., .2), L.ReLU(negative_slope=.1), L.PReLU(alpha_initializer="uniform"), L.PReLU(alpha_initializer="uniform", shared_axes=[1, 2]), L.ELU(.5))
several("norms", L.LayerNormalization(axis=(1, 2)), L.LayerNormalization(axis=(1, 2, 3)), L.RMSNormalization(), L.UnitNormalization(axis=1), L.BatchNormalization(axis=1), L.SpectralNormalization(L.Conv2D(4, 3)))
several("softmaxes", L.Softmax(axis=1), L.Softmax(axis=(1, 2)), lambda x: ops.softmax(x, axis=2))
several("transposed", L.Conv2DTranspose(4, 3, strides=(3, 2), padding="same", output_padding=1), L.Conv2DTranspose(4, 3, strides=2, output_padding=1), L.Conv2DTranspose(4, 2, strides=3), L.Resizing(5, 5, crop_to_aspect_ratio=True))
several("line", L.Conv1DTranspose(4, 3, strides=2, padding="same"), L.Conv1DTranspose(4, 3, strides=2, output_padding=1), L.Conv1D(6, 3, groups=2), lambda x: L.Dot((1, 1))([x, x]), lambda x: L.Dot((2, 2), normalize=True)([x, ops.tanh(x)]), shape=(10, 4))
several("places", lambda x: x[:, ::-1, 4:1:-1], lambda x: ops.tile(x, (1, 2, 1, 2)), lambda x: ops.repeat(x, 3, axis=2), lambda x: ops.roll(x, 2, axis=1), lambda x: ops.swapaxes(x, 1, 3), lambda x: ops.moveaxis(x, 3, 1), lambda x: ops.unstack(x, axis=2)[3], lambda x: ops.take(x, [3, 1, 1], axis=-1))
several("lengths", lambda x: ops.norm(x, axis=-1, keepdims=True), lambda x: ops.normalize(x, axis=1), lambda x: ops.std(x, axis=1), lambda x: ops.logsumexp(x, axis=-1), lambda x: ops.expm1(ops.log1p(ops.relu(x))))
several("lstm", L.LSTM(5, return_sequences=True), L.LSTM(4, recurrent_activation="hard_sigmoid", go_backwards=True), lambda x: L.LSTM(6)(x, initial_state=L.LSTM(6, return_state=True)(x)[1:]), shape=(7, 3))
several("gru", L.GRU(5, return_sequences=True), L.GRU(4, reset_after=False), L.SimpleRNN(4), L.GRU(3, use_bias=False), shape=(7, 3))
several("wrapped", L.Bidirectional(L.LSTM(4, return_sequences=True)), L.Bidirectional(L.GRU(3), merge_mode="sum"), L.TimeDistributed(L.Dense(4, activation="relu")), shape=(6, 3))

@m
def frames():
    i = I(3, 8, 8, 2)
    x = L.TimeDistributed(keras.Sequential([I(8, 8, 2), L.Conv2D(4, 3, activation="relu"), L.GlobalAveragePooling2D()]))(i)
    return keras.Model(i, L.Dense(3)(L.GRU(4)(x)))

@m
def attention():
    i = I(9, 6)
    x = L.Dense(8)(i)
    x = L.Add()([x, L.MultiHeadAttention(2, 5)(x, x)])
    return keras.Model(i, [L.Dense(3)(x), L.Attention()([x, x]), L.AdditiveAttention()([x, x])])

@m
def encoder():
    i = I(6)
    x = L.RepeatVector(4)(L.Dense(5)(i))
    return keras.Model(i, L.Dense(2)(L.LSTM(3, return_sequences=True)(x)))

answers = {}
only = sys.argv[3:]
for name, make in MODELS.items():
    if only and name not in only: continue
    keras.utils.set_random_seed(seed + len(name)) if only else None
    model = make()
    for layer in model._flatten_layers():
        if isinstance(layer, (L.BatchNormalization, L.LayerNormalization, L.RMSNormalization)) and layer.built:
            r = np.random.RandomState(seed)
            layer.set_weights([(abs(r.randn(*w.shape)) * .3 + .8 if v.name in ("gamma", "scale", "moving_variance") else r.randn(*w.shape) * .2).astype("f")
                               for w, v in zip(layer.get_weights(), layer.weights)])
    xs = [np.random.RandomState(seed + 1).rand(1, *t.shape[1:]).astype("f") * 2 - 1 for t in model.inputs]
    ys = model(xs if len(xs) > 1 else xs[0], training=False)
    ys = [np.asarray(y).astype("f") for y in (ys if isinstance(ys, (list, tuple)) else [ys])]
    stored = io.BytesIO()
    model.save(folder / f"{name}.keras")
    # The same file, compressed.
    with zipfile.ZipFile(folder / f"{name}.keras") as a, zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as b:
        for entry in sorted(a.namelist()):
            b.writestr(zipfile.ZipInfo(entry, (2026, 1, 1, 0, 0, 0)), a.read(entry), zipfile.ZIP_DEFLATED)
    (folder / f"{name}.keras").write_bytes(stored.getvalue())
    text = lambda a: base64.b64encode(a.astype("<f4").tobytes()).decode()
    answers[name] = {"x": [text(x) for x in xs], "y": [text(y) for y in ys]}
(folder / "answers.json").write_text(json.dumps({"keras": keras.__version__, "answers": answers}, indent=1) + "\n")
