// swift-tools-version: 6.1
import PackageDescription

// A package that depends on Linnet, as a user's would: no flags in the manifest, the two of `make flags` on the command line.
let package = Package(
    name: "dependent",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "linnet", path: "../..")],
    targets: [
        .executableTarget(
            name: "dependent", dependencies: [.product(name: "NN", package: "linnet"), .product(name: "Torch", package: "linnet")])
    ]
)
