"""JPEG and PNG files as no usual writer makes them, and what Pillow makes of them: writes test/vectors/odd.json.

Usage: python tools/goldens/odd_images.py OUT.json [COUNT [SEED]]     (needs Pillow 13.0.0 and numpy)

JPEG, coded here: sampling factors of every kind, scans apart, missing or in another order, restarts, markers of Adobe and
JFIF that are short, and EXIF with orientation of every type, count and byte order. PNG: chunks in any order, repeated,
short, with wrong checksums, behind the data; palettes of any length; data that is cut, split or goes on.
"""
import json
import random
import struct
import sys
import zlib

from images import case_of, write

rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)


def one_of(*values):
    return rng.choice(values)


def maybe(chance):
    return rng.random() < chance


# EXIF -----------------------------------------------------------------------------------------------------------------

# Type: bytes of a value, and how struct writes it.
TYPES = {1: (1, "B"), 2: (1, "B"), 3: (2, "H"), 4: (4, "I"), 6: (1, "b"), 7: (1, "B"), 8: (2, "h"), 9: (4, "i"),
         11: (4, "f"), 12: (8, "d"), 13: (4, "I"), 16: (8, "Q"), 99: (2, "H")}


def exif():
    """A TIFF block with one or two orientations, before or behind other tags."""
    end = one_of("<", ">")
    entries, far = [], b""
    where = 8 + 2 + 3 * 12 + 4
    for _ in range(one_of(1, 1, 2)):
        value = rng.randrange(10)
        kind = one_of(3, 3, 3, 4, 5, 10, *TYPES)
        count = one_of(1, 1, 1, 1, 2, 0)
        if kind in (5, 10):
            size, data = 8, struct.pack(end + ("II" if kind == 5 else "ii"), *one_of((value, 1), (2 * value, 2), (value, 0), (7, 3)))
        else:
            size, letter = TYPES[kind]
            data = struct.pack(end + letter, value)
        data *= max(count, 1)
        if len(data) > 4:
            data_far, at = data, where + len(far)
            far += data_far
            inline = struct.pack(end + "I", at if maybe(0.9) else one_of(2, 9999))
        else:
            inline = data.ljust(4, b"\0")
        entries.append(struct.pack(end + "HHI", 0x112, kind, count) + inline)
    if maybe(0.3):
        other = struct.pack(end + "HHII", 0x10F, 2, one_of(4, 8, 5000), one_of(where, 9999))
        entries.insert(rng.randrange(len(entries) + 1), other)
    magic = one_of(*[42] * 9, 42 << 8, 43 if end == ">" else 42)
    head = (b"II" if end == "<" else b"MM") + struct.pack(end + "HI", magic, 8)
    return head + struct.pack(end + "H", len(entries)) + b"".join(entries).ljust(36, b"\0") + bytes(4) + far


def xmp():
    value = rng.randrange(10)
    return one_of(b'<x tiff:Orientation="%d"/>', b"<tiff:Orientation>%d</tiff:Orientation>", b"tiff:Orientation='%d'") % value


# JPEG -----------------------------------------------------------------------------------------------------------------

# A code for every value: 4 to 8 bits for sizes, 8 to 9 for pairs of run and size.
DC = ([0, 0, 0, 8, 4], list(range(12)))
AC = ([0, 0, 0, 0, 0, 0, 0, 100, 62], [r * 16 + s for s in range(1, 11) for r in range(16)] + [0, 0xF0])


def codes_of(counts, values):
    codes, code, at = {}, 0, 0
    for bits, n in enumerate(counts, 1):
        for value in values[at : at + n]:
            codes[value] = (code, bits)
            code += 1
        at += n
        code <<= 1
    return codes


DC_CODES, AC_CODES = codes_of(*DC), codes_of(*AC)


class Bits:
    def __init__(self):
        self.out, self.held, self.count = bytearray(), 0, 0

    def put(self, code, bits):
        for i in reversed(range(bits)):
            self.held, self.count = self.held * 2 + (code >> i & 1), self.count + 1
            if self.count == 8:
                self.out += bytes([self.held]) + (b"\0" if self.held == 255 else b"")
                self.held = self.count = 0

    def value(self, v):
        bits = abs(v).bit_length()
        self.put(v if v > 0 else v + (1 << bits) - 1, bits)

    def flush(self):
        while self.count:
            self.put(1, 1)


