/** Every reader that bytes from outside reach. */
import type { FuzzTarget } from './target.ts'
import convert from './targets/convert.ts'
import images from './targets/images.ts'
import models from './targets/models.ts'
import options from './targets/options.ts'
import streams from './targets/streams.ts'
import texts from './targets/texts.ts'

export const TARGETS: readonly FuzzTarget[] = [...models, ...convert, ...images, ...texts, ...streams, ...options]
