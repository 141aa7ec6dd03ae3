import type { Graph } from '../../graph.ts'
import type { Grid } from './values.ts'
export function fuseQdq(graph: Graph, _grids: ReadonlyMap<string, Grid>): Graph { return graph }
