/** Answers of a server that is no CA, or no longer one, byte for byte. None of them says that anything was done. */
export const nonsense: readonly (readonly [name: string, answer: string])[] = [
  ['nothing', ''],
  ['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['an empty 200', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
  ['HTML with 200', http('200 OK', 'text/html', '<html><title>Welcome</title><p>Sign in first</html>')],
  ['HTML with 201', http('201 Created', 'text/html', '<html><title>Welcome</title></html>')],
  ['half of a JSON', http('200 OK', 'application/json', '{"success":true,"result":{"certificate":"-----BEGIN')],
  ['half of a JSON with 201', http('201 Created', 'application/json', '{"crt":"-----BEGIN CERTIFICATE-----\\nMII')],
  ['a JSON of something else', http('200 OK', 'application/json', '{"status":"ok","success":true,"result":{}}')],
  ['a JSON that is no object', http('201 Created', 'application/json', '[null]')],
  ['a success that is none', http('200 OK', 'application/json', '{"success":false,"errors":[],"status":403}')],
  ['base64 of nothing', http('200 OK', 'application/pkcs7-mime', 'AAAA')],
  ['less than it promised', 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"success":true'],
  ['a fault of the server', http('500 Internal Server Error', 'text/html', '<html>panic</html>')],
  ['a gateway that gave up', http('504 Gateway Timeout', 'text/html', '<html>nginx</html>')],
  ['a redirect', 'HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n'],
]

function http(status: string, type: string, body: string): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}