def segment(marker, body):
    return bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body


class Jpeg:
    def __init__(self, n=None):
        """`n`: components; of one, tall ones that lack scans: what libjpeg then smooths depends on the sampling factors."""
        tall = n == 1
        n = n or one_of(1, 1, 3, 3, 3, 3, 4, 4)
        self.size = one_of((17, 60), (9, 33), (40, 81), (8, 100)) if tall else one_of(
            (1, 1), (8, 8), (17, 9), (33, 21), (40, 17), (7, 50), (3, 2), (16, 16))
        first = (one_of(1, 2, 4), one_of(1, 2, 4))
        alike = [first] + [(one_of(1, first[0]), one_of(1, first[1]))] * (n - 1)
        self.factors = one_of(alike, alike, [(one_of(1, 2, 3, 4), one_of(1, 2) if n > 1 else one_of(1, 2, 3, 4)) for _ in range(n)])
        self.most = [max(f[i] for f in self.factors) for i in (0, 1)]
        self.units = [-(-s // (8 * m)) for s, m in zip(self.size, self.most)]
        self.ids = one_of([1, 2, 3, 4], [0, 1, 2, 3], [82, 71, 66, 65], [1, 34, 35, 4])[:n]
        self.progressive = tall or maybe(0.4)
        self.rest = 0.5 if tall else 0.9
        self.restart = one_of(0, 0, 1, 2, 7)
        self.blocks = [
            {(y, x): self.block() for y in range(self.units[1] * v) for x in range(self.units[0] * h)}
            for h, v in self.factors
        ]

    @staticmethod
    def block():
        block = [rng.randrange(-60, 60)] + [0] * 63
        for _ in range(one_of(0, 1, 3, 8)):
            block[rng.randrange(1, 64)] = one_of(-1, 1) * one_of(1, 2, 3, 9, 40)
        return block

    def order(self, parts):
        """The blocks of a scan of these components, unit by unit."""
        if len(parts) > 1:
            for my in range(self.units[1]):
                for mx in range(self.units[0]):
                    yield [
                        (c, my * v + y, mx * h + x)
                        for c in parts
                        for h, v in [self.factors[c]]
                        for y in range(v)
                        for x in range(h)
                    ]
            return
        w, h = (-(-(-(-s * f // m)) // 8) for s, f, m in zip(self.size, self.factors[parts[0]], self.most))
        for y in range(h):
            for x in range(w):
                yield [(parts[0], y, x)]

    def scan(self, parts, first, last, known, missing):
        """Coefficients first to last of the components, without `missing` bits; `known`: one bit more of the DC."""
        bits, before, done = Bits(), dict.fromkeys(parts, 0), 0
        for unit in self.order(parts):
            if self.restart and done and done % self.restart == 0:
                bits.flush()
                bits.out += bytes([255, 0xD0 + (done // self.restart - 1) % 8])
                before = dict.fromkeys(parts, 0)
            done += 1
            for c, y, x in unit:
                block = self.blocks[c][y, x]
                if known:
                    bits.put(block[0] >> missing & 1, 1)
                    continue
                if first == 0:
                    dc = block[0] >> missing
                    step, before[c] = dc - before[c], dc
                    bits.put(*DC_CODES[abs(step).bit_length()])
                    bits.value(step)
                run = 0
                end = max((k for k in range(max(first, 1), last + 1) if block[k]), default=0)
                for k in range(max(first, 1), end + 1):
                    if block[k] == 0:
                        run += 1
                        continue
                    while run > 15:
                        bits.put(*AC_CODES[0xF0])
                        run -= 16
                    bits.put(*AC_CODES[run * 16 + abs(block[k]).bit_length()])
                    bits.value(block[k])
                    run = 0
                if last and end < last:
                    bits.put(*AC_CODES[0])
        bits.flush()
        head = bytes([len(parts)]) + b"".join(bytes([self.ids[c], 0]) for c in parts)
        return segment(0xDA, head + bytes([first, last, known * 16 + missing])) + bits.out

    def scans(self):
        parts = list(range(len(self.ids)))
        together = maybe(0.7) and sum(h * v for h, v in self.factors) <= 10
        groups = [parts] if together else [[c] for c in parts]
        if not self.progressive:
            scans = [(g, 0, 63, 0, 0) for g in groups]
            if maybe(0.2):
                rng.shuffle(scans)
            return scans[: len(scans) - (len(scans) > 1 and maybe(0.2))]
        missing = one_of(0, 1)
        bands = one_of([(1, 63)], [(1, 5), (6, 63)], [(1, 20), (30, 63)])
        later = [([c], a, b, 0, 0) for c in parts for a, b in bands]
        if maybe(0.3):
            rng.shuffle(later)
        later += [(g, 0, 0, 1, 0) for g in groups if missing]
        return [(g, 0, 0, 0, missing) for g in groups] + [s for s in later if maybe(self.rest)]

    def bytes(self):
        out = bytearray(b"\xff\xd8")
        if maybe(0.4):
            out += segment(0xE0, one_of(b"JFIF\0\1\1\0\0\1\0\1\0\0", b"JFIF\0\1\1\0\0\1\0\1\0\0", b"JFIF\0\1", b"JFIF\0\1\1", b"JFXX\0"))
        if maybe(0.4):
            out += segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([one_of(0, 1, 2, 3)]))
        elif maybe(0.15):
            out += segment(0xEE, one_of(b"Adobe\0\x64\0\0\0", b"Adobe\0", b"Adobe", b"Adob", b"Adobf\0\x64\0\0\0\0\2", b"Adobe\0\x64\0\0\0\0\2more"))
        for _ in range(one_of(0, 1, 1, 1)):
            name, text = one_of((b"http://ns.adobe.com/xap/1.0/\0", xmp()), (b"Exif\0\0", exif()), (b"Exif\0\0Exif\0\0", exif()), (b"Exif\0\0", exif()))
            out += segment(0xE1, name + text)
        if maybe(0.05):
            out += segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + xmp())
        tables = one_of(1, 2)
        for t in range(tables):
            out += segment(0xDB, bytes([t]) + bytes([one_of(1, 3, 8) + t]) * 64)
        frame = 0xC2 if self.progressive else one_of(0xC0, 0xC1)
        out += segment(
            frame if maybe(0.97) else one_of(0xC3, 0xC5, 0xC9, 0xCB),
            struct.pack(">BHHB", 8 if maybe(0.97) else one_of(0, 12, 16), self.size[1], self.size[0], len(self.ids))
            + b"".join(bytes([i, h * 16 + v, rng.randrange(tables)]) for i, (h, v) in zip(self.ids, self.factors)),
        )
        for kind, (counts, values) in enumerate((DC, AC)):
            out += segment(0xC4, bytes([kind * 16, *counts, *[0] * (16 - len(counts)), *values]))
        if self.restart:
            out += segment(0xDD, struct.pack(">H", self.restart))
        for scan in self.scans():
            out += self.scan(*scan)
            if maybe(0.05):
                out += one_of(b"\0\0", b"\xff", b"\xff\xd3", segment(0xFE, b"hi"), segment(0xE1, b""))
        out += one_of(*[b"\xff\xd9"] * 8, b"", b"\xff\xd9" + rng.randbytes(30))
        return bytes(out)


# PNG ------------------------------------------------------------------------------------------------------------------

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
DEPTHS = {0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]}
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def rows(kind, depth, size, interlaced):
    raw = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        w, h = -(-(size[0] - x0) // dx), -(-(size[1] - y0) // dy)
        for _ in range(h if w > 0 else 0):
            n = -(-w * SAMPLES[kind] * depth // 8)
            raw += bytes([rng.randrange(5) if maybe(0.998) else 5]) + bytes(one_of(0, 1, 3, 255, rng.randrange(256)) for _ in range(n))
    return raw


def other_chunk(size):
    w, h = size
    return one_of(
        b"gAMA" + bytes(one_of(4, 3)), b"cHRM" + bytes(one_of(32, 31)), b"sRGB" + bytes(one_of(1, 0)), b"pHYs" + bytes(one_of(9, 8)),
        b"tEXtComment\0hello", b"tEXt", b"zTXtC\0\0" + zlib.compress(b"x"), b"zTXtC\0\1bad", b"zTXtC\0", b"iTXtC\0\0\0\0\0hey",
        b"acTL" + struct.pack(">II", one_of(0, 1, 2), 0), b"acTL\0", b"iCCPicc\0\0" + zlib.compress(b"junk"), b"iCCPx\0\1", b"iCCP", b"iCCPx",
        b"fcTL" + struct.pack(">IIIIIHHBB", one_of(0, 0, 1), w, h, 0, one_of(0, 0, 1), 1, 10, 0, 0), b"fcTL\0",
        b"fdAT" + struct.pack(">I", one_of(0, 1)), b"fdAT", b"IccP", b"ABCD", b"bKGD\0\0", b"hIST", b"tRNS", b"PLTE" + bytes(range(9)),
        b"eXIf" + exif(), b"eXIf" + exif(), b"eXIfExif\0\0" + exif(),
        b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + xmp(), b"iTXtXML:com.adobe.xmp\0\1\0en\0key\0" + zlib.compress(xmp()),
        b"tEXtXML:com.adobe.xmp\0" + xmp(), b"tEXtRaw profile type exif\0\nexif\n  9\n" + exif().hex().encode(),
        b"zTXtRaw profile type exif\0\0" + zlib.compress(b"\nexif\n  9\n" + exif().hex().encode()),
    )


def png():
    kind = one_of(0, 2, 3, 3, 4, 6)
    depth, interlaced = one_of(*DEPTHS[kind]), maybe(0.5)
    size = one_of((1, 1), (5, 8), (17, 9), (2, 3), (4, 4), (8, 1), (1, 8))
    raw = rows(kind, depth, size, interlaced)
    raw = raw[: rng.randrange(len(raw) + 1)] if maybe(0.08) else raw + bytes(one_of(1, 30)) if maybe(0.06) else raw
    data = bytearray(zlib.compress(raw, one_of(0, 1, 9)))
    if maybe(0.1):
        data = one_of(data[: -one_of(1, 2, 4)], data + b"more", data[:-1] + bytes([data[-1] ^ 1]))
    if maybe(0.02):
        depth, kind = one_of(1, 2, 8, 16, 32), one_of(kind, 1, 5)
    head = b"IHDR" + struct.pack(">IIBBBBB", *size, depth, kind, 0, 0 if maybe(0.99) else 1, interlaced)
    parts = [head] + [other_chunk(size) for _ in range(one_of(0, 0, 1))]
    if kind == 3 and maybe(0.95):
        parts.append(b"PLTE" + rng.randbytes(one_of(3 << min(depth, 8), 3, 6, 7, 0, 769, 771)))
    if maybe(0.4):
        alpha = {0: struct.pack(">H", one_of(0, 1, 3, 255, 0x101)), 2: struct.pack(">HHH", *(one_of(0, 1, 255) for _ in range(3)))}
        parts.append(b"tRNS" + alpha.get(kind, bytes(one_of(0, 255, 128) for _ in range(one_of(1, 2, 3, 9)))))
        if maybe(0.2):
            rng.shuffle(parts)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(one_of(0, 0, 1, 2, 7)))
    parts += [b"IDAT" + bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)])]
    parts += [other_chunk(size) for _ in range(one_of(0, 0, 1, 2))]
    if kind == 3 and maybe(0.1):
        parts.append(b"tRNS" + bytes(one_of(0, 255, 128) for _ in range(one_of(0, 1, 3))))
    if maybe(0.95):
        parts.append(b"IEND")
    out, wrong = b"\x89PNG\r\n\x1a\n", rng.randrange(len(parts)) if maybe(0.08) else -1
    for i, part in enumerate(parts):
        out += struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part) ^ (i == wrong))
    return out + one_of(*[b""] * 9, b"x", bytes(20), b"\0\0\0\0IEND")


if __name__ == "__main__":
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 260
    usual = [case_of(f"png {i}", png()) if i % 2 else case_of(f"jpeg {i}", Jpeg().bytes()) for i in range(count)]
    write(sys.argv[1], usual + [case_of(f"gray {i}", Jpeg(1).bytes()) for i in range(count // 8)])
