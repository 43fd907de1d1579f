// @peculiar/x509 uses decorators that read metadata, so the polyfill must come first.
import 'reflect-metadata'

export {
  AuthorityInfoAccessExtension,
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  CertificatePolicyExtension,
  CRLDistributionPointsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
export type { Extension as ExtensionToWrite, JsonNameParams } from '@peculiar/x509'
