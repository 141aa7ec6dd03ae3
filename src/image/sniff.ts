/**
 * What a file is that the image module doesn't read (which it knows itself, see assembly/image/picture.ts), by its
 * content; a file's name and its MIME type are not looked at.
 */

const ascii = (b: Uint8Array, at: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (b[at + i] !== text.charCodeAt(i)) return false
  return true
}
const magic = (b: Uint8Array, ...bytes: number[]): boolean => bytes.every((v, i) => b[i] === v)

/** The name of a format (or of another kind of file) that Thimble knows but doesn't decode, or undefined. */
export function sniffOther(b: Uint8Array): string | undefined {
  if (ascii(b, 0, 'GIF87a') || ascii(b, 0, 'GIF89a')) return 'GIF'
  if (ascii(b, 0, 'RIFF') && ascii(b, 8, 'WEBP')) return 'WebP'
  if (ascii(b, 4, 'ftyp')) return isoBrand(b)
  if (
    magic(b, 0x49, 0x49, 0x2a, 0x00) ||
    magic(b, 0x4d, 0x4d, 0x00, 0x2a) ||
    magic(b, 0x49, 0x49, 0x2b, 0x00) ||
    magic(b, 0x4d, 0x4d, 0x00, 0x2b)
  ) {
    return 'TIFF'
  }
  if (magic(b, 0xff, 0x0a) || (magic(b, 0, 0, 0, 0x0c) && ascii(b, 4, 'JXL '))) return 'JPEG XL'
  if (magic(b, 0xff, 0x4f, 0xff, 0x51) || (magic(b, 0, 0, 0, 0x0c) && ascii(b, 4, 'jP  '))) return 'JPEG 2000'
  if (magic(b, 0, 0, 1, 0)) return 'ICO'
  if (ascii(b, 0, '8BPS')) return 'Photoshop (PSD)'
  if (ascii(b, 0, 'qoif')) return 'QOI'
  if (ascii(b, 0, 'P7')) return 'PAM'
  if (ascii(b, 0, 'PF') || ascii(b, 0, 'Pf')) return 'PFM'
  if (ascii(b, 0, '%PDF')) return 'PDF'
  if (magic(b, 0x50, 0x4b, 3, 4)) return 'ZIP'
  if (ascii(b, 4, 'TFL3')) return 'TensorFlow Lite model'
  if (magic(b, 0, 0x61, 0x73, 0x6d)) return 'WebAssembly'
  const head = text(b).trimStart().toLowerCase()
  if (head.startsWith('<!doctype html') || head.startsWith('<html')) return 'HTML'
  if (head.startsWith('<svg') || (head.startsWith('<?xml') && head.includes('<svg'))) return 'SVG'
  return undefined
}

const text = (b: Uint8Array): string => String.fromCharCode(...b.subarray(0, 256))

function isoBrand(b: Uint8Array): string {
  const brand = text(b.subarray(8, 12))
  if (/^avi[fs]$/.test(brand)) return 'AVIF'
  if (/^(hei[cmxs]|hev[cx]|mif1|msf1)$/.test(brand)) return 'HEIC'
  if (/^crx /.test(brand)) return 'Canon raw (CR3)'
  return 'MP4/QuickTime video'
}
