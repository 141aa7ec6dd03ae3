/** Names of key points, and which of them are joined, by how many there are. */
import { checkValue, whole } from '../options/options.ts'

/** Key points in their order, and what is drawn between them. */
export interface Skeleton {
  names: readonly string[]
  /** Indices of joined points. */
  bones: readonly (readonly [number, number])[]
}

const COCO =
  'nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle'
const BLAZEPOSE =
  'nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index'
const HAND =
  'wrist thumb_cmc thumb_mcp thumb_ip thumb_tip index_finger_mcp index_finger_pip index_finger_dip index_finger_tip middle_finger_mcp middle_finger_pip middle_finger_dip middle_finger_tip ring_finger_mcp ring_finger_pip ring_finger_dip ring_finger_tip pinky_mcp pinky_pip pinky_dip pinky_tip'

/** Joined points as `a-b-c`, chains apart by spaces. */
const bones = (chains: string): [number, number][] =>
  chains.split(' ').flatMap((chain) => {
    const ids = chain.split('-').map(Number)
    return ids.slice(1).map((id, i): [number, number] => [ids[i]!, id])
  })

const SKELETONS: Record<number, () => Skeleton> = {
  17: () => ({
    names: COCO.split(' '),
    bones: bones('0-1-3 0-2-4 5-6 5-7-9 6-8-10 5-11-13-15 6-12-14-16 11-12'),
  }),
  21: () => ({
    names: HAND.split(' '),
    bones: bones('0-1-2-3-4 0-5-6-7-8 5-9-10-11-12 9-13-14-15-16 13-17-18-19-20 0-17'),
  }),
  33: () => ({
    names: BLAZEPOSE.split(' '),
    bones: bones(
      '0-1-2-3-7 0-4-5-6-8 9-10 11-12 11-13-15-17-19-15-21 12-14-16-18-20-16-22 11-23 12-24 23-24 23-25-27-29-31-27 24-26-28-30-32-28',
    ),
  }),
  // MediaPipe's 33, two that say where the next crop lies, four unused: BlazePose's raw output.
  39: () => ({ names: BLAZEPOSE.split(' '), bones: SKELETONS[33]!().bones }),
  68: () => ({
    names: [],
    bones: bones(
      '0-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16 17-18-19-20-21 22-23-24-25-26 27-28-29-30 31-32-33-34-35 36-37-38-39-40-41-36 42-43-44-45-46-47-42 48-49-50-51-52-53-54-55-56-57-58-59-48 60-61-62-63-64-65-66-67-60',
    ),
  }),
  // MediaPipe's Objectron: the centre and the corners of a box, z the fastest.
  9: () => ({
    names: ['centre', ...Array.from({ length: 8 }, (_, i) => `corner_${i + 1}`)],
    bones: bones('1-5-7-3-1-2-6-8-4-2 3-4 5-6 7-8'),
  }),
  7: () => ({
    names: ['wrist', 'index_finger_mcp', 'middle_finger_mcp', 'ring_finger_mcp', 'pinky_mcp', 'thumb_cmc', 'thumb_mcp'],
    bones: bones('0-1-2-3-4-0 0-5-6'),
  }),
  6: () => ({ names: ['right_eye', 'left_eye', 'nose_tip', 'mouth', 'right_ear', 'left_ear'], bones: [] }),
  5: () => ({ names: ['left_eye', 'right_eye', 'nose', 'left_mouth', 'right_mouth'], bones: [] }),
  4: () => ({ names: ['hips', 'full_body', 'shoulders', 'upper_body'], bones: [] }),
}

/**
 * The skeleton of `count` points; without names and bones where there is no usual one.
 * Errors: `usage/option`.
 *
 * @example
 * import { skeletonOf } from 'thimble/vision'
 * const { names, bones } = skeletonOf(17)
 * console.log(names[0], bones.length)
 */
export function skeletonOf(count: number): Skeleton {
  checkValue('skeletonOf: count', count, whole(0))
  return SKELETONS[count]?.() ?? { names: [], bones: [] }
}
