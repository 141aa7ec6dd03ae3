"""PNG files of the kinds that writers differ in, with the pixels that Pillow gives, upright and over white.

Usage: python tools/goldens/png.py > test/vectors/png.json      (Pillow 13.0.0)
"""
import base64
import io
import json
import struct
import warnings
import zlib

from PIL import Image, ImageOps

warnings.simplefilter('ignore')


def chunk(name, body):
    return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))


def png(width, depth, kind, rows, before=b'', behind=b''):
    header = struct.pack('>IIBBBBB', width, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b''.join(b'\0' + row for row in rows))
    return (
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + before + chunk(b'IDAT', data) + behind + chunk(b'IEND', b'')
    )


def packed(values, depth):
    if depth == 16:
        return b''.join(struct.pack('>H', v) for v in values)
    bits = ''.join(format(v, f'0{depth}b') for v in values)
    bits += '0' * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def keys():
    for depth in (1, 2, 4, 8):
        most = (1 << depth) - 1
        values = list(range(most + 1)) if depth < 8 else [0, 1, 2, 5, 85, 128, 170, 254, 255]
        for key in (0, 1, 2, 5, 0x55, 0xAA, 0xFF, 0x100, 0x105, 0x1AA):
            yield f'gray {depth}, key {key}', png(
                len(values), depth, 0, [packed(values, depth)], chunk(b'tRNS', struct.pack('>H', key))
            )
    deep = [0, 1, 5, 127, 128, 254, 255, 256, 257, 1000, 32768, 65280, 65535]
    yield 'gray 16', png(len(deep), 16, 0, [packed(deep, 16)])
    for key in (0, 5, 128, 255, 256, 0x105, 65535):
        yield f'gray 16, key {key}', png(len(deep), 16, 0, [packed(deep, 16)], chunk(b'tRNS', struct.pack('>H', key)))
    for depth in (8, 16):
        high = 1 if depth == 8 else 256
        colours = [(1, 2, 3), (1, 2, 4), (9, 2, 3), (1, 7, 3), (255, 255, 255)]
        row = packed([v * high + (3 if depth == 16 else 0) for c in colours for v in c], depth)
        for key in ((1, 2, 3), (0x101, 2, 0x203), (0x104, 0x205, 0x306), (1, 2, 9)):
            yield f'rgb {depth}, key {key}', png(5, depth, 2, [row], chunk(b'tRNS', struct.pack('>HHH', *key)))
    for depth in (1, 2, 4, 8):
        most = (1 << depth) - 1
        values = list(range(min(most, 9) + 1))
        palette = chunk(b'PLTE', bytes((37 * i + 11) % 256 for i in range(3 * (most + 1))))
        for alpha in (b'', b'\0', b'\0\0', b'\x80', b'\xff\0', b'\x80\0\xff\x1e', b'\xff\xff'):
            yield f'palette {depth}, alpha {alpha.hex()}', png(
                len(values), depth, 3, [packed(values, depth)], palette + chunk(b'tRNS', alpha[: most + 1])
            )
    for kind, samples in ((4, 2), (6, 4)):
        for depth in (8, 16):
            row = packed([(i * 9176 + 4099) % (1 << depth) for i in range(7 * samples)], depth)
            yield f'type {kind}, {depth}', png(7, depth, kind, [row])


def tiff(orientation, order='>', entries=1):
    head = (b'MM' if order == '>' else b'II') + struct.pack(order + 'HIH', 42, 8, entries)
    others = b''.join(struct.pack(order + 'HHIHH', 0x0100, 3, 1, 5, 0) for _ in range(entries - 1))
    return head + others + struct.pack(order + 'HHIHHI', 0x0112, 3, 1, orientation, 0, 0)


def profile(body, name=b'exif', width=72):
    digits = body.hex()
    lines = '\n'.join(digits[i : i + width] for i in range(0, len(digits), width))
    return b'\n' + name + f'\n{len(body):8}\n{lines}\n'.encode()


def turned():
    keyword = b'Raw profile type exif\0'

    def text(body):
        return chunk(b'tEXt', keyword + body)

    def ztxt(body):
        return chunk(b'zTXt', keyword + b'\0' + zlib.compress(body))

    def image(before=b'', behind=b''):
        return png(3, 8, 0, [b'\x01\x20\x40', b'\x60\x80\xff'], before, behind)

    exif = b'Exif\0\0'
    for orientation in range(1, 9):
        yield f'zTXt {orientation}', image(ztxt(profile(exif + tiff(orientation))))
    xmp = chunk(b'iTXt', b'XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="3"/>')
    yield 'tEXt', image(text(profile(exif + tiff(6))))
    yield 'without the prefix', image(ztxt(profile(tiff(6))))
    yield 'little endian', image(ztxt(profile(exif + tiff(6, '<'))))
    yield 'behind the data', image(b'', ztxt(profile(exif + tiff(6))))
    yield 'many entries', image(ztxt(profile(exif + tiff(8, '>', 40))))
    yield 'capital digits, spaces', image(text(profile(exif + tiff(6)).upper().replace(b'4578', b'45 78')))
    yield 'the last of two', image(ztxt(profile(exif + tiff(6))) + ztxt(profile(exif + tiff(1))))
    yield 'before XMP', image(xmp + ztxt(profile(exif + tiff(6))))
    yield 'XMP where the profile says nothing', image(xmp + ztxt(profile(exif)))
    yield 'a chunk of EXIF counts first', image(ztxt(profile(exif + tiff(6))) + chunk(b'eXIf', tiff(3)))
    yield 'and before it', image(chunk(b'eXIf', tiff(3)) + ztxt(profile(exif + tiff(6))))
    yield 'another profile', image(chunk(b'zTXt', b'Raw profile type iptc\0\0' + zlib.compress(profile(exif + tiff(6)))))
    yield 'damaged stream', image(chunk(b'zTXt', keyword + b'\0' + b'\x78\x9c\xff\xff\xff\xff'))
    yield 'cut stream', image(chunk(b'zTXt', keyword + b'\0' + zlib.compress(profile(exif + tiff(6)))[:-5]))
    yield 'no text', image(chunk(b'tEXt', keyword))


def answer(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    image = ImageOps.exif_transpose(image).convert('RGBA')
    white = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image).convert('RGB')
    return {'width': white.width, 'height': white.height, 'rgb': white.tobytes().hex()}


cases = [
    {'name': name, 'file': base64.b64encode(data).decode(), **answer(data)} for name, data in [*keys(), *turned()]
]
print('{"cases": [')
print(',\n'.join(json.dumps(case, separators=(',', ':')) for case in cases))
print(']}')
