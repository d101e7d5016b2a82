/** The few statistics the benchmark needs. */

/** The smallest value that at least `share` of all values do not exceed; at 0.5 of an even number, the upper middle one. */
export function at(values: Iterable<number>, share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export type Spread = { readonly median: number; readonly min: number; readonly max: number }

export const spreadOf = (values: readonly number[]): Spread => ({
  median: at(values, 0.5),
  min: Math.min(...values),
  max: Math.max(...values),
})
