import Foundation

/// Identifiers of arXiv in their canonical form: without version, old ones with their archive.
enum ArXivIdentifier {
    /// `2406.06484v3`, `arXiv:2406.06484` and `http://arxiv.org/abs/2406.06484v1` give `2406.06484`; `cs.LG/0112017v1` gives `cs/0112017`.
    static func canonical(_ text: String) -> String? {
        var rest: Substring = Substring(text.trimmingCharacters(in: .whitespacesAndNewlines))
        for place in ["arxiv.org/abs/", "arxiv.org/pdf/"] {
            if let found = rest.range(of: place, options: .caseInsensitive) { rest = rest[found.upperBound...] }
        }
        if rest.lowercased().hasPrefix("arxiv:") { rest = rest.dropFirst(6) }
        if rest.lowercased().hasSuffix(".pdf") { rest = rest.dropLast(4) }
        if let match = rest.wholeMatch(of: /(\d{4}\.\d{4,5})(v\d+)?/) { return String(match.1) }
        if let match = rest.wholeMatch(of: /([A-Za-z][A-Za-z\-]*)(\.[A-Za-z]{2})?\/(\d{7})(v\d+)?/) {
            return "\(match.1)/\(match.3)".lowercased()
        }
        return nil
    }

    /// The year of an identifier's first version.
    static func year(_ id: String) -> Int? {
        let digits: Substring = id.split(separator: "/").last ?? ""
        guard let two = Int(digits.prefix(2)) else { return nil }
        return two > 90 ? 1900 + two : 2000 + two
    }
}

/// Digital object identifiers.
enum DOI {
    /// The bare identifier, in lower case, of one that may be written as an address.
    static func canonical(_ text: String) -> String? {
        let bare: String = text.trimmingCharacters(in: .whitespacesAndNewlines)
        let match = bare.wholeMatch(of: /(?:[Hh]ttps?:\/\/(?:dx\.)?doi\.org\/|[Dd][Oo][Ii]:\s*)?(10\.\d{4,9}\/[^\s<>"]{1,200})/)
        return match?.1.lowercased()
    }
}

/// Addresses of code.
enum CodeAddress {
    private static let hosts: Set<String> = ["github.com", "gitlab.com", "codeberg.org", "bitbucket.org"]

    /// "owner/name" of a GitHub repository, the address of another host's, nil for what is no address of a repository.
    static func repository(_ text: String) -> String? {
        guard let address = URLComponents(string: text), address.scheme == "https" || address.scheme == "http",
            let host = address.host?.lowercased(), hosts.contains(host)
        else { return nil }
        let parts: [Substring] = address.path.split(separator: "/")
        guard parts.count >= 2, parts.prefix(2).allSatisfy({ $0.wholeMatch(of: /[A-Za-z0-9._\-]{1,100}/) != nil }) else { return nil }
        let name: String = "\(parts[0])/\(parts[1].hasSuffix(".git") ? parts[1].dropLast(4) : parts[1])"
        return host == "github.com" ? name : "https://\(host)/\(name)"
    }
}
