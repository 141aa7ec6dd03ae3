/**
 * Where a picture lands in the model's input: the arithmetic of `placement` in src/image/preprocess.ts.
 * Source: torchvision's Resize(shorterSide) and CenterCrop for crop; TensorFlow's resize_with_pad for letterbox.
 */
import { FIT_LETTERBOX, FIT_STRETCH } from './config'
import { settings } from './settings'

/**
 * The whole picture is scaled to width x height; of that, countX x countY pixels from (cropX, cropY) on go to
 * (padX, padY) of the input; what stays uncovered is black.
 */
@unmanaged class Placement {
  width: i32
  height: i32
  cropX: i32
  cropY: i32
  countX: i32
  countY: i32
  padX: i32
  padY: i32
}

export const place = changetype<Placement>(memory.data(32, 4))

export function placePicture(w: i32, h: i32): void {
  const s = settings()
  const targetW = s.inputWidth
  const targetH = s.inputHeight
  let outW = targetW
  let outH = targetH
  if (s.fit == FIT_LETTERBOX) {
    const ratio = max<f64>(<f64>w / <f64>targetW, <f64>h / <f64>targetH)
    outW = min(targetW, max(1, <i32>floor(<f64>w / ratio)))
    outH = min(targetH, max(1, <i32>floor(<f64>h / ratio)))
  } else if (s.fit != FIT_STRETCH) {
    if (s.shorterSide > 0) {
      const longer = <i32>((<f64>s.shorterSide * <f64>max(w, h)) / <f64>min(w, h))
      outW = w <= h ? s.shorterSide : longer
      outH = w <= h ? longer : s.shorterSide
    } else if (<i64>w * targetH <= <i64>h * targetW) outH = <i32>((<i64>targetW * h) / w)
    else outW = <i32>((<i64>targetH * w) / h)
  }
  place.width = outW
  place.height = outH
  place.cropX = crop(outW, targetW)
  place.cropY = crop(outH, targetH)
  place.countX = min(outW, targetW)
  place.countY = min(outH, targetH)
  place.padX = max(0, targetW - outW) / 2
  place.padY = max(0, targetH - outH) / 2
}

/** Centre crop, half pixels to the even side. */
function crop(size: i32, target: i32): i32 {
  return size < target ? 0 : <i32>nearest(<f64>(size - target) / 2)
}
