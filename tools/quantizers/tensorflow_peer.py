"""TensorFlow's converter for tools/quantizers/index.ts: an int8 model of net.json, by its post-training quantization.

Usage: python tensorflow_peer.py FOLDER, as peers.py. Prints one JSON line.
"""
import json
import os
import sys
import time

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['CUDA_VISIBLE_DEVICES'] = ''
import numpy as np
import tensorflow as tf

folder = sys.argv[1]
at = lambda name: os.path.join(folder, name)
net = json.load(open(at('net.json')))
blob = np.fromfile(at('net.bin'), np.float32)
shape = net['input']['shape']
inputs = {kind: np.fromfile(at(kind + '.f32'), np.float32).reshape(-1, *shape) for kind in ('calibration', 'evaluation')}


def weight(t):
    w = net['weights'][t]
    return blob[w['offset']:w['offset'] + int(np.prod(w['shape']))].reshape(w['shape'])


ACTIVATIONS = {'NONE': lambda x: x, 'RELU': tf.nn.relu, 'RELU6': tf.nn.relu6}


def run(x):
    values = {net['input']['name']: x, **{name: tf.constant(weight(t)) for name, t in net['constants'].items()}}
    for n in net['nodes']:
        a = [values[i] for i in n['inputs']]
        op, act = n['op'], ACTIVATIONS[n.get('activation', 'NONE')]
        if op in ('CONV_2D', 'DEPTHWISE_CONV_2D'):
            top, left, bottom, right = n['pads']
            y = tf.pad(a[0], [[0, 0], [top, bottom], [left, right], [0, 0]]) if any(n['pads']) else a[0]
            w, strides = weight(n['filter']), [1, *n['strides'], 1]
            if op == 'CONV_2D':
                y = tf.nn.conv2d(y, w.transpose(1, 2, 3, 0), strides, 'VALID', dilations=n['dilations'])
            else:
                y = tf.nn.depthwise_conv2d(y, w.transpose(1, 2, 3, 0), strides, 'VALID', dilations=n['dilations'])
            y = act(tf.nn.bias_add(y, weight(n['bias'])))
        elif op == 'FULLY_CONNECTED':
            y = act(tf.nn.bias_add(tf.matmul(a[0], weight(n['filter']).T), weight(n['bias'])))
        elif op == 'ADD':
            y = act(a[0] + a[1])
        elif op == 'MUL':
            y = act(a[0] * a[1])
        elif op == 'MEAN':
            y = tf.reduce_mean(a[0], [1, 2], keepdims=n.get('keepDims', False))
        elif op == 'HARD_SWISH':
            y = a[0] * tf.nn.relu6(a[0] + 3) * np.float32(1 / 6)
        elif op == 'RELU6':
            y = tf.nn.relu6(a[0])
        elif op == 'LOGISTIC':
            y = tf.sigmoid(a[0])
        elif op == 'RESHAPE':
            y = tf.reshape(a[0], n['shape'])
        else:
            raise SystemExit(f'no TensorFlow form for {op}')
        values[n['output']] = y
    return values[net['output']]


name = f'TensorFlow {tf.__version__} converter'
try:
    start = time.time()
    function = tf.function(run, input_signature=[tf.TensorSpec(shape, tf.float32)]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x] for x in inputs['calibration'])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path = at('tensorflow.tflite')
    open(path, 'wb').write(converter.convert())
    seconds = time.time() - start
    it = tf.lite.Interpreter(model_path=path, num_threads=1)
    it.allocate_tensors()
    i, o = it.get_input_details()[0], it.get_output_details()[0]
    out = []
    for x in inputs['evaluation']:
        it.set_tensor(i['index'], np.clip(np.rint(x / i['quantization'][0]) + i['quantization'][1], -128, 127).astype(np.int8))
        it.invoke()
        out.append((it.get_tensor(o['index']).astype(np.float32).ravel() - o['quantization'][1]) * o['quantization'][0])
    np.concatenate(out).astype(np.float32).tofile(path + '.f32')
    print(json.dumps({'name': name, 'file': path + '.f32', 'seconds': round(seconds, 1)}), flush=True)
except Exception as error:
    print(json.dumps({'name': name, 'error': f'{type(error).__name__}: {str(error).splitlines()[0][:160]}'}), flush=True)
