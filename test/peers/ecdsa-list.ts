import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { openssl } from '../support/openssl.ts'

/**
 * A control that nothing of this project made: root.pem and leaf.pem by openssl, on P-256, and on loopback the list
 * that the leaf names. What a program says of these it does not say of our lists in particular.
 */
export async function serveEcdsaList(folder: string): Promise<{ fetched(): boolean; close(): Promise<void> }> {
  let fetched = false
  const server = createServer((_, response) => {
    fetched = true
    void readFile(join(folder, 'list.crl')).then((list) =>
      response.writeHead(200, { 'Content-Type': 'application/pkix-crl' }).end(list),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const configuration = `
[ca]
default_ca = control
[control]
database = index.txt
crlnumber = number.txt
default_md = sha256
default_crl_days = 7
crl_extensions = list
[list]
authorityKeyIdentifier = keyid
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
keyUsage = critical,keyEncipherment
extendedKeyUsage = emailProtection
subjectAltName = email:control@example.com
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:http://127.0.0.1:${port}/list.crl
[req]
distinguished_name = name
[name]
`
  await writeFile(join(folder, 'control.cnf'), configuration)
  await writeFile(join(folder, 'index.txt'), '')
  await writeFile(join(folder, 'number.txt'), '01\n')
  const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-config', 'control.cnf']
  const root = ['-keyout', 'root.key', '-out', 'root.pem', '-subj', '/CN=control', '-extensions', 'root', '-days', '30']
  await openssl(folder, 'req', '-x509', ...p256, ...root)
  const rsa = ['-newkey', 'rsa:2048', '-nodes', '-config', 'control.cnf', '-subj', '/CN=control@example.com']
  await openssl(folder, 'req', ...rsa, '-keyout', 'leaf.key', '-out', 'leaf.csr')
  const issuer = ['-CA', 'root.pem', '-CAkey', 'root.key', '-set_serial', '2', '-days', '30']
  const extensions = ['-extfile', 'control.cnf', '-extensions', 'leaf']
  await openssl(folder, 'x509', '-req', '-in', 'leaf.csr', ...issuer, ...extensions, '-out', 'leaf.pem')
  const list = ['-gencrl', '-config', 'control.cnf', '-cert', 'root.pem', '-keyfile', 'root.key', '-out', 'list.pem']
  await openssl(folder, 'ca', ...list)
  await openssl(folder, 'crl', '-in', 'list.pem', '-outform', 'DER', '-out', 'list.crl')
  return {
    fetched: () => fetched,
    close: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
