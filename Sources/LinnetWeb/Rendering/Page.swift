import Hummingbird

/// A page before it is drawn: a template and what it reads.
struct Page: Sendable {
    /// Entries of the navigation.
    enum Section: String, CaseIterable, Sendable {
        case papers, results, runs, trending, subscribe
    }

    let template: String
    let title: String
    var section: Section?
    var status: HTTPResponse.Status = .ok
    /// Whether the page has plots: the scripts for them are loaded nowhere else.
    var hasPlots: Bool = false
    /// Seconds after which the page loads itself anew where there is no script.
    var refresh: Int?
    var view: View = [:]
}

/// What surrounds a page: the server's pages and exported ones differ in their links and in whether they have forms.
struct Frame: Sendable {
    /// What links begin with: "/", or the way up to the exported folder.
    let root: String
    /// What links to pages end with.
    let suffix: String
    /// Link to the listing.
    let home: String
    /// The session's form token; nil in an export, which has no forms.
    let formToken: String?

    static func live(_ formToken: String) -> Frame { Frame(root: "/", suffix: "", home: "/", formToken: formToken) }

    static func exported(depth: Int) -> Frame {
        let root: String = String(repeating: "../", count: depth)
        return Frame(root: root, suffix: ".html", home: root + "index.html", formToken: nil)
    }
}
