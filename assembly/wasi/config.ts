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
export const DTYPE_INT64 = 5

/** What the outputs mean, as the kinds of heads of src/vision/heads; 0: scores of classes. */
export const HEAD_SCORES = 0
export const HEAD_POSTPROCESS = 1
export const HEAD_YOLO = 2
export const HEAD_FOMO = 3
export const HEAD_MOVENET = 4
export const HEAD_PLANES = 5
/** How a picture gets into the input: as `fit` says, or as the head's family does (src/vision/frame.ts). */
export const FRAMING_FIT = 0
export const FRAMING_LETTERBOX = 1
export const FRAMING_CORNER = 2
export const FRAMING_SQUARE = 3
/** Coordinates of HEAD_YOLO. `auto`: pixels where some coordinate is above 2. */
export const COORDINATES_SHARES = 0
export const COORDINATES_PIXELS = 1
export const COORDINATES_AUTO = 2
/** Classes of HEAD_PLANES. */
export const FORM_INDICES = 0
export const FORM_LAST = 1
export const FORM_FIRST = 2
export const FORM_MASK = 3
export const FORM_MASK_LOGITS = 4


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
  /** A HEAD_ constant, and numbers that it is described by. */
  head: i32
  framing: i32
  /** Every output, an OutputInfo each. */
  outputs: u32
  /** f64: the score that counts as found, and the overlap (intersection over union) of one object. */
  thresholds: u32
  /**
   * Numbers of outputs. Scores, YOLO, FOMO, MoveNet: the first alone. POSTPROCESS: boxes, classes, scores, count or -1.
   * PLANES: `outputCount` of them at the address `outputList`.
   */
  output0: i32
  output1: i32
  output2: i32
  output3: i32
  outputList: u32
  outputCount: i32
  /** YOLO: candidates; FOMO, PLANES: cells. */
  rows: i32
  columns: i32
  /** Elements from one candidate or cell to the next, and between the values of one. */
  rowStep: i32
  valueStep: i32
  /** SCORES: how many there are. FOMO with the background, PLANES; YOLO: classes, perhaps 0. */
  classes: i32
  /** YOLO: 1: an objectness goes before the classes; scores are percent; a COORDINATES_ constant. */
  objectness: i32
  percent: i32
  coordinates: i32
  /** YOLO, MOVENET: key points, and numbers of each (2: without a score). */
  points: i32
  pointValues: i32
  /** PLANES: a FORM_ constant. */
  form: i32
  /** SCORES, FOMO: a SCORES_ constant. */
  scores: i32
  /** `labelCount` + 1 addresses of UTF-8 text: label i lies between the i-th and the next. */
  labels: u32
  labelCount: i32
  /** The same for names of key points. */
  pointNames: u32
  pointNameCount: i32
  name: u32
  nameBytes: i32
}


@unmanaged export class OutputInfo {
  /** A DTYPE_ constant. */
  type: i32
  count: i32
  /** 0: values are real as they are. */
  scale: f32
  zeroPoint: i32
}
