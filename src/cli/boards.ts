/** Boards that people put models on, by memory: what `thimble pack` names as the smallest that holds a module. */

export interface Board {
  name: string
  /** Bytes. RAM in one piece, as a linear memory needs it. */
  flash: number
  ram: number
}

const KB = 1024
const MB = 1024 * KB

/** By RAM, then by flash. Source: the boards' and controllers' data sheets. */
export const BOARDS: readonly Board[] = [
  { name: 'STM32L432 Nucleo-32', flash: 256 * KB, ram: 48 * KB },
  { name: 'STM32F401 Nucleo-64', flash: 512 * KB, ram: 96 * KB },
  { name: 'BBC micro:bit v2 (nRF52833)', flash: 512 * KB, ram: 128 * KB },
  { name: 'Arduino Nano 33 BLE (nRF52840)', flash: 1 * MB, ram: 256 * KB },
  { name: 'Raspberry Pi Pico (RP2040)', flash: 2 * MB, ram: 256 * KB },
  { name: 'STM32F746 Discovery', flash: 1 * MB, ram: 320 * KB },
  { name: 'ESP32-S3', flash: 8 * MB, ram: 320 * KB },
  { name: 'Raspberry Pi Pico 2 (RP2350)', flash: 4 * MB, ram: 512 * KB },
  { name: 'STM32H743 Nucleo-144', flash: 2 * MB, ram: 512 * KB },
]

/** What a module takes on a board as plain C from wasm2c. */
export interface Needs {
  flash: number
  ram: number
}

/** Stack, C library and buffers, as examples/embedded has them. */
const RAM_BESIDE = 6 * KB
const FLASH_BESIDE = 8 * KB
/** Bytes of Thumb-2 code for one of WebAssembly (gcc -O2), an estimate on the safe side. */
const CODE_GROWTH = 4

/** `code`, `data`: of the file; `memory`: linear memory in all. */
export const needsOf = ({ code, data, memory }: { code: number; data: number; memory: number }): Needs => ({
  flash: CODE_GROWTH * code + data + FLASH_BESIDE,
  ram: memory + RAM_BESIDE,
})

/** The board with the least RAM, then flash, that holds it; undefined where none does. */
export const smallestBoard = ({ flash, ram }: Needs): Board | undefined =>
  BOARDS.find((b) => b.flash >= flash && b.ram >= ram)
