/// The frame of a self-contained page: no script, nothing loaded from elsewhere, light and dark.
package enum HTML {
    /// Goes by bytes: a quotation mark with a combining mark behind it is one `Character`, and yet ends an attribute.
    package static func escaped(_ text: String) -> String {
        guard text.utf8.contains(where: { replacement($0) != nil }) else { return text }
        var escaped: [UInt8] = []
        escaped.reserveCapacity(text.utf8.count + 32)
        for byte in text.utf8 {
            if let replacement = replacement(byte) { escaped += replacement.utf8 } else { escaped.append(byte) }
        }
        return String(decoding: escaped, as: UTF8.self)
    }

    private static func replacement(_ byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: "&"): "&amp;"
        case UInt8(ascii: "<"): "&lt;"
        case UInt8(ascii: ">"): "&gt;"
        case UInt8(ascii: "\""): "&quot;"
        case UInt8(ascii: "'"): "&#39;"
        // A parser would turn it into a line feed.
        case UInt8(ascii: "\r"): "&#13;"
        default: nil
        }
    }

    static func page(title: String, body: String) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(escaped(title))</title>
        <style>\(style)</style>
        </head>
        <body><main>
        \(body)
        </main></body>
        </html>
        """
    }

    /// A table whose first row is its header.
    static func table(_ rows: [[String]]) -> String {
        guard let header = rows.first else { return "" }
        let head: String = header.map { "<th scope=\"col\">\(escaped($0))</th>" }.joined()
        let body: String = rows.dropFirst().map { row in
            "<tr>" + row.map { "<td>\(escaped($0))</td>" }.joined() + "</tr>"
        }.joined(separator: "\n")
        return "<div class=\"scroll\"><table><thead><tr>\(head)</tr></thead><tbody>\n\(body)\n</tbody></table></div>"
    }

    private static let style: String = """
        :root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --line: #d8d8d8; --soft: #5a5a5a }
        @media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --line: #3a3a3a; --soft: #a8a8a8 } }
        body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 }
        main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
        h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums }
        th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
        .scroll { overflow-x: auto } .soft { color: var(--soft) }
        .chart { width: 100%; max-width: 42rem; display: block; margin: 1rem 0 }
        .chart text { font: 12px system-ui, sans-serif; fill: var(--soft) } .chart .grid { stroke: var(--line) }
        .pass { color: #08753f } .fail { color: #b3261e }
        @media (prefers-color-scheme: dark) { .pass { color: #5ecf92 } .fail { color: #ff8a80 } }
        pre { overflow-x: auto }
        """
}
