import { stringify } from 'yaml'
import type { ExportedItem, ExportedVault } from './transfer.ts'

/** Exported vaults as YAML that `keyferry connect import` reads back without loss. */
export function writeExport(vaults: readonly ExportedVault[]): string {
  const document = {
    vaults: vaults.map(({ items, ...head }) => ({ ...head, items: items.map(itemText) })),
  }
  // Quoted throughout: no value can be taken for a number, a boolean or another kind of text.
  return stringify(document, {
    defaultStringType: 'QUOTE_DOUBLE',
    defaultKeyType: 'PLAIN',
    lineWidth: 0,
  })
}

function itemText({ fields, files, ...item }: ExportedItem): object {
  return {
    ...item,
    fields: fields.map(({ section, ...field }) => ({
      ...field,
      ...(section ? { section: { id: section } } : {}),
    })),
    files: files.map(({ name, section, content }) => ({
      name,
      ...(section ? { section: { id: section } } : {}),
      base64: content.toString('base64'),
    })),
  }
}
