import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.net.URLEncoder

/**
 * A refusal of the service, with the stable `code` of its problem document (RFC 9457): branch on it. Without an answer
 * the code is `network_failed`, and an answer that is none of certbook's is `answer_malformed`; `status` is then null.
 */
class CertbookException(
    val code: String,
    val detail: String,
    val status: Int?,
    val retryAfterSeconds: Long?,
    cause: Throwable?
) : Exception("$code: $detail", cause)

/** One HTTP answer. */
class HttpAnswer(val status: Int, val retryAfter: String?, val text: String)

/** Sends one HTTP request. An app that has an HTTP client of its own puts it in here. Throws IOException. */
interface HttpTransport {
    fun send(method: String, url: String, headers: Map<String, String>, body: String?): HttpAnswer
}

/** The HTTP of the platform. On a desktop JVM it knows no PATCH; on Android it does. */
class UrlConnectionTransport(private val timeoutMilliseconds: Int = 30000) : HttpTransport {
    override fun send(method: String, url: String, headers: Map<String, String>, body: String?): HttpAnswer {
        val connection = URL(url).openConnection() as HttpURLConnection
        connection.requestMethod = method
        connection.instanceFollowRedirects = false
        connection.useCaches = false
        connection.connectTimeout = timeoutMilliseconds
        connection.readTimeout = timeoutMilliseconds
        for ((name, value) in headers) connection.setRequestProperty(name, value)
        try {
            if (body != null) {
                connection.doOutput = true
                connection.outputStream.use { it.write(body.toByteArray(Charsets.UTF_8)) }
            }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            val text = stream?.use { it.readBytes().toString(Charsets.UTF_8) } ?: ""
            return HttpAnswer(status, connection.getHeaderField("Retry-After"), text)
        } finally {
            connection.disconnect()
        }
    }
}

/** JSON (RFC 8259) to and from maps, lists, texts, numbers (Double), booleans and null. */
internal object Json {
    fun write(value: Any?): String = when (value) {
        null -> "null"
        is String -> quote(value)
        is Map<*, *> -> value.entries.joinToString(",", "{", "}") { quote(it.key as String) + ":" + write(it.value) }
        is List<*> -> value.joinToString(",", "[", "]") { write(it) }
        else -> value.toString()
    }

    fun parse(text: String): Any? {
        val reader = Reader(text)
        val value = reader.value(0)
        reader.end()
        return value
    }

    private fun quote(text: String): String {
        val quoted = StringBuilder("\"")
        for (character in text) {
            when {
                character == '"' || character == '\\' -> quoted.append('\\').append(character)
                character < ' ' -> quoted.append(String.format("\\u%04x", character - '\u0000'))
                else -> quoted.append(character)
            }
        }
        return quoted.append('"').toString()
    }

    private class Reader(private val text: String) {
        private var at = 0

        fun value(depth: Int): Any? {
            if (depth > 64) fail()
            space()
            return when (peek()) {
                '{' -> entries(depth)
                '[' -> items(depth)
                '"' -> string()
                't' -> word("true", true)
                'f' -> word("false", false)
                'n' -> word("null", null)
                else -> number()
            }
        }

        fun end() {
            space()
            if (at != text.length) fail()
        }

        private fun entries(depth: Int): Map<String, Any?> {
            val entries = LinkedHashMap<String, Any?>()
            at++
            space()
            if (peek() == '}') { at++; return entries }
            while (true) {
                space()
                val key = string()
                space()
                expect(':')
                entries[key] = value(depth + 1)
                space()
                if (next() == ',') continue
                if (text[at - 1] != '}') fail()
                return entries
            }
        }

        private fun items(depth: Int): List<Any?> {
            val items = ArrayList<Any?>()
            at++
            space()
            if (peek() == ']') { at++; return items }
            while (true) {
                items.add(value(depth + 1))
                space()
                if (next() == ',') continue
                if (text[at - 1] != ']') fail()
                return items
            }
        }

        private fun string(): String {
            expect('"')
            val read = StringBuilder()
            while (true) {
                val character = next()
                if (character == '"') return read.toString()
                read.append(if (character == '\\') escaped() else character)
            }
        }

        private fun escaped(): Char = when (val character = next()) {
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                if (at + 4 > text.length) fail()
                at += 4
                text.substring(at - 4, at).toInt(16).toChar()
            }
            else -> character
        }

        private fun number(): Double {
            val start = at
            while (at < text.length && text[at] in "+-.0123456789eE") at++
            return text.substring(start, at).toDouble()
        }

        private fun <T> word(word: String, value: T): T {
            if (!text.startsWith(word, at)) fail()
            at += word.length
            return value
        }

        private fun space() {
            while (at < text.length && text[at] in " \t\r\n") at++
        }

        private fun peek(): Char = if (at < text.length) text[at] else fail()

        private fun next(): Char {
            val character = peek()
            at++
            return character
        }

        private fun expect(character: Char) {
            if (next() != character) fail()
        }

        private fun fail(): Nothing = throw NumberFormatException("not JSON")
    }
}

/** The fields of one JSON object of an answer. What is missing, or of another type, throws ClassCastException. */
internal class Fields(value: Any?) {
    @Suppress("UNCHECKED_CAST")
    private val fields = value as Map<String, Any?>

    fun text(name: String): String = fields[name] as String
    fun textOrNull(name: String): String? = fields[name] as String?
    fun boolean(name: String): Boolean = fields[name] as Boolean
    fun booleanOrNull(name: String): Boolean? = fields[name] as Boolean?
    fun number(name: String): Double = fields[name] as Double
    fun numberOrNull(name: String): Double? = fields[name] as Double?
    fun any(name: String): Any? = fields[name]
    fun list(name: String): List<Any?> = fields[name] as List<Any?>
}
