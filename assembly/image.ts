/**
 * Picture to input tensor, as one module without imports: decoding of JPEG, PNG, BMP and PNM, resizing, and the tables
 * that turn samples into the model's input. The same samples on every host; all planning (placement, tables) is the
 * host's.
 *
 * One picture at a time: begin, write the file, open, decode, then prepare; or begin, write a raw frame, then
 * prepare_raw (or set_pixels and prepare). Memory grows to
 * what a picture needs, within the limit given to begin.
 */
import { fillInput, InputPlan } from './image/input'
import { alloc, message, reset, status } from './image/memory'
import { decodePicture, openedHeight, openedWidth, openPicture, sniff, SLACK } from './image/picture'
import { fillFromRaw, RawPlan } from './image/raw'
import { pictureAt, pictureChannels, pictureHeight, pictureWidth, setPicture } from './image/result'

/** Starts a picture: forgets the last one. Room for `bytes` bytes, or 0 after failing. */
export function begin(bytes: u32, maxBytes: u32): usize {
  reset(maxBytes)
  return alloc(<u64>bytes + SLACK)
}

/** Further room, or 0 after failing. */
export function reserve(bytes: u32): usize {
  return alloc(<u64>bytes)
}

/** 0, or the kind of failure: 1 truncated, 2 corrupt, 3 unsupported, 4 too large. */
export function failure(): i32 {
  return status
}
/** What the failure says: UTF-16. */
export function message_ptr(): usize {
  return changetype<usize>(message)
}
export function message_length(): i32 {
  return message.length
}

/** The format of a file: 0 for none that is read here, 1 JPEG, 2 PNG, 3 BMP, 4 PNM. */
export function format_of(file: usize, bytes: u32): i32 {
  return sniff(file, <usize>bytes)
}
/** Reads a file's header; 0 or the kind of failure. */
export function open(file: usize, bytes: u32): i32 {
  openPicture(file, <usize>bytes)
  return status
}
/** The upright picture's full size. */
export function full_width(): i32 {
  return openedWidth()
}
export function full_height(): i32 {
  return openedHeight()
}
/**
 * Decodes; a JPEG to 1/8, 1/4, 1/2 or full size, the smallest that is at least width x height (0: full). 0 or the kind
 * of failure.
 */
export function decode(width: i32, height: i32): i32 {
  decodePicture(width, height)
  return status
}

export function pixels_ptr(): usize {
  return pictureAt
}
export function pixels_width(): i32 {
  return pictureWidth
}
export function pixels_height(): i32 {
  return pictureHeight
}
export function pixels_channels(): i32 {
  return pictureChannels
}

/** Pixels that need no decoding, 1 or 3 channels, as the picture. */
export function set_pixels(at: usize, width: i32, height: i32, channels: i32): void {
  setPicture(at, width, height, channels)
}

/** Fills an input tensor from a raw YUV frame, see RawPlan; 0 or the kind of failure. */
export function prepare_raw(plan: usize, raw: usize): i32 {
  fillFromRaw(changetype<InputPlan>(plan), changetype<RawPlan>(raw))
  return status
}

/** Fills an input tensor from the picture, see InputPlan; 0 or the kind of failure. */
export function prepare(plan: usize): i32 {
  fillInput(changetype<InputPlan>(plan))
  return status
}
