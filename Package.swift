// swift-tools-version: 6.2
import PackageDescription

// Imports point one way: core <- module, client; seams <- implementations; the orchestrator sees seams only.
// Unsafe flags stay in the two targets of the Redis module, which no library product reaches.

let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let module: [Target] = [
  .target(name: "CStockABI"),
  .target(name: "StockCore", dependencies: ["CStockABI"]),
  .target(
    name: "StockCoreEmbedded",
    dependencies: ["CStockABI"],
    swiftSettings: [.enableExperimentalFeature("Embedded"), .unsafeFlags(["-wmo"])],
    linkerSettings: [.unsafeFlags(["-enable-experimental-feature", "Embedded"])]
  ),
  .target(
    name: "CModule",
    dependencies: ["CStockABI", "StockCoreEmbedded"],
    path: "CModule",
    cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"])]
  ),
]

let seams: [Target] = [
  .target(name: "Stock"),
  .target(name: "Messaging", dependencies: ["Stock"]),
  .target(name: "Orders", dependencies: ["Stock"]),
]

let implementations: [Target] = [
  .target(name: "OrderBatching", dependencies: ["Orders"]),
  .target(name: "ServerURL"),
  .systemLibrary(name: "CMariaDB", pkgConfig: "libmariadb", providers: [.apt(["libmariadb-dev"])]),
  .target(name: "MySQLStore", dependencies: ["CMariaDB", "ServerURL", "Orders", "OrderBatching", log]),
  .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
  .target(name: "RedisDriver", dependencies: ["CHiredis", "ServerURL", log]),
  .target(name: "StockClient", dependencies: ["RedisDriver", "Stock", log]),
  .target(name: "RedisStreams", dependencies: ["RedisDriver", "Messaging", log]),
  .executableTarget(name: "broker-bench", dependencies: ["RedisStreams", "RedisDriver"]),
  .target(
    name: "SQLiteStore",
    dependencies: ["Orders", "OrderBatching", .product(name: "GRDB", package: "GRDB.swift"), log]
  ),
]

let orchestrator: [Target] = [
  .target(name: "OrderFile", dependencies: ["Stock"]),
  .target(name: "Doorbuster", dependencies: ["Stock", "StockCore", "Messaging", "Orders", log, lifecycle]),
  .executableTarget(
    name: "doorbuster-cli",
    dependencies: [
      "Doorbuster", "OrderFile", "StockClient", "RedisStreams", "SQLiteStore", "MySQLStore", "Benchmarks", log,
      lifecycle,
      .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ]
  ),
]

let benches: [Target] = [
  .target(name: "Benchmarks", dependencies: ["Orders"]),
  .executableTarget(
    name: "module-bench",
    dependencies: ["TestServers", .product(name: "ArgumentParser", package: "swift-argument-parser")]
  ),
  .executableTarget(
    name: "driver-bench",
    dependencies: ["StockClient", .product(name: "ArgumentParser", package: "swift-argument-parser")]
  ),
]

let tests: [Target] = [
  .target(name: "TestServers", path: "Tests/TestServers"),
  .target(
    name: "SaleAudit",
    dependencies: ["TestServers", .product(name: "GRDB", package: "GRDB.swift")],
    path: "Tests/SaleAudit"
  ),
  .target(name: "BrokerContract", dependencies: ["Messaging"], path: "Tests/BrokerContract"),
  .target(name: "OrderStoreContract", dependencies: ["Orders"], path: "Tests/OrderStoreContract"),
  .testTarget(name: "StockCoreTests", dependencies: ["StockCore"]),
  .executableTarget(name: "loading-probe", path: "Tests/LoadingProbe"),
  .testTarget(name: "ModuleIntegrationTests", dependencies: ["TestServers", "StockCore", "loading-probe"]),
  .testTarget(name: "StockTests", dependencies: ["Stock"]),
  .testTarget(name: "RedisDriverTests", dependencies: ["RedisDriver"]),
  .testTarget(name: "RedisDriverIntegrationTests", dependencies: ["RedisDriver", "TestServers"]),
  .testTarget(
    name: "ClusterIntegrationTests",
    dependencies: ["RedisDriver", "StockClient", "Stock", "TestServers", log]
  ),
  .testTarget(name: "StockClientTests", dependencies: ["StockClient", "CStockABI", log]),
  .testTarget(name: "StockClientIntegrationTests", dependencies: ["StockClient", "TestServers", log]),
  .testTarget(
    name: "RedisStreamsIntegrationTests",
    dependencies: ["RedisStreams", "BrokerContract", "TestServers"]
  ),
  .testTarget(name: "RedisStreamsTests", dependencies: ["RedisStreams"]),
  .executableTarget(name: "sqlite-store-probe", dependencies: ["SQLiteStore"], path: "Tests/SQLiteStoreProbe"),
  .testTarget(
    name: "SQLiteStoreTests",
    dependencies: [
      "SQLiteStore", "OrderStoreContract", "sqlite-store-probe", .product(name: "GRDB", package: "GRDB.swift"),
    ]
  ),
  .testTarget(name: "OrdersTests", dependencies: ["Orders"]),
  .testTarget(name: "OrderBatchingTests", dependencies: ["OrderBatching"]),
  .testTarget(name: "MySQLStoreTests", dependencies: ["MySQLStore"]),
  .testTarget(
    name: "MySQLStoreIntegrationTests",
    dependencies: ["MySQLStore", "OrderStoreContract", "TestServers", log]
  ),
  .testTarget(name: "DoorbusterTests", dependencies: ["Doorbuster", "StockCore", "CStockABI", log, lifecycle]),
  .testTarget(name: "OrderFileTests", dependencies: ["OrderFile"]),
  .testTarget(name: "CommandLineIntegrationTests", dependencies: ["TestServers"]),
  .executableTarget(
    name: "crash-probe",
    dependencies: ["Doorbuster", "StockClient", "RedisStreams", "SQLiteStore", "MySQLStore", "TestServers", log],
    path: "Tests/CrashProbe"
  ),
  .testTarget(
    name: "SpreadIntegrationTests",
    dependencies: [
      "Doorbuster", "StockClient", "RedisStreams", "SQLiteStore", "TestServers", "SaleAudit", "crash-probe", log,
    ]
  ),
  .testTarget(
    name: "CrashIntegrationTests",
    dependencies: ["TestServers", "SaleAudit", "crash-probe"]
  ),
  .testTarget(
    name: "RecoveryIntegrationTests",
    dependencies: [
      "Doorbuster", "StockClient", "RedisStreams", "SQLiteStore", "MySQLStore", "TestServers", "SaleAudit",
      "crash-probe",
      log,
    ]
  ),
]

let package = Package(
  name: "doorbuster",
  products: [
    .library(name: "StockClient", targets: ["StockClient", "Stock", "RedisDriver"]),
    .library(
      name: "Doorbuster",
      targets: ["Doorbuster", "Stock", "Messaging", "Orders", "RedisStreams", "SQLiteStore", "MySQLStore"]
    ),
    .executable(name: "doorbuster", targets: ["doorbuster-cli"]),
    .library(name: "doorbuster-module", type: .dynamic, targets: ["CModule", "StockCoreEmbedded"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: module + seams + implementations + orchestrator + benches + tests,
  swiftLanguageModes: [.v6]
)
