/**
 * Photographs that the scikit-image wheel carries, dedicated to the public domain (CC0, NASA, SpaceX): for calibration
 * and as samples.
 */
import jpeg from 'jpeg-js'
import { decodeImage } from '../../src/image/decode.ts'
import type { PixelImage } from '../../src/graph/types.ts'
import { wheelFiles, type Wheel } from './fetch.ts'

const WHEEL: Wheel = {
  name: 'scikit-image',
  version: '0.26.0',
  platform: { platform: 'manylinux_2_28_x86_64', python: '311' },
}

const FILES = {
  'skimage/data/chelsea.png': '596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb',
  'skimage/data/coffee.png': 'cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7',
  'skimage/data/astronaut.png': '88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5',
  'skimage/data/rocket.jpg': 'c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c',
  'skimage/data/camera.png': 'b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a',
  'skimage/data/coins.png': 'f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba',
  'skimage/data/brick.png': '7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf',
  'skimage/data/grass.png': 'b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89',
} as const

/** Photo name (without folder and extension) to pixels, in the order of the table above. */
export function photos(): Map<string, PixelImage> {
  const files = wheelFiles(WHEEL, FILES)
  return new Map(
    Object.entries(files).map(([path, bytes]) => [path.replace(/^.*\//, '').replace(/\.\w+$/, ''), decodeImage(bytes)]),
  )
}

/** A baseline JPEG of the photo. Deterministic: the encoder is plain integer and float arithmetic. */
export function encodeJpeg(image: PixelImage, quality: number): Uint8Array {
  const { width, height } = image
  const channels = image.channels ?? 4
  const data = new Uint8Array(width * height * 4).fill(255)
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) data[4 * i + c] = image.data[i * channels + (channels === 1 ? 0 : c)]!
  }
  return jpeg.encode({ data, width, height }, quality).data
}
