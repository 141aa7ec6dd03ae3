/**
 * Whether this is the binary for V8's revectorizer (the build defines REVECTORIZE): its kernels are left out elsewhere.
 */
// @ts-ignore: decorator
@inline
export const FAST: bool = isDefined(REVECTORIZE)
