/// The parts into which the papers fall.
public enum PaperGroup: String, Codable, Sendable, CaseIterable {
    case sequence
    case efficiency
    case weights
    case interpretability
    case tabularScience = "tabular-science"
    case languageData = "language-data"
    /// Papers that a user imported.
    case imported

    /// The group's name in a heading.
    public var title: String {
        switch self {
        case .sequence: "Sequence models"
        case .efficiency: "Efficiency"
        case .weights: "Weights and representation"
        case .interpretability: "Interpretability"
        case .tabularScience: "Tables and science"
        case .languageData: "Language and data"
        case .imported: "Imported"
        }
    }
}
