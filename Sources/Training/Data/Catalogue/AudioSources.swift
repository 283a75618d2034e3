extension DataSource {
    /// Recordings.
    static let audio: [DataSource] = [
        DataSource(
            "fsdd", title: "Free spoken digits: 3,000 recordings of six speakers, 8 kHz",
            homepage: "https://github.com/Jakobovski/free-spoken-digit-dataset",
            licence: "CC BY-SA 4.0",
            archive: DataArchive(
                address: "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.tar.gz", folder: "recordings",
                suffix: ".wav",
                count: 3000, listingDigest: "04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b"))
    ]
}
