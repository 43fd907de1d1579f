/** A measured figure: what came out, what is aimed at, and whether that is met. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly values: readonly number[]
  readonly digits: number
  readonly aim?: { readonly text: string; readonly met: (median: number) => boolean }
}

/** A part of the bench: what was measured, in words, and the figures. */
export interface Part {
  readonly words: readonly string[]
  readonly figures: readonly Figure[]
}

export const atLeast = (least: number) => ({ text: `at least ${least}`, met: (value: number) => value >= least })
export const atMost = (most: number) => ({ text: `at most ${most}`, met: (value: number) => value <= most })

export const median = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN

const rowOf = ({ name, unit, values, digits, aim }: Figure): string => {
  const shown = (value: number): string => value.toFixed(digits)
  const verdict = aim === undefined ? '' : `${aim.text}: ${aim.met(median(values)) ? 'met' : 'MISSED'}`
  return `| ${name} | ${unit} | ${shown(median(values))} | ${shown(Math.min(...values))} | ${shown(Math.max(...values))} | ${verdict} |`
}

export const tableOf = (figures: readonly Figure[]): string =>
  ['| figure | unit | median | min | max | aim |', '| --- | --- | --- | --- | --- | --- |', ...figures.map(rowOf)].join(
    '\n',
  )

export const resultsOf = (figures: readonly Figure[]) =>
  figures.map(({ aim, ...figure }) => ({
    ...figure,
    median: median(figure.values),
    ...(aim === undefined ? {} : { aim: aim.text, met: aim.met(median(figure.values)) }),
  }))
