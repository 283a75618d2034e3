/// What can be wrong with the catalogue or with what is brought into it.
public enum PaperError: Error, CustomStringConvertible, Equatable, Sendable {
    case noCards
    case card(file: String, reason: String)
    case repeatedCard(String)
    case notACatalogue(path: String)
    case cannotOpen(path: String, reason: String)
    /// A slug that no paper has, with the slugs nearest to it.
    case unknownPaper(String, nearest: [String])
    case voterKey(path: String)
    case judgements(file: String, reason: String)
    /// A change that was not made, with the reason.
    case refused(String)

    public var description: String {
        switch self {
        case .noCards: "the cards of the papers are missing beside the program; build it again with `make build`"
        case .card(let file, let reason): "\(file) is not a paper's card: \(reason)"
        case .repeatedCard(let value): "two cards have the slug, identifier or order \(value)"
        case .notACatalogue(let path): "\(path) is not a catalogue of papers; give another file with --db"
        case .cannotOpen(let path, let reason): "cannot open the catalogue \(path): \(reason)"
        case .voterKey(let path): "\(path) has to hold 32 bytes that only its owner can read (chmod 600); remove it to begin anew"
        case .judgements(let file, let reason): "\(file) is not a list of judged queries: \(reason)"
        case .refused(let reason): reason
        case .unknownPaper(let slug, let nearest):
            "there is no paper '\(slug)'"
                + (nearest.isEmpty ? "; see `linnet papers list`" : "; near are \(nearest.joined(separator: ", "))")
        }
    }
}
