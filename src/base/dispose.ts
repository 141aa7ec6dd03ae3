/// <reference lib="esnext.disposable" preserve="true" />
/** What holds memory that no garbage collector sees, and how `using` gives it back. */

/** Something that holds a model's memory until it is told that it is no longer needed. */
export interface Disposes {
  /** Gives the memory back; what needs it afterwards throws `runtime/disposed`. A second call does nothing. */
  dispose(): void
  /** The same at the end of a block: `using model = await loadModel(…)`. */
  [Symbol.dispose](): void
}

/** The key of `using`: `Symbol.dispose`, or what stands for it in engines that have none yet. */
export const disposeKey = (): typeof Symbol.dispose =>
  (Symbol as { dispose?: typeof Symbol.dispose }).dispose ?? (Symbol.for('Symbol.dispose') as typeof Symbol.dispose)

/** Both ways to call `dispose`. */
export const disposable = (dispose: () => void): Disposes => ({ dispose, [disposeKey()]: dispose })
