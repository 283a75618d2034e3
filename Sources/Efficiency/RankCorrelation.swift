/// Spearman's rank correlation: Pearson's correlation of the ranks of two samples, equal values sharing the mean of their ranks; NaN where one sample is constant.
func spearmanCorrelation(_ x: [Double], _ y: [Double]) -> Double {
    precondition(x.count == y.count, "samples of \(x.count) and \(y.count) values")
    let (a, b): ([Double], [Double]) = (centredRanks(x), centredRanks(y))
    let product: Double = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    let squares: Double = a.reduce(0) { $0 + $1 * $1 } * b.reduce(0) { $0 + $1 * $1 }
    return product / squares.squareRoot()
}

private func centredRanks(_ values: [Double]) -> [Double] {
    let middle: Double = Double(values.count - 1) / 2
    return values.map { value in
        let (below, equal): (Int, Int) = (values.count { $0 < value }, values.count { $0 == value })
        return Double(below) + Double(equal - 1) / 2 - middle
    }
}
