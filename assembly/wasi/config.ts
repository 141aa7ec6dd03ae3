/**
 * What the packer tells the command about the model: how an image becomes the input, how the output becomes an answer.
 * The host writes it at the address exported as `config`. Every field is 4 bytes, little endian; addresses are
 * absolute. tools/build.ts reads this file and generates the host's field order from it.
 */

/** How the input is filled. */
export const FIT_STRETCH = 0
export const FIT_CROP = 1
export const FIT_LETTERBOX = 2
export const METHOD_BILINEAR = 0
export const METHOD_BILINEAR_FAST = 1
export const METHOD_NEAREST = 2
export const METHOD_AREA = 3
/** How the output becomes scores; `auto`: probabilities if it looks so, else softmax. */
export const SCORES_IDENTITY = 0
export const SCORES_SOFTMAX = 1
export const SCORES_SIGMOID = 2
export const SCORES_AUTO = 3
/** Element types of the output. */
export const DTYPE_INT8 = 0
export const DTYPE_UINT8 = 1
export const DTYPE_INT16 = 2
export const DTYPE_INT32 = 3
export const DTYPE_FLOAT32 = 4


@unmanaged export class Config {
  /** First free byte after the program: buffers for images start there. */
  heap: u32
  /** End of the memory that the module starts with; pages behind it may be another's. */
  memoryEnd: u32
  inputWidth: i32
  inputHeight: i32
  inputChannels: i32
  /** 1: [1, C, H, W]. */
  nchw: i32
  fit: i32
  /** For FIT_CROP; 0: the input's own size. */
  shorterSide: i32
  method: i32
  bgr: i32
  /** 1: colour images become gray first. */
  gray: i32
  /** 256 elements of `inputBytes` bytes for each input channel. */
  tables: u32
  inputBytes: i32
  outputIndex: i32
  outputType: i32
  outputCount: i32
  outputScale: f32
  outputZeroPoint: i32
  scores: i32
  /** `labelCount` + 1 addresses of UTF-8 text: label i lies between the i-th and the next. */
  labels: u32
  labelCount: i32
  name: u32
  nameBytes: i32
}
