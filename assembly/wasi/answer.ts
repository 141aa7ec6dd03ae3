/** What every host of a model for pictures does with one: from the file to the model's answer. */
import { thimble_invoke } from '../exec'
import { message, status, TOO_LARGE } from '../image/memory'
import { STATUS_BAD_INDEX } from '../layout'
import { HEAD_FOMO, HEAD_MOVENET, HEAD_POSTPROCESS, HEAD_SCORES, HEAD_YOLO } from './config'
import { head_1, head_2, head_3, head_4, head_5 } from './heads'
import { fillInput } from './input'
import { decode } from './picture'
import { best, computeScores } from './scores'
import { settings } from './settings'
import { ascii } from './text'
import { frame } from './view'

/** Most linear memory that a picture may take. */
export const MEMORY_LIMIT: u32 = 0x4000_0000

/** Whether the answer is names with scores. */
// @ts-ignore: decorator
@inline
export function names(): bool {
  return settings().head == HEAD_SCORES
}

/** What the outputs mean; false when there is no memory. */
export function computeHead(): bool {
  switch (settings().head) {
    case HEAD_POSTPROCESS:
      return head_1()
    case HEAD_YOLO:
      return head_2()
    case HEAD_FOMO:
      return head_3()
    case HEAD_MOVENET:
      return head_4()
    default:
      return head_5()
  }
}

/** Status of the last inference of `look`. */
export let invoked: i32 = 0

/**
 * Looks at the picture in the file at `file`, which has SLACK writable bytes behind it. Then the indices of the `top`
 * best scores, or 1 where the head's findings are kept; 0 after a failure that `invoked`, else `status` tells.
 */
export function look(file: usize, bytes: usize, top: i32): usize {
  invoked = 0
  if (status == 0) decode(file, bytes, false)
  if (status != 0 || (!names() && !frame()) || !fillInput()) return 0
  invoked = thimble_invoke()
  if (invoked != 0) return 0
  return names() ? (computeScores() ? best(top) : 0) : usize(computeHead())
}

/** The kind of a failure, as the codes of errors. */
export function kind(failure: i32): string {
  if (failure == 1) return 'image/truncated'
  if (failure == 2) return 'image/corrupt'
  return failure == TOO_LARGE ? 'image/too-large' : 'image/unsupported-format'
}

/** What to do about a failure. */
export function hint(failure: i32): string {
  return failure == TOO_LARGE ? '; scale it down first' : '; expected a whole JPEG, PNG, BMP, PPM or PGM file'
}

/** Why an inference failed. */
export function refusal(code: i32): string {
  return code == STATUS_BAD_INDEX
    ? 'an index that the model computed is outside of the tensor that it picks from'
    : 'the executor refused the program'
}

/** Why `look` gave nothing, as a sentence. */
export function sentence(): void {
  if (invoked != 0) return ascii(refusal(invoked))
  ascii(message)
  ascii(hint(status))
}
