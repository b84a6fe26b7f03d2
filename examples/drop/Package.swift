// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "drop",
  dependencies: [
    // In a program of your own: .package(url: "…", from: "…").
    .package(name: "doorbuster", path: "../.."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
  ],
  targets: [
    .executableTarget(
      name: "drop",
      dependencies: [
        .product(name: "StockClient", package: "doorbuster"),
        .product(name: "Doorbuster", package: "doorbuster"),
        .product(name: "Logging", package: "swift-log"),
      ]
    )
  ],
  swiftLanguageModes: [.v6]
)
