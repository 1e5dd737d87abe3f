import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dateValue, monthYearValue } from '../../../../src/server/items/dates.ts'

describe('a DATE', () => {
  test('as a calendar date becomes the seconds of 12:01 UTC of that day', () => {
    expect(dateValue('2024-05-01')).toBe('1714564860')
    expect(dateValue('1969-12-31')).toBe('-43140')
  })

  test('as seconds stays what it is', () => {
    expect(dateValue('1714521600')).toBe('1714521600')
    expect(dateValue('-86400')).toBe('-86400')
  })

  test('reads back as the same day', () => {
    const days = fc.date({
      min: new Date('0001-01-01T00:00:00Z'),
      max: new Date('9999-12-31T00:00:00Z'),
      noInvalidDate: true,
    })
    const same = fc.property(days, (date) => {
      const day = date.toISOString().slice(0, 10)
      return new Date(Number(dateValue(day)) * 1000).toISOString().slice(0, 10) === day
    })
    expect(() => fc.assert(same)).not.toThrow()
  })

  test.each(['', 'today', '2024-02-30', '2024-13-01', '2024-1-1', '1e9', '2024-05-01T00:00:00Z'])(
    '%j is refused',
    (value) => {
      expect(() => dateValue(value)).toThrow('DATE')
    },
  )
})

describe('a MONTH_YEAR', () => {
  test.each(['202405', '2024-05', '2024/05', '05/2024'])('%s is 202405', (value) => {
    expect(monthYearValue(value)).toBe('202405')
  })

  test.each(['', '202413', '202400', '24-05', '2024', 'May 2024'])('%j is refused', (value) => {
    expect(() => monthYearValue(value)).toThrow('MONTH_YEAR')
  })
})
