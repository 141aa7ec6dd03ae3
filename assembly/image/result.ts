/** The picture that was decoded: samples row by row, 1 (gray) or 3 (RGB) channels. */
export let pictureAt: usize = 0
export let pictureWidth: i32 = 0
export let pictureHeight: i32 = 0
export let pictureChannels: i32 = 0

export function setPicture(at: usize, width: i32, height: i32, channels: i32): void {
  pictureAt = at
  pictureWidth = width
  pictureHeight = height
  pictureChannels = channels
}
