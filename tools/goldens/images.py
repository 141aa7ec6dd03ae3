"""Damaged and unusual JPEG and PNG files, and what Pillow makes of them: writes test/vectors/damaged.json.

Usage: python tools/goldens/images.py OUT.json [COUNT [SEED]]     (needs Pillow and numpy)
       python tools/goldens/images.py OUT.json --again            the files that OUT.json has, answered anew
       python tools/goldens/images.py OUT.json --arithmetic       arithmetic-coded JPEGs, with libjpeg-turbo's jpegtran:
                                                                  test/vectors/arithmetic.json

Each case: name, the file (base64), and either `refused` or width, height, channels and the SHA-256 of the upright
samples: gray or RGB, CMYK as Pillow converts it, alpha laid over white. 16-bit gray is what `convert` makes of it: white above 255.
"""
import base64
import hashlib
import io
import json
import random
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
arithmetic = "--arithmetic" in sys.argv
rng = random.Random(7 if arithmetic else int(sys.argv[3]) if len(sys.argv) > 3 else 7)


def picture(width, height):
    """A smooth picture with edges."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    f = [rng.uniform(0.05, 0.5) for _ in range(6)]
    planes = [128 + 100 * np.sin(x * f[i] + y * f[i + 3]) + 30 * ((x + y * (i + 1)) % 17 > 8) for i in range(3)]
    return Image.fromarray(np.clip(np.stack(planes, 2), 0, 255).astype("uint8"))


def samples(data):
    """Pillow's answer, or None."""
    try:
        im = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
        kind = data[data.rfind(b"IHDR", 0, data.find(b"IDAT")) + 13] if im.format == "PNG" else None
        im.load()
    except Exception:
        return None
    try:
        im = ImageOps.exif_transpose(im)
    except Exception:
        pass  # EXIF that is no TIFF says nothing.
    clear = "transparency" in im.info or im.mode in ("RGBA", "LA", "PA")
    if im.mode == "I;16" and not clear:
        a = np.asarray(im.convert("L"))
    elif clear:
        rgba = np.asarray(im.convert("LA" if im.mode in ("L", "1", "LA") else "RGBA")).astype(int)
        alpha, colour = rgba[..., -1:], rgba[..., :-1]
        a = (2 * (colour * alpha + 255 * (255 - alpha)) + 255) // 510
        a = np.where(alpha == 255, colour, a).astype("uint8")
        if a.shape[2] == 1 or kind == 4 or im.mode == "I;16":
            a = a[..., 0]
    else:
        a = np.asarray(im.convert("L") if im.mode in ("1", "L") else im.convert("RGB"))
    return a


def jpeg():
    size = rng.choice([(1, 1), (5, 8), (17, 9), (33, 21), (40, 40), (64, 5)])
    mode = rng.choice(["RGB", "RGB", "L", "CMYK"])
    options = {"quality": rng.choice([5, 40, 75, 95]), "progressive": rng.random() < 0.4, "optimize": True}
    if mode != "L":
        options["subsampling"] = rng.choice([0, 1, 2, "4:1:1"])
    if rng.random() < 0.4:
        options["restart_marker_blocks"] = rng.choice([1, 2, 3])
    out = io.BytesIO()
    picture(*size).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def arithmetic_jpeg(i):
    """The same, coded again: sequential and progressive, with and without restarts, with conditioning of their own."""
    options = [[], ["-progressive"], ["-restart", "2B"], ["-progressive", "-restart", "1"]][i % 4]
    command = ["jpegtran", "-arithmetic", *options]
    data = bytearray(subprocess.run(command, input=jpeg(), capture_output=True, check=True).stdout)
    if i % 5 == 4:
        at = data.find(b"\xff\xda")
        data[at:at] = bytes([0xFF, 0xCC, 0, 8, 0, rng.choice([0x53, 0x21, 0x12]), 16, rng.choice([9, 63]), i % 34, 0x10])
    return bytes(data)


