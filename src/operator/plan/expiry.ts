/**
 * When an item says that it expires: the one fact of its content that status and metrics tell.
 */
import type { Field, Item } from '../../connect/model.ts'
import { timestamp } from './debt.ts'

/**
 * Names under which the item templates of 1Password have the date, as id or label: `expires`
 * (API credential), `expiry` and `expiry date` (credit card, passport, membership), and what people
 * call it otherwise.
 */
const NAME = /^(expires|expiry|expiration|valid until)([ _-](at|on|date))?$/i

/** The earliest date, RFC 3339; undefined where no field gives one. A month lasts to its end. */
export function expiryOf({ fields }: Item): string | undefined {
  const times = fields
    .filter(({ id, label }) => NAME.test(id) || NAME.test(label))
    .map(timeOf)
    .filter((ms) => ms !== undefined)
  return times.length === 0 ? undefined : timestamp(Math.min(...times))
}

/** The last moment of the year 9999: later ones have no form in RFC 3339. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59)

/**
 * Milliseconds since the epoch. A DATE is Unix seconds, a MONTH_YEAR is YYYYMM; fields of other types
 * are not looked into. Source: Connect API 1.5.7, `Field.value`.
 */
function timeOf({ type, value }: Field): number | undefined {
  if (value === undefined || (type !== 'DATE' && type !== 'MONTH_YEAR')) return undefined
  const text = Buffer.from(value.reveal()).toString('latin1')
  const ms = type === 'DATE' ? secondsOf(text) : monthOf(text)
  return ms !== undefined && ms <= LAST_MS ? ms : undefined
}

function secondsOf(text: string): number | undefined {
  return /^\d{1,12}$/.test(text) ? Number(text) * 1000 : undefined
}

function monthOf(text: string): number | undefined {
  const [, year, month] = /^(\d{4})(0[1-9]|1[0-2])$/.exec(text) ?? []
  // Months count from 0 here, so this is the first of the month after.
  return year === undefined ? undefined : Date.UTC(Number(year), Number(month))
}
