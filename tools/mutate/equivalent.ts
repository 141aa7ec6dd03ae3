/** Mutants that no test can tell from the original, and why. They are counted apart, not as killed. */
export interface Equivalent {
  file: string
  /** The source line, trimmed. */
  text: string
  from: string
  to: string
  why: string
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: 'src/image/resize.ts',
    text: 'return windowTaps(from, count, Math.ceil(scale) + 2, (i) => areaTaps(i, scale, inSize))',
    from: '2',
    to: '3',
    why: 'room for one weight more than there are; nothing reads it',
  },
  {
    file: 'src/image/resize.ts',
    text: 'return windowTaps(from, count, Math.ceil(support) * 2 + 1, (i) => triangleTaps(i, scale, support, inSize))',
    from: '1',
    to: '2',
    why: 'room for one weight more than there are; nothing reads it',
  },
  {
    file: 'src/image/resize.ts',
    text: 'return windowTaps(from, count, 2, (i) => twoTaps(i, scale, inSize))',
    from: '2',
    to: '3',
    why: 'room for one weight more than there are; nothing reads it',
  },
  {
    file: 'src/image/preprocess.ts',
    text: 'if (this.temp.length < tempElements) this.temp = new Uint8Array(tempElements)',
    from: 'this.temp.length < tempElements',
    to: 'this.temp.length <= tempElements',
    why: 'makes a buffer of the same size anew',
  },
  {
    file: 'src/image/preprocess.ts',
    text: 'if (nchw) out.fill(black, c * plane, (c + 1) * plane)',
    from: '1',
    to: '2',
    why: 'the next plane is filled right afterwards',
  },
]
