extension DataSource {
    /// Multivariate series.
    static let series: [DataSource] = [
        DataSource(
            "ett", title: "Electricity transformer temperature, hourly, two stations",
            homepage: "https://github.com/zhouhaoyi/ETDataset",
            licence: "CC BY-ND 4.0: altered copies may not be redistributed",
            files: DataFile.table(
                """
                ETTh1.csv 2589657 f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066
                ETTh2.csv 2417960 a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b
                """, base: "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/")),
        DataSource(
            "exchange_rate", title: "Daily exchange rates of eight currencies, 1990 to 2016",
            homepage: "https://github.com/laiguokun/multivariate-time-series-data",
            licence: "none stated",
            notes: "Without header.",
            files: DataFile.table(
                """
                exchange_rate.txt.gz 177142 6a4fbb561dcdee43f071a83badbeec9223a335552278348656738b556f1c2e9d
                """, base: "https://raw.githubusercontent.com/laiguokun/multivariate-time-series-data/master/exchange_rate/")),
    ]
}