def png():
    size = rng.choice([(1, 1), (5, 8), (17, 9), (33, 21)])
    im = picture(*size)
    mode = rng.choice(["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
    if mode == "I;16":
        im = Image.fromarray(np.asarray(im.convert("L")).astype("uint16") * 257)
    elif mode == "P":
        im = im.quantize(rng.choice([2, 4, 13, 200]))
    else:
        im = im.convert(mode)
    if mode in ("RGBA", "LA"):
        im.putalpha(picture(*size).convert("L"))
    out = io.BytesIO()
    im.save(out, "PNG")
    return out.getvalue()


def segments(data):
    at, found = 2, []
    while at + 4 < len(data) and data[at] == 0xFF:
        end = at + 2 + data[at + 2] * 256 + data[at + 3]
        found.append((at, end))
        if data[at + 1] == 0xDA:
            break
        at = end
    return found


JUNK = [b"\0\x12junk", b"\xff", b"\xff\xff\xff", b"\xff\0", b"\xff\xfe\0\4ab", b"\xff\xd0"]


def damage_jpeg(data):
    data = bytearray(data)
    scan = max(data.find(b"\xff\xda"), 1)
    what = rng.randrange(9)
    if what == 0:
        data[rng.randrange(2, len(data))] = rng.randrange(256)
    elif what == 1:
        data[rng.randrange(scan, len(data))] ^= 1 << rng.randrange(8)
    elif what == 2:
        del data[rng.randrange(scan, len(data)) :]
    elif what == 3:
        del data[-rng.randrange(1, 10) :]
    elif what == 4:
        at = rng.randrange(scan, len(data))
        del data[at : at + rng.randrange(1, 20)]
    elif what == 5:
        at = rng.randrange(scan, len(data))
        data[at:at] = bytes([0xFF, rng.choice([0xD0, 0xD1, 0xD5, 0xD9, 0x00, 0xFF, 0xDA, 0xC4, 0x01])])
    elif what == 6:
        at, end = rng.choice(segments(data) or [(2, 2)])
        data[at:at] = rng.choice([*JUNK, b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([rng.randrange(4)])])
    elif what == 7:
        marks = [i for i in range(scan, len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
        if marks:
            data[rng.choice(marks) + 1] = 0xD0 + rng.randrange(8)
    else:
        scans = [i for i in range(2, len(data) - 1) if data[i] == 0xFF and data[i + 1] == 0xDA]
        # The last scans missing: what libjpeg smooths.
        data[rng.choice(scans[1:] or scans or [2]) :] = b"\xff\xd9"
    return bytes(data)


def chunks(data):
    at, found = 8, []
    while at + 12 <= len(data):
        n = struct.unpack(">I", data[at : at + 4])[0]
        found.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + n]])
        at += 12 + n
    return found


def joined(parts):
    out = data = b"\x89PNG\r\n\x1a\n"
    for name, data in parts:
        out += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return out


def damage_png(data):
    what = rng.randrange(6)
    if what == 0:
        at = rng.randrange(len(data))
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if what == 1:
        return data[: rng.randrange(8, len(data))]
    parts = chunks(data)
    at = next((i for i, part in enumerate(parts) if part[0] == b"IDAT"), None)
    if at is None:
        return data
    body = bytearray(parts[at][1]) or bytearray(1)
    if what == 2:
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    elif what == 3:
        body += bytes(rng.randrange(1, 9))
    elif what == 4:
        cut = rng.randrange(len(body))
        parts.insert(at + 1, [b"IDAT", bytes(body[cut:])])
        body = body[:cut]
    else:
        raw = zlib.decompress(bytes(body))
        body = bytearray(zlib.compress(raw[: rng.randrange(len(raw))] + b"\0" * rng.choice([0, 0, 50]), rng.choice([0, 9])))
    parts[at][1] = bytes(body)
    return joined(parts)


def case_of(name, data):
    """A case: what Pillow makes of a file."""
    a = samples(data)
    case = {"name": name, "file": base64.b64encode(data).decode()}
    if a is None:
        return {**case, "refused": True}
    digest = hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()
    return {**case, "width": a.shape[1], "height": a.shape[0], "channels": 3 if a.ndim == 3 else 1, "sha256": digest}


def write(path, cases):
    with open(path, "w") as f:
        f.write('{ "cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n] }\n")
    print(len(cases), "cases,", sum("refused" in c for c in cases), "refused")


def main():
    if "--again" in sys.argv:
        with open(sys.argv[1]) as f:
            return write(sys.argv[1], [case_of(c["name"], base64.b64decode(c["file"])) for c in json.load(f)["cases"]])
    cases = []
    for i in range(96 if arithmetic else int(sys.argv[2]) if len(sys.argv) > 2 else 240):
        if arithmetic:
            kind, data, damage = "arithmetic", arithmetic_jpeg(i), damage_jpeg
        else:
            kind, make, damage = ("jpeg", jpeg, damage_jpeg) if i % 3 else ("png", png, damage_png)
            data = make()
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            if len(data) > 40:
                data = damage(data)
        cases.append(case_of(f"{kind} {i}", data))
    write(sys.argv[1], cases)


if __name__ == "__main__":
    main()
