import type { DatabaseRole } from './schema.ts'

/** One column: what it holds, and whether it says something about a person. */
export interface ColumnDeclaration {
  readonly holds: string
  /**
   * `sealed`: names a mailbox or a person, encrypted. `index`: a keyed hash of an address. `linked`: says
   * something about a person through ids only. `none`: says nothing about a person.
   */
  readonly personal: 'sealed' | 'index' | 'linked' | 'none'
}

/** What a declaration says to readers, in another language. */
export interface DeclaredWords {
  readonly holds: string
  readonly purpose: string
  /** The GDPR article, or why none is needed. */
  readonly legalBasis: string
  readonly retention: string
  /** Who gets it. Empty: nobody. */
  readonly recipients: readonly string[]
}

/**
 * What a room holds in one table: what, why, on which legal basis, for how long, and who gets it. The register,
 * `/privacy` and `db/README.md` are made from these. A test fails for a column that no declaration names.
 */
export interface TableDeclaration extends DeclaredWords {
  readonly database: DatabaseRole
  readonly table: string
  /** The same in German, for the privacy page. */
  readonly german: DeclaredWords
  /** The ids of the privacy promises that it serves. */
  readonly promises: readonly string[]
  readonly columns: Readonly<Record<string, ColumnDeclaration>>
}

const column =
  (personal: ColumnDeclaration['personal']) =>
  (holds: string): ColumnDeclaration => ({ holds, personal })

export const sealed = column('sealed')
export const blindIndex = column('index')
export const linked = column('linked')
export const impersonal = column('none')
