import { badInput } from '../refusals.ts'

/**
 * A DATE value as Connect answers it: Unix seconds in a string. Takes those, or a calendar
 * date, which becomes 12:01 UTC of that day: the same day in nearly every zone, and what
 * 1Password's own clients store.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function dateValue(value: string): string {
  if (/^-?\d{1,12}$/.test(value)) return String(Number(value))
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(value)
  const ms = match ? Date.parse(`${value}T12:01:00Z`) : Number.NaN
  // Date.parse takes 2024-02-31 for 2 March.
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== value) {
    throw badInput('The value of a DATE field must be a date as YYYY-MM-DD or Unix seconds')
  }
  return String(ms / 1000)
}

/**
 * A MONTH_YEAR value as Connect answers it: YYYYMM. Takes that, YYYY-MM, YYYY/MM and MM/YYYY.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function monthYearValue(value: string): string {
  const yearFirst = /^(\d{4})[-/]?(\d{2})$/.exec(value)
  const monthFirst = /^(\d{2})\/(\d{4})$/.exec(value)
  const year = yearFirst?.[1] ?? monthFirst?.[2]
  const month = yearFirst?.[2] ?? monthFirst?.[1]
  if (year === undefined || month === undefined || month < '01' || month > '12') {
    throw badInput('The value of a MONTH_YEAR field must be a month as YYYYMM')
  }
  return `${year}${month}`
}
